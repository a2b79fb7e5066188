"""``growlm advise``: is this parent worth growing, how, and what must that win by."""

import argparse
import json
import shlex
from dataclasses import asdict
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from growlm.base.errors import RecipeError
from growlm.cli import options as shared
from growlm.cli.grow import OPERATORS, SIZES, layer_map
from growlm.cli.parser import count, positive, whole_number
from growlm.cli.show import show
from growlm.cli.signals import caught
from growlm.cli.tables import print_prose, print_table
from growlm.pipeline.advising import (
    Advice,
    Answer,
    GrowthPlan,
    Operators,
    Target,
    Wish,
    advise,
    parent_of,
    plans_of,
)
from growlm.pipeline.probing import LIMITS, Bench, Findings, Probe, bench_of, run_probe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "parent", type=Path, metavar="PARENT", help="a checkpoint's folder, or a Hugging Face one"
    )
    for name in SIZES:
        option = f"--{name.replace('_', '-')}"
        text = f"the child's {name} (the parent's)"
        read = whole_number(option)
        parser.add_argument(option, type=read, default=None, metavar="N", help=text)
    parser.add_argument(
        "--tokens",
        type=count("--tokens"),
        required=True,
        metavar="20B",
        help="what a scratch run of the child's shape would be trained on",
    )
    parser.add_argument(
        "--parent-tokens",
        type=count("--parent-tokens"),
        default=None,
        metavar="300B",
        help="what an imported parent was trained on",
    )
    parser.add_argument(
        "--context",
        type=whole_number("--context"),
        default=None,
        metavar="T",
        help="the child's, in training (the parent's)",
    )
    _add_operators(parser)
    _add_probe(parser)
    shared.output(parser)


def _add_operators(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--depth",
        type=lambda text: tuple(text.split(",")),
        default=(),
        metavar="NAME,NAME",
        help="depth operators to look at beside interleave, stack and insert",
    )
    for option, (default, meaning) in OPERATORS.items():
        if option != "--depth":
            text = f"{meaning} (default: {default})"
            parser.add_argument(option, default=default, metavar="NAME", help=text)
    parser.add_argument(
        "--layer-map",
        type=layer_map,
        default=None,
        metavar="0,0,1,-2",
        help="for --depth explicit, as growlm grow takes it",
    )


def _add_probe(parser: argparse.ArgumentParser) -> None:
    probe = parser.add_argument_group("a probe, which measures instead of guessing")
    probe.add_argument(
        "--probe",
        type=whole_number("--probe"),
        default=None,
        metavar="STEPS",
        help="train each candidate for so many steps; nothing is written",
    )
    probe.add_argument(
        "--seed",
        type=int,
        default=None,
        metavar="N",
        help="of its dropout, what growing draws, and the data where it cannot follow (0)",
    )
    probe.add_argument(
        "--run", type=Path, default=None, metavar="RUN", help="the run whose shards it trains on"
    )
    probe.add_argument(
        "--peak-lr",
        type=positive("--peak-lr"),
        default=None,
        metavar="LR",
        help="its learning rate (the one at which the parent stopped)",
    )
    probe.add_argument(
        "--batch",
        type=count("--batch"),
        default=None,
        metavar="TOKENS",
        help="tokens in a step (the parent's)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    wish, probe = wish_of(options), probe_of(options)
    with caught():
        parent = parent_of(options.parent)
        found = advise(parent, wish)
        bench = bench_of(parent, probe) if probe else None
        if options.json:
            print(json.dumps(found.as_dict()), flush=True)
        elif not options.quiet:
            _print(found, options)
        if bench is not None:
            _probe(bench, plans_of(parent.config, wish, seed=bench.probe.seed), options)
    return 0


def probe_of(options: argparse.Namespace) -> Probe | None:
    """Return the probe that a command line asks for.

    Raises:
        RecipeError: It has no run, or options of a probe without one.
    """
    given = {name: getattr(options, name) for name in ("run", "peak_lr", "batch", "seed")}
    if options.probe is None:
        for name, value in given.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise RecipeError(f"--probe STEPS with {option}", got="none", fix="--probe 200")
        return None
    if options.run is None:
        raise RecipeError("--run RUN with --probe", got="none", fix="--run runs/NAME")
    return Probe(
        run=options.run,
        steps=options.probe,
        peak_lr=options.peak_lr,
        batch=options.batch,
        seed=options.seed or 0,
    )


def _probe(bench: Bench, plans: dict[str, GrowthPlan], options: argparse.Namespace) -> None:
    found = Findings()
    try:
        show(run_probe(bench, plans, found), options)
    finally:  # what was measured before a signal or a mishap is shown too
        if options.json:
            print(json.dumps({"probe": [asdict(row) for row in found.rows]}))
        elif not options.quiet and found.rows:
            _print_probe(found, bench)


def wish_of(options: argparse.Namespace) -> Wish:
    """Return the child that a command line asks for.

    Raises:
        RecipeError: It names no size, or a layer map that no operator reads.
    """
    return Wish(
        target=Target(**{name: getattr(options, name) for name in SIZES}),
        depths=options.depth,
        operators=Operators(
            depth="",
            layer_map=options.layer_map,
            widen=options.widen,
            units=options.units,
            copies=options.copies,
        ),
        context=options.context,
        tokens=options.tokens,
        parent_tokens=options.parent_tokens,
    )


def _print(found: Advice, options: argparse.Namespace) -> None:
    sizes = ", ".join(f"{old:,} -> {new:,} {size}" for size, (old, new) in found.sizes.items())
    print(f"{found.parent}: {sizes}")
    counts = (
        f"{found.parent_parameters:,} -> {found.child_parameters:,} parameters "
        f"({found.child_non_embedding_parameters:,} without embeddings), "
        f"{found.flops_per_token:.4g} FLOPs per token at context {found.context:,}"
    )
    print_prose(Group(Text(counts), "", _answers(found.answers)))
    print_table(_candidates(found))
    print(f"next: {_next(found, options)}", flush=True)


def _answers(answers: tuple[Answer, ...]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column()
    for number, answer in enumerate(answers):
        if number:
            grid.add_row()
        told = Text(f"{answer.surety}: {answer.source}", style="dim")
        grid.add_row(answer.question, Group(Text(answer.text), told))
    return grid


def _candidates(found: Advice) -> Table:
    deeper_only = set(found.sizes) == {"layers"}
    cliffs = "norm cliff" if deeper_only else "norm cliff, depth alone"
    table = Table("operator", "claim", cliffs, "adjacency", "why it is not exact")
    for each in found.candidates:
        cliff = "-" if each.norm_cliff is None else f"{each.norm_cliff:.3g}"
        reasons = "; ".join(each.departures) or "-"
        table.add_row(each.operator, each.claim, cliff, f"{each.adjacency:.2f}", reasons)
    return table


def _next(found: Advice, options: argparse.Namespace) -> str:
    """Return the command that makes the child, with all that was asked for."""
    usual = {option.removeprefix("--"): default for option, (default, _) in OPERATORS.items()}
    asked = {name: getattr(options, name) for name in (*SIZES, "copies", "widen", "units")}
    asked |= {"context": options.context, "depth": found.order}
    words = [
        word
        for name, value in asked.items()
        if value is not None and (name == "depth" or value != usual.get(name))
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    return shlex.join(["growlm", "grow", found.parent, "CHILD", *words])


def _print_probe(found: Findings, bench: Bench) -> None:
    steps, first = bench.probe.steps, found.rows[0]
    table = Table("model", "layers", "loss before", f"after {steps:,} steps", "change")
    table.add_column("FLOPs")
    for row in found.rows:
        table.add_row(
            row.model,
            f"{row.layers}",
            f"{row.loss_before:.4f}",
            f"{row.loss_after:.4f}",
            f"{row.loss_after - first.loss_before:+.4f}",
            f"{row.flops:.4g}",
        )
    print_table(table)
    print_prose(
        Text(
            f"Held-out loss of {bench.probe.run}; each step {bench.batch_tokens:,} tokens at a "
            f"learning rate of {bench.lr:.3g}; change from the parent's loss. {LIMITS}"
        )
    )
