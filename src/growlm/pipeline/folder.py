"""A run's folder: where everything lies, what is done, and who may write."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growlm.base.errors import FolderError
from growlm.base.files import digest_of, exclusive, read_json, storage, write_bytes, write_json

FORMAT = 1
RUN = "run.json"
RECIPE = "recipe.toml"


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
        return self.training(name) / "log.jsonl"

    def final(self, name: str) -> Path:
        """The checkpoint a stage ends with."""
        return self.training(name) / "final"

    def average(self, name: str) -> Path:
        """The average of a stage's last checkpoints."""
        return self.stage(name) / "average"

    def evaluation(self, name: str) -> Path:
        """A stage's scores."""
        return self.stage(name) / "evaluation.json"

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
        _check_owner(path, name)
        with storage(recipe):
            content = recipe.read_bytes()
        # Its own copy is the recipe when a run is continued from the copy.
        if recipe.resolve() != (path / RECIPE).resolve():
            write_bytes(path / RECIPE, content)
            about = {"recipe_folder": str(recipe.resolve().parent), "overrides": [*overrides]}
            write_json(path / RUN, {"format": FORMAT, "name": name, **about})
        yield RunFolder(path=path)


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


def enclosing(path: Path) -> RunFolder | None:
    """Return the run's folder that a checkpoint lies in, if it lies in one."""
    for folder in path.resolve().parents:
        if (folder / RUN).is_file():
            return RunFolder(path=folder)
    return None


def _check_owner(path: Path, name: str) -> None:
    if not path.exists():
        return
    if (path / RUN).is_file():
        owner = read_json(path / RUN)["name"]
        if owner != name:
            raise FolderError(
                f"run folder {path} to belong to recipe '{name}'",
                got=f"a run of recipe '{owner}'",
                fix=f"--out runs/{name}",
            )
        return
    if not path.is_dir() or any(entry.name != ".lock" for entry in path.iterdir()):
        raise FolderError(
            f"{path} to be a run's folder, or empty", got="other files", fix="another --out"
        )
