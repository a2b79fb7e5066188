"""Learning rates: from a recipe's schedule to the function that training follows, and to words."""

from growlm.base.errors import RecipeError
from growlm.optim.schedule import (
    Constant,
    Cosine,
    Linear,
    Resumed,
    Rewarm,
    Schedule,
    WarmupStableDecay,
)
from growlm.pipeline.resuming import Course
from growlm.pipeline.stageplan import StagePlan
from growlm.recipe.optimizer import Rewarm as RewarmSection, Schedule as ScheduleSection


def schedule_of(
    section: ScheduleSection, *, steps: int, batch_tokens: int, parent: Course | None
) -> Schedule:
    """Return the schedule of a stage.

    A resumed one begins at the parent's last step; after a growth that is not exact, training
    settles the step when it knows the child's loss.

    Args:
        section: The recipe's.
        steps: Steps of the stage.
        batch_tokens: Tokens of one of them.
        parent: The schedule to resume, if there is one.

    Raises:
        RecipeError: Its warm-up is as long as the stage, or there is nothing to resume.
    """
    if section.warmup_steps >= steps:
        raise RecipeError(
            f"schedule.warmup_steps below the stage's {steps} steps",
            got=str(section.warmup_steps),
            fix=f"warmup_steps={max(steps // 20, 1)}",
        )
    if section.kind == "resume":
        if parent is None:
            raise RecipeError("a parent whose schedule to resume", got="none", fix='"cosine"')
        return parent.resumed(
            parent.steps,
            batch_tokens=batch_tokens,
            steps=steps,
            warmup_steps=section.warmup_steps,
        )
    if section.kind == "constant":
        return Constant(warmup_steps=section.warmup_steps, steps=steps)
    if section.kind == "warmup-stable-decay":
        return WarmupStableDecay(
            warmup_steps=section.warmup_steps,
            steps=steps,
            decay_steps=max(1, round(steps * section.decay_share)),
            final_share=section.final_lr_share,
        )
    falling = Cosine if section.kind == "cosine" else Linear
    return falling(
        warmup_steps=section.warmup_steps, steps=steps, final_share=section.final_lr_share
    )


def rewarm_of(section: RewarmSection | None, schedule: Schedule, *, steps: int) -> Rewarm | None:
    """Return how much faster a stage's new parameters learn, if they do.

    Raises:
        RecipeError: They would rise before the others have, or to the end.
    """
    if section is None:
        return None
    if not schedule.warmup_steps <= section.steps < steps:
        raise RecipeError(
            f"schedule.rewarm.steps from the {schedule.warmup_steps} of the warm-up to below the "
            f"stage's {steps}",
            got=str(section.steps),
            fix=f"steps = {max(schedule.warmup_steps, steps // 10, 1)}",
        )
    return Rewarm(schedule=schedule, steps=steps, rising_steps=section.steps, factor=section.factor)


def words(stage: StagePlan) -> dict[str, str]:
    """Return what a stage's learning rate does, by name, for people."""
    schedule, rewarm = stage.schedule, stage.rewarm
    told = {
        "peak learning rate": f"{stage.optimizer.peak_lr:g}",
        "warm-up": f"{schedule.warmup_steps:,} steps",
        "schedule": _course(schedule) + _resumption(stage),
    }
    if rewarm is not None:
        rise = f"{rewarm.factor:g} times the others after {rewarm.rising_steps:,} steps"
        told["new parameters"] = f"{rise}, then down to their minimum"
    return told


def _course(schedule: Schedule) -> str:
    law = schedule.stretched if isinstance(schedule, Resumed) else schedule
    end = f"to {law.final_share:.0%} of the peak"
    if isinstance(law, Constant):
        return "constant at the peak"
    if not isinstance(law, WarmupStableDecay):
        return f"{'cosine' if isinstance(law, Cosine) else 'linear'} {end}"
    return f"warmup-stable-decay, the last {law.decay_steps:,} steps {end}"


def _resumption(stage: StagePlan) -> str:
    if not isinstance(stage.schedule, Resumed):
        return ""
    if stage.origin.plan is not None and stage.origin.plan.departures:
        return ", the parent's, resumed where its validation loss was the child's"
    last = stage.schedule.stretched.steps
    return f", the parent's, resumed at step {stage.schedule.start:,} of now {last:,}"
