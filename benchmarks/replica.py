"""The reference run in small, with the controls it lacked: would its growing have paid?

``python benchmarks/replica.py recipes/replica.toml`` trains the recipe once for each of
``--seeds``. The first of them tries every control at each of ``--peak-lr`` with the published
schedule and with a plateau; the best of each compute goes on to the others. It writes one log for
each model, ``OUT/seed-1/models/NAME/log.html``, and one page over all of them, ``--page``. A run
that is stopped goes on with the same command.

``--texts NAME=PATTERN ...`` trains on files instead of the text that Python carries; the base reads
the first source alone. ``--scale`` multiplies all tokens and warm-ups.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from setting import commit, today

from growlm.base.units import format_seconds, parse_count
from growlm.base.version import VERSION
from growlm.pipeline.events import Stop
from growlm.pipeline.open import recorded_run
from growlm.pipeline.viewing import run_view
from growlm.recipe.toml import toml
from growlm.report.accounts import Account, account, controls_of
from growlm.report.curves import final_loss
from growlm.report.interval import Interval, interval
from growlm.report.ledger import saving
from growlm.report.page import write
from growlm.report.view import RunView, StageView
from growlm.report.words import code, count, flops, number, share, table

Table = dict[str, Any]
CHILDREN = 2
"""Children that share the base, as in the reference run."""
REFERENCE = {
    "like-580m": ("18 layers, 48B tokens, context 1,024", ""),
    "like-760m": ("24 layers, 41B tokens, context 1,024", "91%"),
    "like-1.1b": ("36 layers, 41B tokens, context 512", "64%"),
}
"""What each model stands for, and the base's FLOPs over its own in the reference run."""
DECAY = 0.2
"""Share of the steps in which the rate falls after a plateau, which the controls try too."""
FLAT = "-plateau"
"""What the name of such a control ends with."""
INSTEAD = {
    "random": "new layers at random",
    "continued": "the base trained on, with as much compute",
}
"""What a child is held against beside models from scratch, by what its name begins with."""


def spread(
    values: Table, options: argparse.Namespace, seed: int, best: Collection[str] | None
) -> Table:
    """Return the recipe of one seed: scaled, on the texts asked for, with all tries or the best."""
    made = deepcopy(values)
    made["seed"] = seed
    stages: list[Table] = []
    for stage in made["stage"]:
        _scale(stage, options.scale)
        tried = _tried(stage, options.peak_lr) if "control" in stage else [stage]
        stages += [each for each in tried if best is None or each is stage or each["name"] in best]
    made["stage"] = stages
    if options.texts:
        named = [each.split("=", 1) for each in options.texts]
        weights = [source["weight"] for source in made["source"]]
        made["source"] = [
            {"name": name, "files": [str(Path(pattern).resolve())], "weight": weight}
            for (name, pattern), weight in zip(named, [*weights, *weights[-1:] * 99], strict=False)
        ]
        made["stage"][0]["weights"] = {name: 0.0 for name, _ in named[1:]}
    return made


def _scale(stage: Table, scale: float) -> None:
    batch = parse_count(str(stage["batch"]))
    if "tokens" in stage:
        stage["tokens"] = max(1, round(scale * stage["tokens"] / batch)) * batch
    stage["schedule"]["warmup_steps"] = max(1, round(scale * stage["schedule"]["warmup_steps"]))
    stage["validate_every"] = max(batch, round(scale * parse_count(stage["validate_every"])))


def _tried(stage: Table, rates: Sequence[float]) -> Iterator[Table]:
    warmup = stage["schedule"]["warmup_steps"]
    flat = {"kind": "warmup-stable-decay", "warmup_steps": warmup, "decay_share": DECAY}
    for end, schedule in (("", stage["schedule"]), (FLAT, flat)):
        for rate in rates:
            made = deepcopy(stage)
            made["name"] = f"{stage['name']}-lr{rate:g}{end}"
            made["optimizer"]["peak_lr"] = rate
            made["schedule"] = dict(schedule)
            yield made


def best_of(view: RunView) -> set[str]:
    """Return the names of a run's best controls, one for each child and compute."""
    lengths: dict[tuple[Any, Any], dict[str, float]] = {}
    for stage in view.stages:
        end = final_loss(stage)
        if stage.kind == "control" and end is not None:
            lengths.setdefault((stage.control_of, stage.control_compute), {})[stage.name] = end
    return {min(ends, key=ends.__getitem__) for ends in lengths.values()}


def trained(
    values: Table, options: argparse.Namespace, seed: int, best: Collection[str] | None
) -> RunView:
    """Train one seed, and return what its log shows."""
    out: Path = options.out / f"seed-{seed}"
    recipe = options.out / f"seed-{seed}.toml"
    options.out.mkdir(parents=True, exist_ok=True)
    recipe.write_text(toml(spread(values, options, seed, best)), encoding="utf-8")
    command = [sys.executable, "-m", "growlm", "run", str(recipe), "--out", str(out)]
    subprocess.run(command, check=True)
    run = recorded_run(out, stop=Stop(), version=VERSION)
    view = run_view(run.plan, run.folder, version=VERSION)
    if best is None:  # else a log would hold tuned controls alone, and call them untuned
        for name in REFERENCE:
            write(of_model(view, name), _home(out / "models" / name))
    return view


def _home(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def of_model(view: RunView, name: str) -> RunView:
    """Return the part of a run that is about one model: its parent, itself, and its controls."""
    stage = named(view, name)
    controls = (each.name for each in controls_of(view, stage))
    kept = {stage.parent, name, *instead(name), *controls}
    return view.model_copy(
        update={
            "title": f"{view.title}: {name}",
            "stages": tuple(each for each in view.stages if each.name in kept),
        }
    )


def instead(name: str) -> dict[str, str]:
    """Return the stages that a model's child is held against, with what each does instead."""
    return {name.replace("like", first, 1): meaning for first, meaning in INSTEAD.items()}


def named(view: RunView, name: str) -> StageView:
    """Return a stage by its name."""
    return next(stage for stage in view.stages if stage.name == name)


def accounts(views: Sequence[RunView], child: str) -> list[Account]:
    """Return a child's account for each seed that finished it; none of a model from scratch."""
    found = [
        account(named(view, child), controls_of(view, named(view, child)), children=CHILDREN)
        for view in views
        if named(view, child).parent
    ]
    return [each for each in found if each is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a child's growing paid in one ledger."""

    child: str
    convention: str
    flops: float
    saved: Interval | None
    """Share of the compute from scratch for the same loss; None where a seed has bounds alone."""
    over: float | None
    """It saved more than this, of seeds with bounds alone."""
    under: float | None
    """It saved at most this."""
    better: Interval | None
    """Nats per token by which it ends lower than training from scratch with the same compute."""
    extrapolated: bool

    @property
    def paid(self) -> str:
        """Whether it paid, in a word or two."""
        if self.saved is not None:
            low, high = self.saved.low, self.saved.high
            if low is not None and high is not None and low <= 0 <= high:
                return "not told from chance"
            verdict = "yes" if self.saved.mean > 0 else "no"
            return verdict if low is not None else f"{verdict}, in one seed"
        if self.over is not None and self.over >= 0:
            return "yes"
        if self.under is not None and self.under <= 0:
            return "no"
        return "not known"


def verdicts(child: str, found: Sequence[Account]) -> list[Verdict]:
    """Return a child's verdict in each ledger: its base charged, shared, free."""
    return [_verdict(child, found, at) for at in range(len(found[0].costs))] if found else []


def _verdict(child: str, found: Sequence[Account], at: int) -> Verdict:
    cost = found[0].costs[at]
    estimates = [each.scratch.estimate for each in found]
    gains = [
        saving(each.costs[at].flops, scratch=estimate).saved
        for each, estimate in zip(found, estimates, strict=True)
        if estimate is not None
    ]
    better = [
        scratch - each.loss
        for each in found
        if (scratch := each.costs[at].scratch.loss) is not None
    ]
    return Verdict(
        child=child,
        convention=cost.convention,
        flops=cost.flops,
        saved=interval(gains) if len(gains) == len(found) else None,
        over=_bound(found, at, "lower", min),
        under=_bound(found, at, "upper", max),
        better=interval(better) if len(better) == len(found) else None,
        extrapolated=any(each.scratch.extrapolated for each in found),
    )


def _bound(
    found: Sequence[Account], at: int, side: str, of_all: Callable[[list[float]], float]
) -> float | None:
    """Return what every seed saved more than, or at most; None where one does not say."""
    gains: list[float] = []
    for each in found:
        limit: float | None = getattr(each.scratch, side) or each.scratch.estimate
        if limit is None:
            return None
        gains.append(saving(each.costs[at].flops, scratch=limit).saved)
    return of_all(gains)


def page(views: Sequence[RunView], told: Sequence[Verdict], options: argparse.Namespace) -> str:
    """Return the page over all models."""
    parts = [
        "# The reference run in small",
        _opening(views, options),
        "## Would its growing have paid, and in which ledger?",
        _answers(told),
        _ledger(told),
        "## Did the copies help, and was a larger model needed?",
        _others(views),
        "## The models",
        _models(views),
        "## Bits per byte at two contexts",
        "The largest child is trained at half the base's context, as the published one was; at "
        "double that it stands beside the others.",
        _bits(views[0]),
        "## The controls",
        "Of each compute the best counts. The first seed tries every learning rate with the "
        f"published schedule, and with a plateau before a fall in the last {share(DECAY)}.",
        _controls(views),
        "## What this does not show",
        _limits(views),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(views: Sequence[RunView], options: argparse.Namespace) -> str:
    first = views[0]
    seeds = ", ".join(str(view.seed) for view in views)
    seconds = sum(stage.seconds for view in views for stage in view.stages)
    words = " ".join(["python", "benchmarks/replica.py", *_words(options)])
    sources = ", ".join(code(source.name) for source in first.sources)
    return (
        "The published base was grown twice, from 18 to 24 and to 36 layers, and nobody trained a "
        "control. Here are the same ratios of depth, tokens, warm-up, learning rate and context, "
        "with controls from scratch at three lengths, each the best of "
        f"{2 * len(options.peak_lr)} tries. Sources: {sources}; the base reads the first alone.\n\n"
        f"`{words}`: seeds {seeds}; {first.hardware}; {format_seconds(seconds)} of training; "
        f"{today()}, commit {commit()}. Written by the command."
    )


def _words(options: argparse.Namespace) -> Iterator[str]:
    yield str(options.recipe)
    yield "--seeds"
    yield from map(str, options.seeds)
    yield "--peak-lr"
    yield from (f"{rate:g}" for rate in options.peak_lr)
    if options.scale != 1:
        yield from ("--scale", f"{options.scale:g}")
    if options.texts:
        yield "--texts"
        yield from (
            f"{name}={Path(pattern).name}"
            for name, pattern in (t.split("=", 1) for t in options.texts)
        )


def _answers(told: Sequence[Verdict]) -> str:
    return "\n".join(
        f"- {code(each.child)}, {each.convention}: **{each.paid}**, {_why(each)}." for each in told
    )


def _why(verdict: Verdict) -> str:
    if verdict.saved is not None:
        far = ", an extrapolation beyond the controls" if verdict.extrapolated else ""
        return f"{_shares(verdict.saved)} of the compute from scratch saved at equal loss{far}"
    words = [
        f"{word} {share(limit)}"
        for word, limit in (("more than", verdict.over), ("at most", verdict.under))
        if limit is not None
    ]
    if not words:
        return "the controls say nothing of its loss"
    return f"{' and '.join(words)} of the compute from scratch saved at equal loss"


def _shares(found: Interval) -> str:
    if found.low is None or found.high is None:
        return share(found.mean)
    return f"{share(found.mean)} ({share(found.low)} to {share(found.high)})"


def _nats(found: Interval | None) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return number(found.mean, 4)
    return f"{number(found.mean, 4)} ({number(found.low, 4)} to {number(found.high, 4)})"


def _ledger(told: Sequence[Verdict]) -> str:
    header = (
        "Child",
        "Base",
        "Its FLOPs",
        "Saved at equal loss",
        "Better at equal compute",
        "Paid",
    )
    rows = [
        [
            code(each.child),
            each.convention,
            flops(each.flops),
            _shares(each.saved) if each.saved else _bounds(each),
            _nats(each.better),
            each.paid,
        ]
        for each in told
    ]
    return table(header, rows, words=(0, 1, 5))


def _bounds(verdict: Verdict) -> str:
    return ", ".join(
        f"{word} {share(limit)}"
        for word, limit in (("over", verdict.over), ("at most", verdict.under))
        if limit is not None
    )


def _others(views: Sequence[RunView]) -> str:
    """Return the table of what took a child's place: its end, and how far above the child's."""
    header = ("Child", "Instead of it", "Context", "FLOPs, base charged", "Final loss", "Above it")
    children = [name for name in REFERENCE if named(views[0], name).parent]
    rows = [
        [
            code(name),
            meaning,
            str(named(views[0], each).context),
            flops(_charged(named(views[0], each))),
            _nats(interval(_ends(views, each))),
            _nats(_above(views, each, name)) if each != name else "",
        ]
        for name in children
        for each, meaning in {name: "", **instead(name)}.items()
    ]
    return table(header, rows, words=(0, 1))


def _charged(stage: StageView) -> float:
    return stage.flops_before + stage.flops


def _ends(views: Sequence[RunView], name: str) -> list[float]:
    """Return a stage's final loss for each seed."""
    stages = [stage for view in views for stage in view.stages if stage.name == name]
    return [end for stage in stages if (end := final_loss(stage)) is not None]


def _above(views: Sequence[RunView], name: str, other: str) -> Interval | None:
    pairs = zip(_ends(views, name), _ends(views, other), strict=True)
    return interval([one - another for one, another in pairs])


def _models(views: Sequence[RunView]) -> str:
    header = (
        *("Model", "Stands for", "Layers", "Parameters", "Context", "Tokens", "Warm-up"),
        *("Base's FLOPs over its own", "In the reference run", "Final loss", "Time"),
    )
    rows: list[list[str]] = []
    for name, (meaning, ratio) in REFERENCE.items():
        stages = [named(view, name) for view in views]
        first = stages[0]
        rows.append(
            [
                code(name),
                meaning,
                str(first.shape["layers"]),
                count(first.parameters),
                str(first.context),
                count(first.tokens),
                _warmup(first),
                share(first.flops_before / first.flops) if first.parent else "",
                ratio,
                _nats(interval(_ends(views, name))),
                format_seconds(sum(stage.seconds for stage in stages) / len(stages)),
            ]
        )
    return table(header, rows, words=(0, 1))


def _peak(stage: StageView) -> float:
    return max((point.lr for point in stage.train), default=0.0)


def _warmup(stage: StageView) -> str:
    steps = next((point.step for point in stage.train if point.lr == _peak(stage)), 0)
    return f"{share(steps / stage.steps)} of {stage.steps:,} steps"


def _bits(view: RunView) -> str:
    sources = [source.name for source in view.sources]
    rows = [
        [code(name), str(each.context), *(_bit(each.bits_per_byte, source) for source in sources)]
        for name in REFERENCE
        for each in named(view, name).evaluations
        if each.checkpoint == "final"
    ]
    return table(("Model", "Context", *map(code, sources)), rows, words=(0,))


def _bit(found: Mapping[str, float], source: str) -> str:
    return number(found[source], 4) if source in found else ""


def _controls(views: Sequence[RunView]) -> str:
    header = (
        *("Control", "Answers", "Compute", "FLOPs", "Tokens", "Schedule", "Peak learning rate"),
        *("Final loss", "Best of its compute"),
    )
    best = best_of(views[0])
    rows: list[list[str]] = []
    for stage in views[0].stages:
        if stage.kind != "control":
            continue
        known = _ends(views, stage.name)
        rows.append(
            [
                code(stage.name),
                code(stage.control_of or ""),
                f"{stage.control_compute:g}",
                flops(stage.flops),
                count(stage.tokens),
                "a plateau" if stage.name.endswith(FLAT) else "as published",
                f"{_peak(stage):g}",
                ", ".join(number(end, 4) for end in known),
                "yes" if stage.name in best else "",
            ]
        )
    return table(header, rows, words=(0, 1, 5, 7, 8))


def _limits(views: Sequence[RunView]) -> str:
    size = count(max(stage.parameters for stage in views[0].stages))
    lines = [
        f"- Whether it holds at scale: the largest model here has {size} parameters, and every "
        "model is trained on far fewer tokens for each parameter than the published ones.",
    ]
    edges = list(_edges(views[0]))
    if any(edges):
        lines.insert(
            0,
            f"- The best from scratch: at {sum(edges)} of {len(edges)} lengths the best learning "
            "rate is the last of those that were tried. Savings are at most these.",
        )
    if len(views) < 3:
        lines.insert(
            0, "- What chance does: fewer than three seeds give no interval worth the name."
        )
    return "\n".join(lines)


def _edges(view: RunView) -> Iterator[bool]:
    """Yield for each length of each child's controls whether the best rate is at an edge."""
    best = best_of(view)
    controls = [stage for stage in view.stages if stage.kind == "control"]
    rates = {_peak(stage) for stage in controls}
    for stage in controls:
        if stage.name in best:
            yield _peak(stage) in (min(rates), max(rates))


def main() -> None:
    """Train, write the logs and the page, and print the page."""
    options = _options()
    values = tomllib.loads(options.recipe.read_text(encoding="utf-8"))
    first, *others = options.seeds
    views = [trained(values, options, first, None)]
    views += [trained(values, options, seed, best_of(views[0])) for seed in others]
    children = [name for name in REFERENCE if named(views[0], name).parent]
    told = [each for child in children for each in verdicts(child, accounts(views, child))]
    text = page(views, told, options)
    print(text)
    options.page.write_text(text, encoding="utf-8")
    kept = {
        "format": 1,
        "date": today(),
        "commit": commit(),
        "hardware": views[0].hardware,
        "command": " ".join(["python", "benchmarks/replica.py", *_words(options)]),
        "verdicts": [{**asdict(each), "paid": each.paid} for each in told],
    }
    path = options.page.with_suffix(".json")
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="recipes/replica.toml, or another of its kind")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--peak-lr", type=float, nargs="+", default=[2e-3, 4e-3, 8e-3])
    parser.add_argument("--scale", type=float, default=1.0, help="of all tokens and warm-ups")
    parser.add_argument("--texts", nargs="+", metavar="NAME=PATTERN", help="files to train on")
    parser.add_argument("--out", type=Path, help="where the runs go (runs/NAME)")
    parser.add_argument("--page", type=Path, help="the page (benchmarks/results/NAME.md)")
    options = parser.parse_args()
    name = options.recipe.stem
    options.out = options.out or Path("runs") / name
    options.page = options.page or Path("benchmarks/results") / f"{name}.md"
    return options


if __name__ == "__main__":
    main()
