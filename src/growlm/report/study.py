"""What a study found: each arm's accounts over the seeds, against the best of the controls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from growlm.recipe.grid import Arm, Design, Trial
from growlm.report.accounts import Account, account
from growlm.report.curves import final_loss
from growlm.report.interval import Interval, interval
from growlm.report.law import Point, between, fit_law, merge
from growlm.report.ledger import SAME_COMPUTE, ScratchCompute, saving
from growlm.report.training_notes import lineage
from growlm.report.view import RunView, StageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What an arm saved at equal loss in one account, over the seeds."""

    convention: str
    """Who pays for the parent, in words."""
    flops: Interval
    """What the arm took."""
    saved: Interval | None
    """Share of the scratch compute; None where a seed has bounds alone."""
    over: float | None
    """It saved more than this; only beside bounds, and only if every seed says so."""
    under: float | None
    """It saved at most this; in the same way."""
    better: Interval | None
    """Nats per token by which it ends lower than training from scratch with the same compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Seconds of training, by the clock."""

    parents: float
    stage: float
    scratch: float | None
    """Training from scratch to the same loss, at the controls' own speed."""
    saved: Interval | None
    """Share of those seconds, the parent charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is known of one arm."""

    arm: Arm
    seeds: int
    """Those that finished it, and its controls."""
    loss: Interval
    """Final validation loss, nats per token."""
    accounts: tuple[Saved, ...]
    """Parent charged first, free last."""
    bases: tuple[str, ...]
    """What the scratch compute rests on, as the ledger calls it, without repetition."""
    extrapolated: bool
    """Whether any seed's scratch compute lies outside its controls."""
    between: Interval | None
    """Share saved, the parent charged, by straight lines between neighbouring controls instead of a
    law; None where there is no estimate."""
    time: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was tried from scratch, and whether it is a control."""

    compute: float
    """Multiple of what the grown stage of the recipe and its parents took."""
    flops: float
    peak_lr: float
    schedule: str
    """In words; empty where the control's own was the only one."""
    losses: tuple[float, ...]
    """By seed, of those that trained it to its end."""
    best: bool
    """Whether it is the control of its compute, with any seed."""
    at_edge: bool
    """Whether it is, and its learning rate is the lowest or highest of those that were tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """The parent trained on with as much compute as its child."""

    name: str
    flops: float
    """Its parent's included."""
    loss: Interval
    behind: Interval | None
    """Nats per token by which it ends above the child of the same parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a study found, as far as its runs are finished."""

    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    """Arms in the order of the recipe; those that no seed finished are left out."""
    tried: tuple[Tried, ...]
    continued: Continued | None
    misfit: float | None
    """Nats by which the law misses a control at most; None without a law."""
    flops: float
    """Of all that was trained, controls and what was tried in vain included."""
    seconds: float


def best_controls(view: RunView, design: Design) -> dict[float, Trial]:
    """Return the control of each compute: the best that finished of what was tried.

    Args:
        view: A run that trained all of them.
        design: Which stage is what.
    """
    losses = _losses(view)
    return {
        compute: min(tried, key=lambda trial: losses.get(trial.name, math.inf))
        for compute, tried in design.controls.items()
    }


def findings(views: Sequence[RunView], design: Design) -> Findings:
    """Return what a study found.

    Each seed's arms are compared with the best controls of the same seed, and the savings of all
    seeds give the interval.

    Args:
        views: A run for each seed, with one control or more of each compute.
        design: Which stage is what.
    """
    best = {name for view in views for name in _best(view, design)}
    results = [_result(arm, views, design) for arm in design.arms]
    stages = [stage for view in views for stage in view.stages]
    return Findings(
        seeds=tuple(view.seed for view in views),
        results=tuple(result for result in results if result is not None),
        tried=tuple(_tried(views, design, best)),
        continued=_continued(views, design),
        misfit=_misfit(views, design),
        flops=math.fsum(stage.flops for stage in stages if stage.complete),
        seconds=math.fsum(stage.seconds for stage in stages),
    )


def control_points(views: Sequence[RunView], design: Design) -> tuple[tuple[Point, ...], ...]:
    """Return the compute and loss of the best controls: by compute, and in it by seed."""
    return tuple(
        tuple(
            Point(compute=stage.flops, loss=loss)
            for view in views
            if (stage := _named(view, _best(view, design)[at])) is not None
            and (loss := final_loss(stage)) is not None
        )
        for at in range(len(design.controls))
    )


def validation_share(views: Sequence[RunView], design: Design, *, tokens: int) -> float | None:
    """Return the largest share that validation would add to the FLOPs of an arm and its parents.

    Args:
        views: The study's runs.
        design: Which stage is what.
        tokens: That one validation reads, forward alone: a third of training on them.
    """
    shares: list[float] = []
    for view in views:
        for stage in (stage for arm in design.arms if (stage := _named(view, arm.name))):
            line = lineage(view, stage) or [stage]
            passes = math.fsum(len(each.validation) * each.flops_per_token for each in line)
            shares.append(tokens / 3 * passes / (stage.flops_before + stage.flops))
    return max(shares, default=None)


def _best(view: RunView, design: Design) -> list[str]:
    """Return the names of a run's best controls, by compute."""
    return [trial.name for _, trial in sorted(best_controls(view, design).items())]


def _named(view: RunView, name: str) -> StageView | None:
    return next((stage for stage in view.stages if stage.name == name), None)


def _losses(view: RunView) -> Mapping[str, float]:
    found = {stage.name: final_loss(stage) for stage in view.stages}
    return {name: loss for name, loss in found.items() if loss is not None}


def _accounts(arm: Arm, views: Sequence[RunView], design: Design) -> tuple[Account, ...]:
    found = list[Account | None]()
    for view in views:
        stage, best = _named(view, arm.name), _best(view, design)
        if stage is not None:
            controls = [each for each in view.stages if each.name in best]
            found.append(account(stage, controls, children=design.children))
    whole = len(design.controls)
    return tuple(each for each in found if each is not None and len(each.points) == whole)


def _result(arm: Arm, views: Sequence[RunView], design: Design) -> Result | None:
    found = _accounts(arm, views, design)
    loss = interval([each.loss for each in found])
    if loss is None:
        return None
    bases = dict.fromkeys(str(each.scratch.basis) for each in found)
    return Result(
        arm=arm,
        seeds=len(found),
        loss=loss,
        accounts=tuple(_saved(found, at) for at in range(len(found[0].costs))),
        bases=tuple(bases),
        extrapolated=any(each.scratch.extrapolated for each in found),
        between=_between(found),
        time=_time(found),
    )


def _between(found: Sequence[Account]) -> Interval | None:
    shares: list[float] = []
    for each in found:
        flops = between(merge(each.best, tolerance=SAME_COMPUTE), each.loss)
        if flops is None or each.scratch.estimate is None:
            return None
        shares.append(saving(each.costs[0].flops, scratch=flops).saved)
    return interval(shares)


def _misfit(views: Sequence[RunView], design: Design) -> float | None:
    missed: list[float] = []
    for view in views:
        points = [point for at in control_points([view], design) for point in at]
        runs = merge(points, tolerance=SAME_COMPUTE)
        law = fit_law(runs)
        missed += [abs(law.loss(run.compute) - run.loss) for run in runs] if law else []
    return max(missed, default=None)


def _saved(found: Sequence[Account], at: int) -> Saved:
    costs = [each.costs[at] for each in found]
    flops = interval([cost.flops for cost in costs])
    pairs = [(cost.flops, each.scratch) for cost, each in zip(costs, found, strict=True)]
    known = [
        saving(cost, scratch=scratch.estimate).saved
        for cost, scratch in pairs
        if scratch.estimate is not None
    ]
    lower = [_bound(cost, scratch, "lower") for cost, scratch in pairs]
    upper = [_bound(cost, scratch, "upper") for cost, scratch in pairs]
    whole = len(known) == len(pairs)
    better = [
        cost.scratch.loss - each.loss
        for cost, each in zip(costs, found, strict=True)
        if cost.scratch.loss is not None
    ]
    if flops is None:
        raise ValueError("an account of no seed")
    return Saved(
        convention=costs[0].convention,
        flops=flops,
        saved=interval(known) if whole else None,
        over=None if whole else _least(lower),
        under=None if whole else _most(upper),
        better=interval(better) if len(better) == len(found) else None,
    )


def _bound(cost: float, scratch: ScratchCompute, side: str) -> float | None:
    """Return what was saved at the estimate or, without one, at a bound; None where neither is."""
    limit = scratch.lower if side == "lower" else scratch.upper
    against = scratch.estimate if scratch.estimate is not None else limit
    return None if against is None else saving(cost, scratch=against).saved


def _least(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _time(found: Sequence[Account]) -> Time:
    count = len(found)
    scratch = [_scratch_seconds(each) for each in found]
    known = [seconds for seconds in scratch if seconds is not None]
    whole = len(known) == count
    shares = [
        saving(each.stage.seconds_before + each.stage.seconds, scratch=seconds).saved
        for each, seconds in zip(found, scratch, strict=True)
        if seconds
    ]
    return Time(
        parents=math.fsum(each.stage.seconds_before for each in found) / count,
        stage=math.fsum(each.stage.seconds for each in found) / count,
        scratch=math.fsum(known) / count if whole else None,
        saved=interval(shares) if len(shares) == count else None,
    )


def _scratch_seconds(found: Account) -> float | None:
    """Return the time in which training from scratch does the compute that it needs."""
    flops = math.fsum(control.flops for control in found.controls)
    seconds = math.fsum(control.seconds for control in found.controls)
    if found.scratch.estimate is None or flops <= 0 or seconds <= 0:
        return None
    return found.scratch.estimate * seconds / flops


def _tried(views: Sequence[RunView], design: Design, best: set[str]) -> list[Tried]:
    rows: list[Tried] = []
    for trial in (trial for tried in design.controls.values() for trial in tried):
        stages = [stage for view in views if (stage := _named(view, trial.name)) is not None]
        losses = [loss for stage in stages if (loss := final_loss(stage)) is not None]
        rates = [other.peak_lr for other in design.controls[trial.compute]]
        if losses:
            rows.append(
                Tried(
                    compute=trial.compute,
                    flops=stages[0].flops,
                    peak_lr=trial.peak_lr,
                    schedule=trial.schedule,
                    losses=tuple(losses),
                    best=trial.name in best,
                    at_edge=trial.name in best and trial.peak_lr in (min(rates), max(rates)),
                )
            )
    return rows


def _continued(views: Sequence[RunView], design: Design) -> Continued | None:
    if design.continued is None:
        return None
    pairs: list[tuple[StageView, float, float | None]] = []
    for view in views:
        stage = _named(view, design.continued)
        loss = final_loss(stage) if stage is not None else None
        if stage is not None and loss is not None:
            pairs.append((stage, loss, _child_loss(view, stage, design)))
    loss = interval([ended for _, ended, _ in pairs])
    if loss is None:
        return None
    behind = [ended - child for _, ended, child in pairs if child is not None]
    stage = pairs[0][0]
    return Continued(
        name=stage.name, flops=stage.flops_before + stage.flops, loss=loss, behind=interval(behind)
    )


def _child_loss(view: RunView, stage: StageView, design: Design) -> float | None:
    """Return the final loss of the recipe's own child of the parent that was trained on."""
    own = {arm.name for arm in design.arms if not arm.differs}
    child = next(
        (each for each in view.stages if each.name in own and each.parent == stage.parent), None
    )
    return final_loss(child) if child is not None else None
