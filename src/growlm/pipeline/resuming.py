"""Resuming a parent's schedule: what is known of it, and the step from which a child goes on."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from growlm.base.errors import CheckpointError, RecipeError
from growlm.checkpoint import Meta, read_meta
from growlm.optim.schedule import (
    Constant,
    Cosine,
    Law,
    Linear,
    Resumed,
    WarmupStableDecay,
    rescaled,
)
from growlm.pipeline.folder import LOG
from growlm.pipeline.stageplan import StagePlan
from growlm.runlog import AnyRecord, ValidationLoss, read
from growlm.training.validation import mixed_loss

LAWS: dict[str, type[Law]] = {
    "cosine": Cosine,
    "linear": Linear,
    "warmup-stable-decay": WarmupStableDecay,
    "constant": Constant,
}
"""Every law, by the name that checkpoints and recipes use."""

ANEW = 'kind = "warmup-stable-decay"'
"""What to try where nothing can be resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A parent's schedule, and where on it the parent stopped."""

    law: Law
    start: int
    """The law's step at which the parent's stage began."""
    steps: int
    """Steps that the parent did in its stage."""
    batch_tokens: int
    """Tokens of one of its steps."""

    def resumed(self, step: int, *, batch_tokens: int, steps: int, warmup_steps: int) -> Resumed:
        """Return the schedule of a child that goes on after so many steps of the parent's.

        Args:
            step: A step of the parent's stage.
            batch_tokens: Tokens of one of the child's steps; where they differ from the parent's,
                the law is counted in the child's.
            steps: The child's steps.
            warmup_steps: Steps in which the child's rate rises to the law's.
        """
        factor = self.batch_tokens / batch_tokens
        law = rescaled(
            self.law,
            steps=max(1, round(self.law.steps * factor)),
            warmup_steps=round(self.law.warmup_steps * factor),
        )
        start = round((self.start + step) * factor)
        return Resumed(law=law, start=start, steps=steps, warmup_steps=warmup_steps)


def course_of_stage(stage: StagePlan) -> Course:
    """Return the course of a parent that is a stage of the same recipe."""
    law, start = _position(stage)
    return Course(law=law, start=start, steps=stage.pace.steps, batch_tokens=stage.batch_tokens)


def course_facts(stage: StagePlan) -> dict[str, Any]:
    """Return what a checkpoint must say of its stage's schedule so that a child can resume it."""
    law, start = _position(stage)
    (kind,) = (kind for kind, each in LAWS.items() if isinstance(law, each))
    return {
        "batch_tokens": stage.batch_tokens,
        "schedule": {"kind": kind, **asdict(law)},
        "schedule_start": start,
    }


def _position(stage: StagePlan) -> tuple[Law, int]:
    if isinstance(stage.schedule, Resumed):
        return stage.schedule.stretched, stage.schedule.start
    return stage.schedule, 0


def course_of_checkpoint(path: Path, meta: Meta) -> Course:
    """Return the course of a parent that is a checkpoint.

    Raises:
        RecipeError: It does not say how its schedule went, as one that was imported.
    """
    facts = dict(meta.training)
    schedule = dict(facts.get("schedule", {}))
    try:
        return Course(
            law=LAWS[schedule.pop("kind")](**schedule),
            start=facts["schedule_start"],
            steps=meta.step,
            batch_tokens=facts["batch_tokens"],
        )
    except (KeyError, TypeError):
        raise RecipeError(
            "a parent that says how its learning rate went, for schedule.kind = resume",
            got=f"none said in {path}, which no stage of a recipe ended with",
            fix=ANEW,
        ) from None


def check_comparable(stage: StagePlan, earlier: Sequence[StagePlan]) -> None:
    """Refuse to resume where the losses of parent and child could not be compared, if they must be.

    Raises:
        RecipeError: The growth is not exact, and the contexts, the masking of documents, the tokens
            or the sources differ, or the parent's run log is not beside it.
    """
    origin = stage.origin
    if not (isinstance(stage.schedule, Resumed) and origin.plan and origin.plan.departures):
        return
    why = "growth that is not exact, whose losses schedule.kind = resume compares with the parent's"
    if origin.plan.new_tokens or origin.spare_rows:
        raise RecipeError(f"the parent's tokens in a {why}", got="new ones", fix=ANEW)
    parent = next((each for each in earlier if each.name == origin.parent), None)
    path = origin.parent_path
    theirs = _sight(parent) if parent else read_meta(path).training if path else {}
    for key, ours in _sight(stage).items():
        was = theirs.get(key, False if key == "document_masking" else None)
        if was != ours:
            raise RecipeError(
                f"the parent's {key}, {json.dumps(was)}, in a {why}",
                got=f"{key} = {json.dumps(ours)}",
                fix=f"{key} = {json.dumps(was)}, or an exact growth",
            )
    known = set(parent.weights) if parent else {*_sources(path)} if path else set[str]()
    if missing := sorted(set(stage.weights) - known):
        raise RecipeError(
            f"a parent with a log of its losses on {', '.join(missing)}, for a {why}",
            got="one without",
            fix=f"{ANEW}, or an exact growth",
        )


def _sight(stage: StagePlan) -> dict[str, int | bool]:
    """Return what says how much a token sees, and with it what a loss means, as checkpoints do."""
    return {"context": stage.context, "document_masking": stage.document_masking}


def _sources(path: Path) -> Iterator[str]:
    """Yield the sources that a parent outside the recipe was validated on."""
    log = _log_beside(path)
    for record in read(log) if log else ():
        if isinstance(record, ValidationLoss):
            yield from record.losses


def _log_beside(path: Path) -> Path | None:
    """Return the run log of the stage that a checkpoint was saved in, or is the average of."""
    places = (path.parent / LOG, path.parent / "training" / LOG)
    return next((place for place in places if place.is_file()), None)


def settled(stage: StagePlan, start: int) -> StagePlan:
    """Return a stage whose resumed schedule begins at a step of its law."""
    if not isinstance(stage.schedule, Resumed):
        return stage
    schedule = replace(stage.schedule, start=start)
    rewarm = replace(stage.rewarm, schedule=schedule) if stage.rewarm else None
    return replace(stage, schedule=schedule, rewarm=rewarm)


def resumed_at_first(
    stage: StagePlan, parent: Path, own: Sequence[AnyRecord]
) -> tuple[StagePlan, str]:
    """Return a stage whose schedule is settled before its first step, and what was found.

    Args:
        stage: With a resumed schedule.
        parent: The parent's checkpoint.
        own: The child's run log, which has its loss at step 0.

    Raises:
        CheckpointError: The parent's run log does not hold what it is compared with.
    """
    schedule = stage.schedule
    if not isinstance(schedule, Resumed):
        return stage, ""
    meta = read_meta(parent)
    course = course_of_checkpoint(parent, meta)
    step, why = course.steps, "its last, since the growth is exact"
    if stage.origin.plan and stage.origin.plan.departures:
        loss = _curve(own, stage.weights)[0][1]
        step = matched_step(_parents_curve(parent, stage.weights, until=meta.step), loss)
        why = f"where its validation loss was the child's, {loss:.4f}"
    found = course.resumed(
        step,
        batch_tokens=stage.batch_tokens,
        steps=stage.pace.steps,
        warmup_steps=schedule.warmup_steps,
    )
    text = (
        f"stage '{stage.name}' resumes the schedule of its parent from the parent's step {step:,} "
        f"of {course.steps:,}, {why}; that is step {found.start:,} of now {found.stretched.steps:,}"
    )
    stage = replace(stage, schedule=found)
    return settled(stage, found.start), text


def _parents_curve(
    parent: Path, weights: Mapping[str, float], *, until: int
) -> list[tuple[int, float]]:
    log = _log_beside(parent)
    curve = _curve(read(log), weights) if log else []
    kept = [point for point in curve if point[0] <= until]
    if not kept:
        raise CheckpointError(
            f"a run log beside {parent} with validation losses on {', '.join(weights)}",
            got="none",
            fix=f"the folder that it was trained in, or {ANEW}",
        )
    return kept


def _curve(
    records: Iterator[AnyRecord] | Sequence[AnyRecord], weights: Mapping[str, float]
) -> list[tuple[int, float]]:
    """Return the validation losses of a run log by step, mixed by the same weights."""
    return [
        (each.step, loss)
        for each in records
        if isinstance(each, ValidationLoss) and set(weights) <= set(each.losses)
        if math.isfinite(loss := mixed_loss({name: each.losses[name] for name in weights}, weights))
    ]


def matched_step(curve: Sequence[tuple[int, float]], loss: float) -> int:
    """Return the first step at which a curve is down at a loss, along lines between its points.

    It is the last step of the curve where that never comes so low.

    >>> matched_step([(0, 5.0), (100, 4.0), (200, 3.5)], 4.25)
    75

    Args:
        curve: Steps, rising, and losses.
        loss: What is looked for.
    """
    if curve[0][1] <= loss:
        return curve[0][0]
    for (before, above), (after, below) in pairwise(curve):
        if below <= loss:
            return before + round((after - before) * (above - loss) / (above - below))
    return curve[-1][0]
