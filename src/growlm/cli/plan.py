"""``growlm plan``: whether a recipe fits its devices, what would help, how long, how much."""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from growlm.base.errors import RecipeError
from growlm.base.units import format_bytes, format_count, format_seconds, parse_bytes
from growlm.cli import options as shared
from growlm.cli.parser import count, positive, whole_number
from growlm.cli.tables import print_table
from growlm.pipeline import fitting, planning
from growlm.pipeline.folder import owned
from growlm.pipeline.open import plan_of

NOTHING = format_bytes(0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    shared.recipe(parser)
    parser.add_argument(
        "--device-memory", type=_size, required=True, metavar="16GiB", help="of each device"
    )
    parser.add_argument(
        "--devices",
        type=whole_number("--devices"),
        default=1,
        metavar="N",
        help="how many share each batch (1)",
    )
    parser.add_argument(
        "--devices-per-node",
        type=whole_number("--devices-per-node"),
        default=None,
        metavar="N",
        help="how many of them are in one node, for sharding = hybrid (all)",
    )
    parser.add_argument(
        "--on",
        choices=("cuda", "cpu"),
        default="cuda",
        help="what they are: cuda computes in bfloat16, cpu in float32 (cuda)",
    )
    parser.add_argument(
        "--price", type=_price, default=None, metavar="2.5/h", help="of each device, an hour"
    )
    parser.add_argument(
        "--tokens-per-second",
        type=count("--tokens-per-second"),
        default=None,
        metavar="N",
        help="of each device (what the run's log says)",
    )
    parser.add_argument(
        "--mfu",
        type=_share,
        default=None,
        metavar="0.4",
        help="share of --peak-flops that is reached, where no run log says",
    )
    parser.add_argument(
        "--peak-flops",
        type=positive("--peak-flops"),
        default=None,
        metavar="989e12",
        help="FLOPs per second of each device, at most",
    )
    shared.output(parser)


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise RecipeError(
            f"--device-memory to be {error}", got=f"'{text}'", fix="--device-memory 16GiB"
        ) from None


def _price(text: str) -> float:
    try:
        value = float(text.removesuffix("/h"))
    except ValueError:
        value = -1.0
    if not 0.0 <= value < math.inf:
        raise RecipeError("--price to be a price an hour", got=f"'{text}'", fix="--price 2.5/h")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise RecipeError("--mfu to be above 0 and at most 1", got=f"'{text}'", fix="--mfu 0.4")
    return value


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    machine, assumption = machine_of(options), assumption_of(options)
    plan = plan_of(options.recipe, options.overrides)
    path: Path = options.out or Path("runs") / plan.experiment.name
    folder = owned(path, name=plan.experiment.name)
    found = planning.outlook(plan, machine, assumption, path=path, folder=folder)
    if options.json:
        print(json.dumps(found.as_dict()))
    elif not options.quiet:
        _print(found, options.recipe)
    return 0


def machine_of(options: argparse.Namespace) -> fitting.Machine:
    """Return the devices that a command line names.

    Raises:
        RecipeError: They do not make whole nodes.
    """
    return fitting.Machine(
        place=options.on,
        memory_bytes=options.device_memory,
        devices=options.devices,
        node_devices=options.devices_per_node or options.devices,
        price_per_hour=options.price,
    )


def assumption_of(options: argparse.Namespace) -> planning.Assumption:
    """Return the speed that a command line states or assumes.

    Raises:
        RecipeError: A share of a peak that it does not name, or a peak of which it takes no share.
    """
    stated = options.tokens_per_second
    return planning.Assumption(
        tokens_per_second=None if stated is None else float(stated),
        mfu=options.mfu,
        peak_flops=options.peak_flops,
    )


def _print(found: planning.Outlook, recipe: Path) -> None:
    machine = found.machine
    devices = "1 device" if machine.devices == 1 else f"{machine.devices:,} devices"
    numbers = "bfloat16" if machine.place == "cuda" else "float32"
    print(
        f"{recipe}: recipe '{found.name}' on {devices} of {format_bytes(machine.memory_bytes)}, "
        f"computing in {numbers}; bytes are those of one device"
    )
    print_table(_memory(found))
    for stage in found.stages:
        if not stage.fits:
            _print_ways(stage)
    print_table(_costs(found))
    for text in (*found.notes, *(text for stage in found.stages for text in stage.notes)):
        print(f"note: {text}")


def _memory(found: planning.Outlook) -> Table:
    table = Table("", *(stage.name for stage in found.stages))
    for label, cell in _ROWS.items():
        cells = [cell(stage) for stage in found.stages]
        if any(each != NOTHING for each in cells):
            table.add_row(label, *cells)
    for label in dict.fromkeys(name for stage in found.stages for name in stage.assumed):
        cells = [format_bytes(stage.assumed.get(label, 0)) for stage in found.stages]
        table.add_row(f"{label} (assumed, not measured)", *cells)
    table.add_row("needed", *(format_bytes(stage.bytes) for stage in found.stages))
    table.add_row("fits", *("yes" if stage.fits else "no" for stage in found.stages))
    table.add_row("largest micro-batch that fits", *map(_largest, found.stages))
    table.add_row("its checkpoints on the disk", *map(_disk, found.stages))
    return table


def _part(name: str) -> Callable[[planning.StageOutlook], str]:
    return lambda stage: format_bytes(getattr(stage.needs, name))


_ROWS: dict[str, Callable[[planning.StageOutlook], str]] = {
    "micro-batch, tokens": lambda stage: f"{stage.micro_batch:,} x {stage.micro_batches:,}",
    "activation checkpointing": lambda stage: _kept(stage, stage.layers),
    "sharding": lambda stage: stage.sharding,
    "numbers of the moments": lambda stage: stage.moments,
    "parameters": _part("parameters"),
    "gradients": _part("gradients"),
    "moments": _part("moments"),
    "working copies of the weights": _part("working_copies"),
    "moving average of the weights": _part("average"),
    "buffers": _part("buffers"),
    "attention bias, places": _part("places"),
    "activations": _part("activations"),
    "in the loss: a chunk, the head's gradient": _part("loss"),
    "in a layer's backward pass": _part("backward"),
    "the most at once": lambda stage: (
        f"{format_bytes(stage.needs.peak)}, in the {stage.needs.moment}"
    ),
}


def _disk(stage: planning.StageOutlook) -> str:
    return format_bytes(stage.disk_bytes)


def _kept(stage: planning.StageOutlook | fitting.Way, layers: int) -> str:
    if stage.checkpointing != "budget":
        return stage.checkpointing
    return f"budget: full in {stage.checkpointed} of {layers} layers"


def _largest(stage: planning.StageOutlook) -> str:
    tokens = stage.largest_micro_batch
    return "none" if tokens is None else f"{tokens:,} tokens"


def _print_ways(stage: planning.StageOutlook) -> None:
    if not stage.ways:
        print(f"{stage.name}: nothing that growlm knows makes it fit")
        return
    print(f"{stage.name} would fit so; what keeps the numbers first, then the fastest:")
    table = Table("micro-batch", "activation checkpointing", "sharding", "moments", "needed")
    table.add_column("time added (assumed)")
    for way in stage.ways:
        choices = (_kept(way, stage.layers), way.sharding, way.moments)
        cells = [format_bytes(way.bytes), f"{way.slowdown:.0%}"]
        table.add_row(f"{way.micro_batch:,}", *choices, *cells)
    print_table(table)
    asked = " ".join(f"--set {each}" for each in stage.ways[0].settings)
    print(f"{stage.name} fits with {asked}")


def _costs(found: planning.Outlook) -> Table:
    table = Table("stage", "parameters", "tokens", "FLOPs per token", "all of attention counted")
    for name in ("FLOPs", "tokens/s of a device", "known", "time"):
        table.add_column(name)
    priced = found.machine.price_per_hour is not None
    if priced:
        table.add_column("cost")
    for stage in found.stages:
        cells = [stage.name, format_count(stage.parameters), format_count(stage.tokens)]
        cells += [f"{stage.flops_per_token:.4g}", f"{stage.flops_per_token_whole:.4g}"]
        cells += [f"{stage.flops:.4g}", *_time(stage)]
        cells += [_money(stage.cost)] if priced else []
        table.add_row(*cells)
    return table


def _time(stage: planning.StageOutlook) -> tuple[str, str, str]:
    speed = stage.speed
    if speed is None or stage.seconds is None:
        return ("", "no: --tokens-per-second, or --mfu and --peak-flops", "")
    known = f"{speed.known}: {speed.words}"
    return (format_count(speed.tokens_per_second), known, format_seconds(stage.seconds))


def _money(cost: float | None) -> str:
    return "" if cost is None else f"{cost:,.2f}"
