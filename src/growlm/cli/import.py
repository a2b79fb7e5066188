"""``growlm import``: a checkpoint of a Hugging Face folder."""
# ruff: noqa: N999
# A command's module bears its name, and this one is a keyword.

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from growlm.cli import options as shared
from growlm.pipeline.converting import import_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", type=Path, metavar="HF_FOLDER", help="config.json, safetensors")
    parser.add_argument(
        "checkpoint", type=Path, metavar="CKPT", help="a folder that is not there yet"
    )
    parser.add_argument(
        "--end-of-text",
        default=None,
        metavar="TOKEN",
        help="the token that closes a document (the one that the folder names)",
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = import_folder(options.folder, options.checkpoint, end_of_text=options.end_of_text)
    if options.json:
        print(json.dumps(asdict(found)))
    elif not options.quiet:
        carried = ", ".join(("tokenizer.json", *found.carried))
        print(
            f"{options.checkpoint}: {found.family}, {found.parameters:,} parameters; texts end "
            f"with {found.end_of_text}; carried along: {carried}"
        )
        if found.ignores_code:
            print("note: the folder points to code of its own (auto_map); it was not run")
    return 0
