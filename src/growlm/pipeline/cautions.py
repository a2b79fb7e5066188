"""Cautions: what a plan should be told before it costs anything, though nothing in it is wrong."""

from collections.abc import Iterator

from growlm.checkpoint import read_meta
from growlm.growth.advise import is_annealed
from growlm.growth.symmetry import locked
from growlm.pipeline.plan import Plan
from growlm.pipeline.stageplan import StagePlan

AVERAGES = {"averaged": "an average of checkpoints", "ema": "a moving average of weights"}
"""What a checkpoint is whose facts about training hold one of these."""


def cautions(plan: Plan, stage: StagePlan) -> Iterator[str]:
    """Yield what should be said of a stage before it is trained, one sentence each."""
    yield from _annealed(plan, stage)
    yield from _locked(stage)
    if stage.origin.spare_rows:
        yield (
            f"stage '{stage.name}': its tokenizer's first {stage.origin.spare_rows:,} new ids take "
            f"rows that '{stage.origin.parent_path}' has to spare, as they are; nothing says what "
            "these hold"
        )


def _locked(stage: StagePlan) -> Iterator[str]:
    """Say that some copies would stay copies, which is known when the parent is."""
    grow, plan, path = stage.origin.grow, stage.origin.plan, stage.origin.parent_path
    if grow is None or plan is None:
        return
    stateless = path is not None and not read_meta(path).keeps_optimizer
    if spaces := locked(plan, "drop" if stateless else grow.optimizer_state):
        yield (
            f"stage '{stage.name}': copies of {', '.join(spaces)} start equal and nothing parts "
            'them, so they add nothing; units = "noised" parts them'
        )


def _annealed(plan: Plan, stage: StagePlan) -> Iterator[str]:
    """Say that a parent's learning rate will have run down, or that it is an average."""
    parent, path = stage.origin.parent, stage.origin.parent_path
    share = _rate_left(plan, stage)
    averaged = None
    if path is not None:
        facts = read_meta(path).training
        averaged = next((what for fact, what in AVERAGES.items() if fact in facts), None)
    if not (averaged or is_annealed(share)):
        return
    how = averaged or f"at {share:.0%} of its peak learning rate"
    instead = (
        "an earlier checkpoint of its stage"
        if path is not None
        else f"stage.{parent}.schedule.final_lr_share = 1.0 keeps one on its plateau"
    )
    yield (
        f"stage '{stage.name}' grows from '{path or parent}', {how}: annealed parents are reported "
        f"to make worse children (arXiv:2510.08008, known at second hand); {instead}"
    )


def _rate_left(plan: Plan, stage: StagePlan) -> float | None:
    """Return a parent's last learning rate over its peak; None where there is none, or unknown."""
    if stage.origin.parent is not None:
        parent = plan.stage(stage.origin.parent)
        return parent.schedule(parent.pace.steps - 1)
    path = stage.origin.parent_path
    return read_meta(path).training.get("lr_share_of_peak") if path is not None else None
