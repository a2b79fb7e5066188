"""Learning rates: from a recipe's schedule to the function that training follows, and to words."""

from growlm.base.errors import RecipeError
from growlm.optim.schedule import Cosine, Rewarm, Schedule, WarmupStableDecay
from growlm.recipe.optimizer import Rewarm as RewarmSection, Schedule as ScheduleSection


def schedule_of(section: ScheduleSection, *, steps: int) -> Schedule:
    """Return the schedule of a stage.

    Raises:
        RecipeError: Its warm-up is as long as the stage.
    """
    if section.warmup_steps >= steps:
        raise RecipeError(
            f"schedule.warmup_steps below the stage's {steps} steps",
            got=str(section.warmup_steps),
            fix=f"warmup_steps={max(steps // 20, 1)}",
        )
    if section.kind == "cosine":
        return Cosine(
            warmup_steps=section.warmup_steps, steps=steps, final_share=section.final_lr_share
        )
    return WarmupStableDecay(
        warmup_steps=section.warmup_steps,
        steps=steps,
        decay_steps=max(1, round(steps * section.decay_share)),
        final_share=section.final_lr_share,
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


def words(schedule: Schedule, rewarm: Rewarm | None) -> dict[str, str]:
    """Return what a stage's learning rate does, by name, for people."""
    end = f"to {schedule.final_share:.0%} of the peak"
    decay = (
        f"cosine {end}"
        if isinstance(schedule, Cosine)
        else f"warmup-stable-decay, the last {schedule.decay_steps:,} steps {end}"
    )
    told = {"warm-up": f"{schedule.warmup_steps:,} steps", "schedule": decay}
    if rewarm is not None:
        rise = f"{rewarm.factor:g} times the others after {rewarm.rising_steps:,} steps"
        told["new parameters"] = f"{rise}, then down to their minimum"
    return told
