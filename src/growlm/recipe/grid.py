"""A study's stages: the recipe's own, their variations by the grid, and the controls to tune."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from growlm.base.errors import RecipeError
from growlm.base.files import digest_of
from growlm.base.units import parse_count
from growlm.recipe.optimizer import Schedule
from growlm.recipe.study import PARENT, Grid, Study

CONTINUED = "continued"
"""What the name of a parent that is trained on ends with."""

AT_THE_END = {"validate_every": 10**15}
"""What a study's stage says of validation unless the recipe does: its last step alone counts."""

LONGEST_NAME = 64
"""Characters of a stage's name."""

Table = dict[str, Any]
"""A recipe's values, or those of a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to grow, for which savings are told."""

    name: str
    """Its stage."""
    differs: str
    """What sets it apart from the recipe's own stage, in words; empty for that one itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One try at being a control: the best of those of a compute is one."""

    name: str
    """Its stage."""
    compute: float
    peak_lr: float
    schedule: str
    """In words; empty where the control's own is the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Which stage of a study's runs is what."""

    arms: tuple[Arm, ...]
    continued: str | None
    """The parent trained on, if it is."""
    controls: Mapping[float, tuple[Trial, ...]]
    """All that is tried from scratch, by compute."""
    children: int
    """Children that share a parent between charged and free."""
    tuned_anew: bool
    """Whether every seed tries all of them."""
    follows: bool
    """Whether all other stages train at the best learning rate of the control."""

    def controlled(self) -> frozenset[str]:
        """Return the names of all controls."""
        return frozenset(trial.name for tried in self.controls.values() for trial in tried)

    def peak_lr(self, best: Mapping[float, Trial]) -> float | None:
        """Return the learning rate of all but the controls, where they follow them.

        Args:
            best: The control of each compute.
        """
        nearest = min(best, key=lambda compute: abs(math.log(compute)))
        return best[nearest].peak_lr if self.follows else None


def spread(values: Mapping[str, Any], study: Study) -> tuple[list[Table], Design]:
    """Return all stages of a study, as a recipe's values, and which of them is what.

    Args:
        values: The recipe's values, which are a recipe's.
        study: Its section.

    Raises:
        RecipeError: Two variations are the same, or a value stands where a table should.
    """
    own: list[Table] = [AT_THE_END | stage for stage in values["stage"]]
    stages: dict[str, Table] = {}
    arms: list[Arm] = []
    parents = {stage["grow"]["from"] for stage in own if "grow" in stage}
    (control,) = (stage for stage in own if "control" in stage)
    for stage in own:
        if stage is control:
            continue
        stages[stage["name"]] = stage
        if "grow" in stage and stage["name"] not in parents:
            arms.append(Arm(name=stage["name"], differs=""))
        for grid in study.grid:
            if grid.stage == stage["name"]:
                for arm, added in _variations(stage, own, grid):
                    _check_new(arm, added, stages)
                    stages |= added
                    arms.append(arm)
    grown = stages[control["control"]["of"]]
    continued = _continued(grown, own) if study.continued else None
    if continued is not None:
        stages[continued["name"]] = continued
    trials = list(_trials(control, study))
    design = Design(
        arms=tuple(arms),
        continued=continued["name"] if continued else None,
        controls={
            compute: tuple(trial for trial, _ in trials if trial.compute == compute)
            for compute in study.compute
        },
        children=study.children,
        tuned_anew=study.tuned == "every",
        follows=study.stages_lr == "control",
    )
    return [*stages.values(), *(stage for _, stage in trials)], design


def for_seed(
    values: Mapping[str, Any],
    stages: Sequence[Table],
    design: Design,
    *,
    seed: int,
    best: Mapping[float, Trial] | None,
    peak_lr: float | None = None,
) -> Table:
    """Return the recipe of one seed's run: an ordinary recipe, in which nothing is left to vary.

    Args:
        values: The study's recipe.
        stages: All of its stages.
        design: Which of them is what.
        seed: The seed.
        best: The control of each compute; all that is tried when None.
        peak_lr: The learning rate of all other stages; their own when None.
    """
    controls = design.controlled()
    chosen = controls if best is None else {trial.name for trial in best.values()}
    left_out = controls - chosen
    kept = [
        stage if stage["name"] in controls or peak_lr is None else _at(stage, peak_lr)
        for stage in stages
        if stage["name"] not in left_out
    ]
    rest = {key: value for key, value in values.items() if key != "study"}
    return rest | {"seed": seed, "stage": kept}


def _at(stage: Table, peak_lr: float) -> Table:
    return stage | {"optimizer": stage.get("optimizer", {}) | {"peak_lr": peak_lr}}


def _check_new(arm: Arm, added: Mapping[str, Table], stages: Mapping[str, Table]) -> None:
    """Refuse a variation that is there already; parents that are the same are shared."""
    for name, table in added.items():
        if name in stages and (name == arm.name or stages[name] != table):
            raise RecipeError(
                "variations of study.grid that differ from the recipe's stage and from each other",
                got=f"'{name}' twice",
                fix="removing one of its values",
            )


def _variations(
    stage: Table, own: Sequence[Table], grid: Grid
) -> Iterator[tuple[Arm, dict[str, Table]]]:
    """Yield each combination of a grid with the stages that it adds: a parent, and the child."""
    parent = next((other for other in own if other["name"] == stage["grow"]["from"]), None)
    shares: tuple[float | None, ...] = grid.parent_share or (None,)
    combinations = itertools.product(*grid.values.values())
    for share, chosen in itertools.product(shares, combinations):
        child, elder = deepcopy(stage), deepcopy(parent or {})
        told, elders = list[str](), list[str]()
        for key, value in zip(grid.values, chosen, strict=True):
            if key.startswith(PARENT):
                _set(elder, key.removeprefix(PARENT), value, elders)
            else:
                _set(child, key, value, told)
        if share is not None:
            _share(elder, child, share)
            elders.append(f"share = {share:g}")
        added: dict[str, Table] = {}
        if elders and parent is not None:
            elder["name"] = _named(parent["name"], elders)
            child["grow"]["from"] = elder["name"]
            added[elder["name"]] = elder
        parents = [f"{PARENT}{each}" for each in elders]
        child["name"] = _named(stage["name"], [*parents, *told])
        added[child["name"]] = child
        yield Arm(name=child["name"], differs=", ".join([*parents, *told])), added


def _set(table: Table, key: str, value: Any, told: list[str]) -> None:
    """Set a dotted key, and note what changed by it."""
    *way, last = key.split(".")
    for name in way:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecipeError(
                f"study.grid's {key} to lead through tables",
                got=f"'{name}', which is a value",
                fix=name,
            )
        table = cast(Table, inner)
    if table.get(last) != value:
        told.append(f"{key} = {_written(value)}")
    table[last] = value


def _share(parent: Table, child: Table, share: float) -> None:
    """Share the tokens of both stages out anew, in whole batches of the parent's."""
    batch = _count(parent["batch"])
    whole = _count(parent["tokens"]) + _count(child["tokens"])
    parent["tokens"] = max(1, round(share * whole / batch)) * batch
    child["tokens"] = whole - parent["tokens"]


def _count(value: int | str) -> int:
    return parse_count(value) if isinstance(value, str) else value


def _named(name: str, told: Sequence[str]) -> str:
    """Return the name of a variation: its stage's, and what differs."""
    if not told:
        return name
    pairs = [each.split(" = ") for each in told]
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, value in pairs]
    whole = re.sub(r"[^a-z0-9._-]+", "-", ".".join([name, *parts]).lower())
    if len(whole) <= LONGEST_NAME:
        return whole
    return f"{whole[: LONGEST_NAME - 9]}-{digest_of([name, *told])[:8]}"


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _continued(grown: Table, own: Sequence[Table]) -> Table | None:
    """Return the stage that trains a parent on as its child is trained: it grows by nothing.

    Its tokens are those of the child; whoever plans it gives it the child's compute instead.
    """
    parent = next((other for other in own if other["name"] == grown["grow"]["from"]), None)
    if parent is None or "model" not in parent:
        return None
    state = grown["grow"].get("optimizer_state", "asymmetric")
    grow = {"from": parent["name"], "layers": parent["model"]["layers"], "optimizer_state": state}
    name = _named(parent["name"], [f"{CONTINUED} = {grown['name']}"])
    return {**deepcopy(grown), "name": name, "grow": grow}


def _trials(control: Table, study: Study) -> Iterator[tuple[Trial, Table]]:
    """Yield all that is tried from scratch, each with its stage."""
    own = control["schedule"]
    schedules = [(each.model_dump(exclude_unset=True), _said(each)) for each in study.schedule]
    for compute, (schedule, words), rate in itertools.product(
        study.compute, schedules or [(own, "")], study.peak_lr
    ):
        made = deepcopy(control)
        made["control"]["compute"] = compute
        made["optimizer"]["peak_lr"] = rate
        made["schedule"] = dict(schedule)
        name = f"{control['name']}-x{compute:g}-lr{rate:g}"
        made["name"] = _named(name, _apart(schedule, own))
        yield (
            Trial(name=made["name"], compute=compute, peak_lr=rate, schedule=words),
            made,
        )


def _said(schedule: Schedule) -> str:
    """Return a schedule in words, with what holds by default."""
    settings = schedule.model_dump(exclude_none=True)
    kind = settings.pop("kind")
    return ", ".join([kind, *(f"{key} = {_written(value)}" for key, value in settings.items())])


def _apart(schedule: Table, own: Table) -> list[str]:
    """Return what sets a schedule apart from the control's own, in words."""
    keys = dict.fromkeys([*schedule, *own])
    return [
        f"{key} = {_written(schedule.get(key, 'default'))}"
        for key in keys
        if schedule.get(key) != own.get(key)
    ]
