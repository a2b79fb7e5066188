"""``growlm inspect``: what a checkpoint records of itself."""

import argparse
import json
from pathlib import Path
from typing import Any

from growlm.base.units import format_count
from growlm.cli import options as shared
from growlm.pipeline.growing import Certificate, changes, comparison
from growlm.pipeline.inspecting import inspect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="a checkpoint's folder")
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = inspect(options.checkpoint)
    if options.json:
        print(json.dumps(found))
    elif not options.quiet:
        print("\n".join(_lines(found)))
    return 0


def _lines(found: dict[str, Any]) -> list[str]:
    shape = ", ".join(f"{name} {value}" for name, value in found["shape"].items())
    counts = f"{found['parameters']:,} ({found['non_embedding_parameters']:,} without embeddings)"
    return [
        f"{found['path']}: stage '{found['stage']}', step {found['step']:,}; every file is whole",
        f"shape        {shape}",
        f"parameters   {counts}",
        f"tokens seen  {found['tokens']:,} ({found['flops']:.4g} FLOPs)",
        *_lineage(found["lineage"]),
        *_certificate(found["certificate"]),
        *(f"sha256       {digest}  {name}" for name, digest in found["files"].items()),
    ]


def _lineage(lineage: list[dict[str, Any]]) -> list[str]:
    return [
        f"lineage      {each['stage']}: {each['origin']}, {each['layers']} layers, {_trained(each)}"
        for each in lineage
    ]


def _trained(stretch: dict[str, Any]) -> str:
    imported = stretch["origin"].startswith("imported")
    return "tokens not known" if imported else f"{format_count(stretch['tokens'])} tokens"


def _certificate(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["certificate  none: this model was not grown"]
    certificate = Certificate.model_validate(found)
    return [
        f"certificate  {changes(certificate)}; {comparison(certificate)}",
        *(
            f"             largest logit difference {each.max_logit_difference:.3g} in "
            f"{each.dtype} at context {each.context}"
            for each in certificate.measurements
        ),
    ]
