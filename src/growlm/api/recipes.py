"""Recipes and runs from Python: draft, check, plan, carry out, watch and write them up."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from growlm.api.checkpoints import Checkpoint, load
from growlm.api.places import Place, Tell, nobody, place_of, told
from growlm.base.errors import RecipeError
from growlm.base.memory import settle_allocator
from growlm.base.units import parse_bytes
from growlm.base.version import VERSION
from growlm.pipeline import checking, doctoring, fitting, planning, studying
from growlm.pipeline.comparing import check_place, compare
from growlm.pipeline.events import Stop
from growlm.pipeline.folder import owned
from growlm.pipeline.open import demo_recipe, plan_of, recorded_run, run_of
from growlm.pipeline.plan import Plan
from growlm.pipeline.run import (
    Run,
    cautioned,
    everything,
    log as log_step,
    prepare as prepare_steps,
    train as train_steps,
)
from growlm.pipeline.watching import Standing, Watch
from growlm.recipe import drafting, schema as schemas
from growlm.recipe.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe's file, and changes to it as ``--set`` takes them: ``stage.base.tokens=1M``."""

    path: Place
    overrides: tuple[str, ...] = ()

    @property
    def experiment(self) -> Experiment:
        """All that it says.

        Raises:
            RecipeError: It is not a recipe, or asks for the impossible.
        """
        return self._plan.experiment

    @property
    def out(self) -> Path:
        """The run's folder, unless another one is named."""
        return Path("runs") / self.experiment.name

    @property
    def _plan(self) -> Plan:
        return plan_of(Path(self.path), self.overrides)

    def check(self, *, out: Place | None = None) -> checking.Table:
        """Return what it will do and cost.

        Raises:
            GrowlmError: Something cannot work.
        """
        plan = self._plan
        return checking.table(plan, owned(Path(out or self.out), name=plan.experiment.name))

    def prepare(self, *, out: Place | None = None, tell: Tell = nobody) -> Path:
        """Make tokenizer and shards, as far as they are not there; return the run's folder.

        Raises:
            GrowlmError: Something cannot work, or did not.
        """
        with _opened(self, out) as job:
            told(prepare_steps(job), tell)
            return job.folder.path

    def run(
        self, *, out: Place | None = None, allow_fallback: bool = False, tell: Tell = nobody
    ) -> Path:
        """Carry all of it out, as far as it is not done; return the run's folder.

        Raises:
            GrowlmError: Something cannot work, or did not.
        """
        with _opened(self, out, allow_fallback=allow_fallback) as job:
            told(everything(job), tell)
            return job.folder.path


def new(
    recipe: Place,
    *,
    size: str = "124M",
    source: Sequence[str] = (drafting.BUILTIN,),
    tokens: int | None = None,
    context: int | None = None,
    control: bool = False,
    alone: bool = False,
) -> Recipe:
    """Write a recipe with comments.

    Args:
        recipe: A file that is not there yet.
        size: Of the model at the end: ``1M``, ``12M``, ``124M``, ``350M`` or ``760M``.
        source: Files, folders, globs or addresses of text; ``builtin`` for what Python carries.
        tokens: To train on, before any control; 20 for each parameter when None.
        context: In tokens; what goes well with the size when None.
        control: Whether the grown shape is trained from scratch too.
        alone: Whether there is one stage, rather than a base that is grown.

    Raises:
        StorageError: Something is there.
        RecipeError: There is no such size, or nothing to compare with.
    """
    path = Path(recipe)
    draft = drafting.Draft(
        name=path.stem,
        size=size,
        sources=tuple(source),
        tokens=tokens,
        context=context,
        grown=not alone,
        control=control,
    )
    drafting.write(path, draft)
    return Recipe(path)


def check(recipe: Recipe | Place, *, out: Place | None = None) -> checking.Table:
    """Return what a recipe will do and cost.

    Raises:
        GrowlmError: Something cannot work.
    """
    return _recipe(recipe).check(out=out)


def plan(
    recipe: Recipe | Place,
    *,
    device_memory: int | str,
    devices: int = 1,
    devices_per_node: int | None = None,
    on: Literal["cuda", "cpu"] = "cuda",
    price: float | None = None,
    tokens_per_second: float | None = None,
    mfu: float | None = None,
    peak_flops: float | None = None,
    out: Place | None = None,
) -> planning.Outlook:
    """Return whether a recipe fits its devices, what would help, how long, how much.

    Args:
        recipe: The recipe.
        device_memory: Of each device: bytes, or words such as ``80GiB``.
        devices: How many share each batch.
        devices_per_node: How many of them are in one node; all when None.
        on: What they are.
        price: Of each device, an hour.
        tokens_per_second: Of each device; what the run's log says when None.
        mfu: The share of ``peak_flops`` that is reached, where no run log says.
        peak_flops: FLOPs per second of each device, at most.
        out: The run's folder; ``runs/NAME`` when None.

    Raises:
        RecipeError: The devices make no whole nodes, or half of a speed is named.
    """
    chosen = _recipe(recipe)
    planned, path = plan_of(Path(chosen.path), chosen.overrides), Path(out or chosen.out)
    machine = fitting.Machine(
        place=on,
        memory_bytes=_bytes(device_memory),
        devices=devices,
        node_devices=devices_per_node or devices,
        price_per_hour=price,
    )
    speed = planning.Assumption(tokens_per_second=tokens_per_second, mfu=mfu, peak_flops=peak_flops)
    folder = owned(path, name=planned.experiment.name)
    return planning.outlook(planned, machine, speed, path=path, folder=folder)


def prepare(recipe: Recipe | Place, *, out: Place | None = None, tell: Tell = nobody) -> Path:
    """Make tokenizer and shards, as far as they are not there; return the run's folder.

    Raises:
        GrowlmError: Something cannot work, or did not.
    """
    return _recipe(recipe).prepare(out=out, tell=tell)


def run(
    recipe: Recipe | Place,
    *,
    out: Place | None = None,
    allow_fallback: bool = False,
    tell: Tell = nobody,
) -> Path:
    """Carry a whole recipe out, as far as it is not done; return the run's folder.

    Args:
        recipe: The recipe.
        out: The run's folder; ``runs/NAME`` when None.
        allow_fallback: Set a damaged checkpoint aside, and go on from the one before it.
        tell: Told of every event.

    Raises:
        GrowlmError: Something cannot work, or did not; what was whole is kept.
    """
    return _recipe(recipe).run(out=out, allow_fallback=allow_fallback, tell=tell)


def demo(*, overrides: tuple[str, ...] = (), out: Place | None = None, tell: Tell = nobody) -> Path:
    """Run the demo's recipe, on text that every Python carries; return the run's folder.

    Raises:
        GrowlmError: Something did not work.
    """
    return Recipe(demo_recipe(), overrides).run(out=out, tell=tell)


def study(
    recipe: Recipe | Place,
    *,
    out: Place | None = None,
    allow_fallback: bool = False,
    tell: Tell = nobody,
) -> Path:
    """Carry a recipe's study out, as far as it is not done; return its folder.

    Args:
        recipe: The recipe, with a study.
        out: The study's folder; ``runs/NAME`` when None.
        allow_fallback: Set a damaged checkpoint aside, and go on from the one before it.
        tell: Told of every event.

    Raises:
        GrowlmError: Something cannot work, or did not; what was whole is kept.
    """
    settle_allocator(os.environ)
    chosen = _recipe(recipe)
    found = studying.study_of(
        Path(chosen.path),
        chosen.overrides,
        out=place_of(out),
        stop=Stop(),
        version=VERSION,
        allow_fallback=allow_fallback,
    )
    told(studying.carry_out(found), tell)
    return found.path


def train(
    recipe: Recipe | Place,
    *,
    stage: str,
    out: Place | None = None,
    allow_fallback: bool = False,
    tell: Tell = nobody,
) -> Checkpoint:
    """Train one stage of a recipe, and what it grows from, as far as they are not trained.

    Args:
        recipe: The recipe.
        stage: The stage's name.
        out: The run's folder; ``runs/NAME`` when None.
        allow_fallback: Set a damaged checkpoint aside, and go on from the one before it.
        tell: Told of every event.

    Raises:
        GrowlmError: Something cannot work, or did not; what was whole is kept.
    """
    with _opened(_recipe(recipe), out, allow_fallback=allow_fallback) as job:
        planned = job.plan.stage(stage)
        told(cautioned(job, job.plan.ancestry(planned)), tell)
        told(prepare_steps(job), tell)
        told(train_steps(job, planned), tell)
        return load(job.folder.final(stage))


def log(*runs: Place, out: Place | None = None, tell: Tell = nobody) -> Path:
    """Write a run's training log anew, or lay several over each other; return where it lies.

    Args:
        runs: The runs' folders.
        out: Where the page of several runs goes; that of one stands in its own folder.
        tell: Told of every event.

    Raises:
        FolderError: One of them is no run's folder.
        RecipeError: Several runs have no place for their page, or one has.
    """
    places, place = [Path(each) for each in runs], place_of(out)
    check_place(places, place)
    if place is not None:
        compare(places, place, version=VERSION)
        return place
    job = recorded_run(places[0], stop=Stop(), version=VERSION)
    told(log_step(job), tell)
    return job.folder.path


def watch(*runs: Place) -> tuple[Standing, ...]:
    """Return how each stage of runs in progress stands, as of now.

    Raises:
        FolderError: One of them is no run's folder.
    """
    return tuple(Watch([Path(each) for each in runs]).look())


def doctor(place: Place = ".") -> tuple[doctoring.Finding, ...]:
    """Return what this machine has, and what to do for what it lacks.

    Args:
        place: Whose disk is looked at.
    """
    return tuple(doctoring.findings(Path(place)))


def schema() -> str:
    """Return the recipe's JSON Schema."""
    return schemas.schema()


@contextmanager
def _opened(
    recipe: Recipe, out: Place | None, *, allow_fallback: bool = False
) -> Generator[Run, None, None]:
    settle_allocator(os.environ)
    with run_of(
        Path(recipe.path),
        recipe.overrides,
        out=place_of(out),
        stop=Stop(),
        version=VERSION,
        allow_fallback=allow_fallback,
    ) as job:
        yield job


def _recipe(recipe: Recipe | Place) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else Recipe(recipe)


def _bytes(memory: int | str) -> int:
    if isinstance(memory, int):
        return memory
    try:
        return parse_bytes(memory)
    except ValueError as error:
        raise RecipeError(
            f"device_memory to be {error}", got=f"'{memory}'", fix="device_memory='16GiB'"
        ) from None
