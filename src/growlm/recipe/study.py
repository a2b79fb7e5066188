"""The study section: a grid of runs that asks what growing saves, over seeds and with intervals."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from growlm.base.errors import RecipeError, nearest
from growlm.recipe.grow import is_checkpoint_path
from growlm.recipe.optimizer import Schedule, check_begins_anew
from growlm.recipe.stage import Stage
from growlm.recipe.values import Name, Section

PARENT = "parent."
"""What a grid's key begins with where it is one of the parent."""

PEAK_LR = "optimizer.peak_lr"

LEAST = 3
"""Horizons, and learning rates for each of them, that a scratch control must have."""

PartShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Value = bool | int | float | str


class Grid(Section, frozen=True):
    """Variations of a stage that grows: every combination of what it lists."""

    stage: Name
    """The stage that grows, whose variations these are."""

    parent_share: tuple[PartShare, ...] = ()
    """The parent's shares of the tokens of both stages, whose sum stays as it is."""

    values: dict[str, Annotated[tuple[Value, ...], Field(min_length=1)]] = Field(
        default_factory=dict[str, tuple[Value, ...]]
    )
    """Values of the stage's keys, as ``"grow.depth" = ["stack", "interleave"]``; a key of its
    parent begins with ``parent.``. A single value holds for all of the grid."""


class Study(Section, frozen=True):
    """A grid of runs with shared parents, carried out by ``growlm study``.

    The recipe's stages are its middle: parents, children, and one control, whose compute, learning
    rate and schedule are varied until it is the best that training from scratch can do.
    """

    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    """One run for each; three or more say what chance does."""

    compute: tuple[PositiveFloat, ...] = Field(default=(0.5, 1.0, 2.0), min_length=LEAST)
    """Compute of the controls, as in a control's own section."""

    peak_lr: tuple[PositiveFloat, ...] = Field(min_length=LEAST)
    """Peak learning rates tried for each of them."""

    schedule: tuple[Schedule, ...] = ()
    """Schedules tried with each of those rates; the control's own alone when empty. Where parents
    or children stay on a plateau, one with a plateau keeps what that saves apart from growing."""

    tuned: Literal["first", "every"] = "first"
    """The seeds that try every learning rate and schedule: the first, whose best ones go on to the
    others, or every seed, which then has its own controls: dearer, and safe where chance decides
    much."""

    stages_lr: Literal["control", "own"] = "control"
    """The peak learning rate of every other stage: the best one of the control with a compute of 1,
    or of the nearest to it, so that it is tuned for training from scratch alone; or its own."""

    children: PositiveInt = 2
    """Children that share a parent in the account between charged and free."""

    continued: bool = True
    """Train the parent on too, with as much compute as its child takes."""

    grid: tuple[Grid, ...] = ()
    """What is varied; each entry alone, beside the recipe's own stages."""


def check_study(study: Study, stages: Sequence[Stage]) -> None:
    """Check a study against the recipe's stages.

    Raises:
        RecipeError: The first thing that does not fit, with its key.
    """
    for key in ("seeds", "compute", "peak_lr"):
        _check_different(getattr(study, key), f"study.{key}")
    _check_different([each.model_dump() for each in study.schedule], "study.schedule")
    for number, schedule in enumerate(study.schedule, 1):
        check_begins_anew(schedule, f"study.schedule.#{number}")
    controls = [stage.name for stage in stages if stage.control is not None]
    if len(controls) != 1:
        raise RecipeError(
            "one stage with a control in a study, which its compute, peak_lr and schedule vary",
            got=", ".join(controls) or "none",
            fix="keeping one" if controls else 'a stage with control = { of = "..." }',
        )
    for grid in study.grid:
        _check_grid(grid, stages)
        if study.stages_lr == "control":
            _check_rates(grid)


def _check_rates(grid: Grid) -> None:
    varied = next((key for key in grid.values if key.removeprefix(PARENT) == PEAK_LR), None)
    if varied is not None:
        raise RecipeError(
            f'study.stages_lr = "own" where study.grid varies {varied}',
            got='"control", which sets it',
            fix='stages_lr = "own"',
        )


def _check_different(values: Sequence[Any], key: str) -> None:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise RecipeError(
                f"{key} to differ from each other",
                got=f"{_called(value)} twice",
                fix="removing one",
            )


def _called(value: Any) -> str:
    return f"the same {value['kind']}" if isinstance(value, dict) else str(value)


def _check_grid(grid: Grid, stages: Sequence[Stage]) -> None:
    growing = {stage.name: stage.grow for stage in stages if stage.grow is not None}
    if grid.stage not in growing:
        raise RecipeError(
            "study.grid.stage to name a stage that grows",
            got=f"'{grid.stage}'",
            fix=nearest(grid.stage, growing) if growing else "a stage with grow first",
        )
    if not grid.values and not grid.parent_share:
        raise RecipeError(
            f"study.grid of '{grid.stage}' to vary something", got="nothing", fix="adding values"
        )
    parents = [key for key in grid.values if key.startswith(PARENT)]
    varied = [*parents, *(["parent_share"] if grid.parent_share else [])]
    origin = growing[grid.stage].from_
    if varied and is_checkpoint_path(origin):
        raise RecipeError(
            f"a parent in the recipe, for study.grid to vary its {varied[0].removeprefix(PARENT)}",
            got=origin,
            fix="a stage that trains the parent",
        )
    for key in ("name", f"{PARENT}name", "grow.from"):
        if key in grid.values:
            raise RecipeError(
                f"study.grid of '{grid.stage}' to leave {key} as it is",
                got=f'"{key}" among its values',
                fix="removing it",
            )
