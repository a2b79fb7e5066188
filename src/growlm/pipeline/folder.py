"""A run's folder: where everything lies, what is done, and who may write."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from growlm.base.errors import FolderError
from growlm.base.files import (
    digest_of,
    exclusive,
    read_json,
    remove_temporary,
    storage,
    write_bytes,
    write_json,
)

FORMAT: Literal[1] = 1
RUN = "run.json"
RECIPE = "recipe.toml"
LOG = "log.jsonl"
"""A stage's run log, beside its checkpoints."""


class About(BaseModel, frozen=True, extra="forbid"):
    """``run.json``: what a run's folder was last opened with."""

    format: Literal[1]
    name: str
    """The recipe's name."""
    recipe_folder: Path
    """What the recipe's relative paths start from."""
    overrides: tuple[str, ...]
    """The command line's changes to the recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """The places of a run, relative to nothing but its own path."""

    path: Path

    @property
    def corpus(self) -> Path:
        """The tokenizer, and a folder of shards for each source."""
        return self.path / "corpus"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's JSON."""
        return self.corpus / "tokenizer.json"

    @property
    def duplicates(self) -> Path:
        """What the search for duplicates found, and what of each source it leaves out."""
        return self.corpus / "duplicates"

    @property
    def overlap(self) -> Path:
        """What of the benchmarks stands in the sources: two reports, and a list for each source."""
        return self.corpus / "overlap"

    @property
    def tokenizer_digest(self) -> Path:
        """The SHA-256 of the tokenizer that the run made, to tell it from one put in its place."""
        return self.path / "steps" / "prepare.tokenizer.sha256"

    def stage(self, name: str) -> Path:
        """All of a stage."""
        return self.path / "stages" / name

    def grown(self, name: str) -> Path:
        """The checkpoint a grown stage starts from."""
        return self.stage(name) / "grown"

    def training(self, name: str) -> Path:
        """A stage's run log and checkpoints."""
        return self.stage(name) / "training"

    def log(self, name: str) -> Path:
        """A stage's run log."""
        return self.training(name) / LOG

    def tensorboard(self, name: str) -> Path:
        """A stage's event files; ``tensorboard --logdir`` of the folder above shows all stages."""
        return self.path / "tensorboard" / name

    def final(self, name: str) -> Path:
        """The checkpoint a stage ends with."""
        return self.training(name) / "final"

    def average(self, name: str) -> Path:
        """The average of a stage's last checkpoints."""
        return self.stage(name) / "average"

    def ema(self, name: str) -> Path:
        """The moving average of a stage's weights, at its end."""
        return self.stage(name) / "ema"

    def evaluation(self, name: str) -> Path:
        """A stage's scores."""
        return self.stage(name) / "evaluation.json"

    def tasks(self, name: str) -> Path:
        """A stage's score sheets of tasks."""
        return self.stage(name) / "tasks"

    def baseline(self, name: str) -> Path:
        """A baseline's scores: those of a checkpoint that is no stage's, scored here."""
        return self.path / "baselines" / name

    def record(self, step: str) -> Path:
        """What is known of a step: its key, and whether it is done."""
        return self.path / "steps" / f"{step.replace(':', '.')}.json"

    def is_done(self, step: str, key: Any) -> bool:
        """Return whether a step was done with this key."""
        return self._known(step) == {"key": digest_of(key), "state": "done"}

    def is_begun(self, step: str, key: Any) -> bool:
        """Return whether a step was begun with this key, and not finished."""
        return self._known(step) == {"key": digest_of(key), "state": "begun"}

    def begin(self, step: str, key: Any) -> None:
        """Note that a step begins."""
        write_json(self.record(step), {"key": digest_of(key), "state": "begun"})

    def finish(self, step: str, key: Any) -> None:
        """Note that a step is done."""
        write_json(self.record(step), {"key": digest_of(key), "state": "done"})

    def set_aside(self, step: str, output: Path) -> Path:
        """Move what an earlier recipe made out of the way, and return where it lies now."""
        known = self._known(step).get("key", "unknown")[:8]
        place = self.path / "superseded" / f"{step.replace(':', '.')}-{known}" / output.name
        with storage(place):
            number = 1
            while place.exists():
                number += 1
                place = place.with_name(f"{output.name}-{number}")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(output, place)
        return place

    def _known(self, step: str) -> dict[str, str]:
        return read_json(self.record(step)) if self.record(step).is_file() else {}


@contextmanager
def opened(
    path: Path, *, name: str, recipe: Path, overrides: Sequence[str]
) -> Generator[RunFolder, None, None]:
    """Open a run's folder for writing, alone, and keep the recipe's copy in it.

    Args:
        path: The folder; made when absent.
        name: The recipe's name; a folder stays with the first one.
        recipe: The recipe's file.
        overrides: The command line's changes to it.

    Raises:
        FolderError: Another process writes there, it belongs to another recipe, or it is no run's.
        StorageError: It cannot be written.
    """
    _check_owner(path, name)
    with exclusive(path / ".lock", holder=f"run folder {path}"):
        with storage(recipe):
            content = recipe.read_bytes()
        place, changes = origin(recipe, overrides)
        opening = About(format=FORMAT, name=name, recipe_folder=place, overrides=changes)
        yield _owned_by(path, opening, content)


@contextmanager
def opened_for(
    path: Path, *, name: str, content: bytes, recipe_folder: Path
) -> Generator[RunFolder, None, None]:
    """Open a run's folder for a recipe that no file holds; it is kept in the folder.

    Args:
        path: The folder; made when absent.
        name: The recipe's name; a folder stays with the first one.
        content: The recipe, as TOML.
        recipe_folder: What its relative paths start from.

    Raises:
        FolderError: Another process writes there, it belongs to another recipe, or it is no run's.
        StorageError: It cannot be written.
    """
    _check_owner(path, name)
    with exclusive(path / ".lock", holder=f"run folder {path}"):
        opening = About(format=FORMAT, name=name, recipe_folder=recipe_folder, overrides=())
        yield _owned_by(path, opening, content)


def _owned_by(path: Path, opening: About, content: bytes) -> RunFolder:
    """Make a folder, which this process has alone, a recipe's, and tidy it."""
    _check_owner(path, opening.name)
    # In this order: a kill in between leaves a folder that is known as this run's.
    write_json(path / RUN, opening.model_dump(mode="json"))
    write_bytes(path / RECIPE, content)
    _tidy(path)
    return RunFolder(path=path)


def origin(recipe: Path, overrides: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """Return what a recipe's relative paths start from, and all changes to it.

    The copy in a run's folder keeps the folder and the changes that the run was opened with.
    """
    home = recipe.resolve().parent
    if recipe.name != RECIPE or not (home / RUN).is_file():
        return home, tuple(overrides)
    known = about(RunFolder(path=home))
    earlier = (change for change in known.overrides if change not in overrides)
    return known.recipe_folder, (*earlier, *overrides)


def _tidy(path: Path) -> None:
    """Remove what kills left where this run alone writes."""
    for place in (path, path / "steps", path / "corpus", *path.glob("stages/*/training")):
        remove_temporary(place)
    with storage(path):
        for file in path.glob("stages/*/.evaluation.json.*.tmp"):
            file.unlink()


def about(folder: RunFolder) -> About:
    """Return what a run's folder was last opened with.

    Raises:
        FolderError: It is of another format, or was changed.
        StorageError: It cannot be read.
    """
    path = folder.path / RUN
    try:
        return About.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise FolderError(
            f"{path} to be of run format {FORMAT}",
            got=f"'{key}': {first['msg']}",
            fix="the growlm that wrote it, or another --out",
        ) from None


def existing(path: Path) -> RunFolder:
    """Return a run's folder for reading.

    Raises:
        FolderError: It is no run's folder.
    """
    if not (path / RUN).is_file():
        raise FolderError(
            f"a run's folder, with {RUN} in it", got=str(path), fix="growlm run RECIPE --out FOLDER"
        )
    return RunFolder(path=path)


def owned(path: Path, *, name: str) -> RunFolder | None:
    """Return a recipe's run folder for reading, or None when nothing has run yet.

    Raises:
        FolderError: It belongs to another recipe, or it is no run's.
    """
    _check_owner(path, name)
    return RunFolder(path=path) if (path / RUN).is_file() else None


def enclosing(path: Path) -> RunFolder | None:
    """Return the run's folder that a checkpoint lies in, if it lies in one."""
    for folder in path.resolve().parents:
        if (folder / RUN).is_file():
            return RunFolder(path=folder)
    return None


def _check_owner(path: Path, name: str) -> None:
    with storage(path):
        if not path.exists():
            return
    if (path / RUN).is_file():
        owner = about(RunFolder(path=path)).name
        if owner != name:
            raise FolderError(
                f"run folder {path} to belong to recipe '{name}'",
                got=f"a run of recipe '{owner}'",
                fix=f"--out runs/{name}",
            )
        return
    with storage(path):
        others = [path] if not path.is_dir() else [each for each in path.iterdir() if _odd(each)]
    if others:
        raise FolderError(
            f"{path} to be a run's folder, or empty", got="other files", fix="another --out"
        )


def _odd(entry: Path) -> bool:
    """Return whether an entry is none that opening a run makes before ``run.json``."""
    return entry.name != ".lock" and not entry.match(f".{RUN}.*.tmp")
