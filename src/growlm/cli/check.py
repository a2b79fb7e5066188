"""``growlm check``: what a recipe will do and cost."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from growlm.base.units import format_bytes, format_count
from growlm.cli import options as shared
from growlm.cli.tables import EXPOSURE, exposure_cells, print_table
from growlm.pipeline import checking
from growlm.pipeline.folder import owned
from growlm.pipeline.open import plan_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.recipe(parser)
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    plan = plan_of(options.recipe, options.overrides)
    path: Path = options.out or Path("runs") / plan.experiment.name
    found = checking.table(plan, owned(path, name=plan.experiment.name))
    if options.json:
        print(json.dumps(found.as_dict()))
    elif not options.quiet:
        print(f"{options.recipe}: recipe '{found.name}', {found.vocab_size:,} tokens of vocabulary")
        print_table(_models(found))
        print_table(_costs(found))
        print_table(_rates(found))
        print_table(_data(found))
        if found.exposures:
            print_table(_exposures(found))
        for text in found.notices:
            print(f"note: {text}")
    return 0


def _models(found: checking.Table) -> Table:
    table = Table("stage", "origin", "layers", "width", "heads", "context", "vocabulary")
    table.add_column("parameters")
    masked = any(stage.document_masking for stage in found.stages)
    if masked:
        table.add_column("document masking")
    again = any(stage.activation_checkpointing != "none" for stage in found.stages)
    if again:
        table.add_column("activation checkpointing")
    for stage in found.stages:
        origin = f"grown from {stage.parent}" if stage.parent else stage.kind
        sizes = (stage.layers, stage.width, stage.heads, stage.context, stage.vocab_size)
        parameters = f"{stage.parameters:,} ({stage.parameters / 1e6:,.1f}M)"
        last = ["yes" if stage.document_masking else "no"] if masked else []
        last += [stage.activation_checkpointing] if again else []
        table.add_row(stage.name, origin, *(f"{size:,}" for size in sizes), parameters, *last)
    return table


def _costs(found: checking.Table) -> Table:
    table = Table("stage", "steps", "tokens", "FLOPs per token", "FLOPs", "FLOPs with parents")
    table.add_column("a checkpoint")
    table.add_column("disk at once")
    for stage in found.stages:
        table.add_row(
            stage.name,
            f"{stage.steps:,}",
            format_count(stage.tokens),
            f"{stage.flops_per_token:.4g}",
            f"{stage.flops:.4g}",
            f"{stage.flops_before + stage.flops:.4g}",
            format_bytes(stage.checkpoint_bytes),
            format_bytes(stage.disk_bytes),
        )
    return table


def _rates(found: checking.Table) -> Table:
    names = list(dict.fromkeys(name for stage in found.stages for name in stage.learning_rate))
    table = Table("stage", *names)
    for stage in found.stages:
        table.add_row(stage.name, *(stage.learning_rate.get(name, "") for name in names))
    return table


def _exposures(found: checking.Table) -> Table:
    table = Table("stage", "lineage", "benchmark")
    for name in (f"{EXPOSURE[0]} by its end", *EXPOSURE[1:]):
        table.add_column(name, justify="right")
    for row in found.exposures:
        table.add_row(row.stage, row.lineage, row.benchmark, *exposure_cells(asdict(row)))
    return table


def _data(found: checking.Table) -> Table:
    table = Table("source", "training tokens", "known", "left out")
    masked = any(source.masked_tokens for source in found.sources)
    if masked:
        table.add_column("masked")
    for stage in found.stages:
        table.add_column(f"{stage.name}: tokens")
        table.add_column("epochs by its end")
    for source in found.sources:
        cells = [
            cell
            for stage in found.stages
            for cell in (
                format_count(stage.source_tokens[source.name]),
                f"{stage.source_epochs[source.name]:.2f}",
            )
        ]
        left_out = f"{source.left_out:,} documents" if source.left_out else ""
        known = [format_count(source.tokens), source.known, left_out]
        known += [f"{source.masked_tokens:,} tokens"] if masked else []
        table.add_row(source.name, *known, *cells)
    return table
