"""Opening: from a recipe's path, or a run's folder, to a plan that is ready to be carried out."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from growlm.base.errors import FolderError
from growlm.corpus.source_facts import NAME as FACTS
from growlm.pipeline.checking import check_disk, check_sources
from growlm.pipeline.events import Stop
from growlm.pipeline.folder import RECIPE, RunFolder, about, existing, opened, origin
from growlm.pipeline.plan import Plan, plan
from growlm.pipeline.run import Run
from growlm.recipe.experiment import Experiment
from growlm.recipe.read import read
from growlm.training.device import deterministic_algorithms
from growlm.training.parallel import ALONE, World

DEMO = Path("recipes/demo.toml")
"""The demo's recipe in a clone."""

PACKED = Path(__file__).parents[1] / "cli" / "demo.toml"
"""The same in a wheel; pyproject.toml puts it there."""


def demo_recipe() -> Path:
    """Return the demo's recipe, of the clone that this is, or of the wheel.

    Raises:
        FolderError: It is neither.
    """
    found = next((path for path in (DEMO, PACKED) if path.is_file()), None)
    if found is None:
        raise FolderError(
            f"{DEMO} in this folder", got=str(Path.cwd()), fix="growlm demo in a clone of growlm"
        )
    return found


def plan_of(recipe: Path, overrides: Sequence[str]) -> Plan:
    """Return the plan of a recipe's file.

    Raises:
        RecipeError: It is not a recipe, or asks for the impossible.
        StorageError: It cannot be read.
    """
    folder, changes = origin(recipe, overrides)
    return plan(read(recipe, changes), recipe_folder=folder)


@contextmanager
def run_of(
    recipe: Path,
    overrides: Sequence[str],
    *,
    out: Path | None,
    stop: Stop,
    version: str,
    allow_fallback: bool = False,
    world: World = ALONE,
) -> Generator[Run, None, None]:
    """Check everything that can be checked, then open the run's folder for this process alone.

    Of many ranks the first one does; the others read what it finds and makes.

    Args:
        recipe: The recipe's file.
        overrides: The command line's changes to it.
        out: The run's folder; ``runs/NAME`` when None.
        stop: Says whether somebody asked the run to stop.
        version: growlm's, for the log.
        allow_fallback: Whether training may go on from an earlier checkpoint than a damaged one.
        world: The ranks that carry it out.

    Raises:
        GrowlmError: Something cannot work; nothing has been started.
    """
    planned = plan_of(recipe, overrides)
    name = planned.experiment.name
    path = out or Path("runs") / name
    if not world.leads:
        folder = RunFolder(path=path)
        with deterministic_algorithms(asked=planned.experiment.deterministic):
            yield Run(plan=planned, folder=folder, stop=stop, version=version, world=world)
        return
    check_sources(planned)
    with opened(path, name=name, recipe=recipe, overrides=overrides) as folder:
        check_disk(planned, folder)
        with deterministic_algorithms(asked=planned.experiment.deterministic):
            yield Run(
                plan=planned,
                folder=folder,
                stop=stop,
                version=version,
                allow_fallback=allow_fallback,
                world=world,
            )


def recorded_plan(folder: RunFolder) -> Plan:
    """Return the plan that a run's folder was last opened with.

    Raises:
        FolderError: Its folder is of another format, or was changed.
        RecipeError: Its recipe was changed, and is none any more.
    """
    return plan(recorded_experiment(folder), recipe_folder=about(folder).recipe_folder)


def recorded_run(path: Path, *, stop: Stop, version: str) -> Run:
    """Return a run from its folder alone.

    Raises:
        FolderError: It is no run's folder, or its corpus was never prepared.
    """
    folder = existing(path)
    planned = recorded_plan(folder)
    check_prepared(folder, planned.experiment)
    return Run(plan=planned, folder=folder, stop=stop, version=version)


def recorded_experiment(folder: RunFolder) -> Experiment:
    """Return the recipe that a run's folder was last opened with; its parents may be gone.

    Raises:
        FolderError: Its folder is of another format, or was changed.
        RecipeError: Its recipe was changed, and is none any more.
    """
    return read(folder.path / RECIPE, about(folder).overrides)


def check_prepared(folder: RunFolder, experiment: Experiment) -> None:
    """Refuse a run whose sources were never made into shards.

    Raises:
        FolderError: As said.
    """
    names = [source.name for source in experiment.source]
    missing = [name for name in names if not (folder.corpus / name / FACTS).is_file()]
    if missing:
        raise FolderError(
            f"run folder {folder.path} to hold prepared sources",
            got=f"none for {', '.join(missing)}",
            fix="growlm prepare RECIPE",
        )
