"""A study as a page of Markdown: savings, losses, time, the controls, and what is not shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from growlm.base.units import format_seconds
from growlm.report.interval import Interval
from growlm.report.ledger import saving
from growlm.report.ledger_tables import BASES
from growlm.report.study import Findings, Result, Saved
from growlm.report.view import RunView
from growlm.report.words import (
    NOTHING,
    code,
    flops,
    listing,
    moment,
    number,
    plain,
    plural,
    share,
    table,
)

FEW_SEEDS = 3
"""Seeds below which an interval says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the page says of the study beside its numbers."""

    title: str
    created: str
    """When, in ISO 8601."""
    growlm_version: str
    planned_seeds: int
    validation_share: float | None = None
    """The largest share that validation would add to the FLOPs of an arm and its parents."""


def page(found: Findings, views: Sequence[RunView], told: Told) -> str:
    """Return the study's page, with its figure in ``study.png``.

    Args:
        found: What it found.
        views: Its runs, for their sizes and hardware.
        told: What else it says.
    """
    parts = [
        f"# {plain(told.title)}",
        _about(found, views, told),
        "![Validation loss against training compute](study.png)",
        "## Saved compute at equal loss",
        "Share of the compute that training from scratch needs for the same final loss: mean over "
        "seeds, and its 95 % interval. A speed-up is the same said otherwise, saved / (1 - saved). "
        "Between controls: read on straight lines in log-log from one control to the next, and not "
        "by the law through all of them.",
        savings(found.results) or "No arm is finished yet.",
        "## Final loss at equal compute",
        equal_compute(found),
        "## Time",
        "By the clock, on the hardware above: validation and saving are left out. Training from "
        "scratch goes at the speed of its controls.",
        times(found.results),
        "## The controls",
        f"{plural(len(found.tried), 'model')} from scratch; a seed's control of a compute is the "
        "best that it trained. Where the first seed alone tried all, its best ones went on.",
        controls(found),
        "## What this does not show",
        "\n".join(f"- {line}" for line in limits(found, told)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(found: Findings, views: Sequence[RunView], told: Told) -> str:
    hardware = listing([*dict.fromkeys(plain(view.hardware) for view in views)])
    arms = {result.arm.name for result in found.results}
    sizes = {s.non_embedding_parameters for view in views for s in view.stages if s.name in arms}
    parameters = listing([f"{size:,}" for size in sorted(sizes)])
    seeds = listing([str(seed) for seed in found.seeds])
    children = f"Children of {parameters} parameters without embeddings. " if sizes else ""
    return (
        f"{plural(len(found.seeds), 'seed')} ({seeds}) of {told.planned_seeds}. {children}"
        f"All together {flops(found.flops)} FLOPs in {format_seconds(found.seconds)} of training "
        f"on {hardware}. {moment(told.created)}, growlm {plain(told.growlm_version)}."
    )


def savings(results: Sequence[Result]) -> str:
    """Return the table of saved compute, a row for each arm, a column for each account."""
    if not results:
        return ""
    conventions = [each.convention.capitalize() for each in results[0].accounts]
    told = ("Speed-up, parent charged", "Saved, parent charged, between controls", "From")
    header = ("Arm", "Differs in", "Seeds", *conventions, *told)
    rows = [
        [
            code(result.arm.name),
            plain(result.arm.differs) or NOTHING,
            str(result.seeds),
            *(_saving(each) for each in result.accounts),
            _speedup(result.accounts[0].saved),
            NOTHING if result.between is None else _shares(result.between),
            _basis(result),
        ]
        for result in results
    ]
    return table(header, rows, words=(0, 1, len(header) - 1))


def _saving(saved: Saved) -> str:
    if saved.saved is not None:
        return _shares(saved.saved)
    bounds = [("more than", saved.over), ("at most", saved.under)]
    return ", ".join(f"{word} {share(at)}" for word, at in bounds if at is not None) or NOTHING


def _speedup(saved: Interval | None) -> str:
    """Return the speed-up that a mean share saved is the same as."""
    if saved is None or saved.mean >= 1:
        return NOTHING
    return share(saving(1 - saved.mean, scratch=1.0).speedup)


def _basis(result: Result) -> str:
    words = listing([BASES[basis] for basis in result.bases])
    return words + (", extrapolated" if result.extrapolated else "")


def _shares(found: Interval) -> str:
    if found.low is None or found.high is None:
        return share(found.mean)
    return f"{share(found.mean)} [{share(found.low)}, {share(found.high)}]"


def _nats(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return number(found.mean, 4)
    return f"{number(found.mean, 4)} [{number(found.low, 4)}, {number(found.high, 4)}]"


def equal_compute(found: Findings) -> str:
    """Return the table of final losses, and by how much they beat scratch at equal compute."""
    if not found.results:
        return ""
    conventions = [f"Better, {each.convention}" for each in found.results[0].accounts]
    header = ("Arm", "FLOPs, parent charged", "Final loss", *conventions)
    rows = [
        [
            code(result.arm.name),
            flops(result.accounts[0].flops.mean),
            _nats(result.loss),
            *(_nats(each.better) for each in result.accounts),
        ]
        for result in found.results
    ]
    told = table(header, rows)
    if found.continued is None:
        return told
    other = found.continued
    return told + (
        f"\n\nThe parent trained on instead, with as much compute ({code(other.name)}, "
        f"{flops(other.flops)} FLOPs): {_nats(other.loss)}, above its child by "
        f"{_nats(other.behind)}."
    )


def times(results: Sequence[Result]) -> str:
    """Return the table of time by the clock."""
    header = ("Arm", "Parents", "Grown stage", "From scratch to the same loss", "Saved")
    rows = [
        [
            code(result.arm.name),
            format_seconds(result.time.parents),
            format_seconds(result.time.stage),
            NOTHING if result.time.scratch is None else format_seconds(result.time.scratch),
            NOTHING if result.time.saved is None else _shares(result.time.saved),
        ]
        for result in results
    ]
    return table(header, rows)


def controls(found: Findings) -> str:
    """Return the table of what was tried from scratch, with schedules where several were."""
    several = _schedules(found) > 1
    schedule = ("Schedule",) if several else ()
    header = ("Compute", "FLOPs", *schedule, "Peak learning rate", "Final loss by seed", "")
    rows = [
        [
            f"{each.compute:g}",
            flops(each.flops),
            *([plain(each.schedule)] if several else []),
            f"{each.peak_lr:g}",
            ", ".join(number(loss, 4) for loss in each.losses),
            "the control" if each.best else "",
        ]
        for each in found.tried
    ]
    words = (2, 4, 5) if several else (3, 4)
    return table(header, rows, words=words)


def _schedules(found: Findings) -> int:
    return len({each.schedule for each in found.tried})


def limits(found: Findings, told: Told) -> Iterator[str]:
    """Yield what the study leaves open, as far as its numbers say."""
    seeds = len(found.seeds)
    if seeds < told.planned_seeds:
        yield f"The study is not finished: {seeds} of {plural(told.planned_seeds, 'seed')}."
    if seeds < FEW_SEEDS:
        yield f"What chance does: {plural(seeds, 'seed')}, and {FEW_SEEDS} are the least."
    yield from _untuned(found)
    if any(result.extrapolated for result in found.results):
        yield "Savings that are read beyond the controls lean on the law, which is fitted to few."
    if found.misfit is not None:
        yield (
            f"The law misses a control by up to {number(found.misfit, 4)} nats; how much that "
            "moves a saving is seen where it is read between controls."
        )
    if told.validation_share is not None:
        yield (
            "Validation is charged to nobody: on small models it is much, here up to "
            f"{share(told.validation_share)} of what an arm and its parents trained."
        )
    yield "An interval holds what seeds do, and neither how a law is chosen nor how arms were."
    yield "Other sizes, data and schedules than these."


def _untuned(found: Findings) -> Iterator[str]:
    """Yield what training from scratch might still gain from."""
    edges = dict.fromkeys((each.compute, each.peak_lr) for each in found.tried if each.at_edge)
    for compute, rate in edges:
        yield (
            f"The best learning rate from scratch at compute {compute:g}: {rate:g} is the last of "
            "those that were tried, so a better one may lie beyond."
        )
    tried = _schedules(found)
    if tried == 1:
        yield (
            "What a better schedule would do for training from scratch: one was tried, and the "
            "learning rate alone was tuned."
        )
    elif tried > 1:
        yield f"What schedules from scratch would do beside the {tried} that were tried."
