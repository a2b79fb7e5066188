"""What tests of commands ask of them: one line where something is wrong, and nothing lost."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from growlm.base.files import sha256_file

ONE_LINE = re.compile(r"growlm: (\S+: )?expected .+; got .+\. Try .+\.")


@pytest.fixture(scope="module", autouse=True)
def _few_canaries(few_canaries: None) -> None:
    """Search as quickly as a scan that still looks for what it planted."""


@pytest.fixture(scope="session")
def refusal(growlm: Callable[..., CompletedProcess[str]]) -> Callable[..., str]:
    """Return a function: a command that must be refused -> the one line that it said.

    ``code`` is the exit code it must have, and ``by`` what runs it, with that one's own options.
    """

    def run(*words: object, code: int = 1, by: Any = growlm, **options: Any) -> str:
        done = by(*words, **options)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("growlm: ") == 1, done.stderr
        last = done.stderr.splitlines()[-1]
        assert ONE_LINE.fullmatch(last), last
        return last.removeprefix("growlm: ")

    return run


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, str]]:
    """Return a function: a folder -> SHA-256 of every file in it, but for the lock."""

    def hashes(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        kept = [path for path in files if path.name != ".lock"]
        return {str(path.relative_to(folder)): sha256_file(path) for path in kept}

    return hashes


@pytest.fixture(scope="session")
def edit() -> Callable[..., None]:
    """Return a function that replaces a piece of a text file once."""

    def replace(path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


@pytest.fixture(scope="session")
def flip() -> Callable[[Path], None]:
    """Return a function that flips a bit in the middle of a file."""

    def flipped(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return flipped


@pytest.fixture(scope="session")
def setting() -> Callable[..., list[str]]:
    """Return a function: changes to a recipe -> the options of the command line."""
    return lambda *changes: [word for change in changes for word in ("--set", change)]


@pytest.fixture
def shared_recipe(write_tiny: Callable[[Path], Path]) -> Iterator[Path]:
    """Return a tiny recipe in a folder that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        recipe = write_tiny(Path(name))
        Path(name).chmod(0o755)
        yield recipe


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which permissions count, also where the tests run as root."""

    @contextlib.contextmanager
    def nobody() -> Generator[None]:
        before = os.geteuid()
        if before == 0:
            os.seteuid(65_534)
        try:
            yield
        finally:
            os.seteuid(before)

    return nobody


PASSAGE = (
    "The lantern over the harbor wall went out twice before midnight, and each time the old "
    "keeper climbed the ninety steps, lit it again, and came down without a word to the boats"
)
SEARCHED = """[overlap]
against = [{ name = "lambada", file = "data/lambada.jsonl" }]
action = "report"

[mixture]"""


@pytest.fixture(scope="session")
def write_searched(write_tiny: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Return a function: a folder -> a recipe in it with its benchmark's passage in six tales."""

    def write(folder: Path) -> Path:
        recipe = write_tiny(folder)
        path = folder / "data/tales.jsonl"
        lines = path.read_text().splitlines()
        for number in range(0, 60, 10):
            lines[number] = json.dumps({"text": PASSAGE})
        path.write_text("\n".join(lines) + "\n")
        (folder / "data/lambada.jsonl").write_text(json.dumps({"text": PASSAGE}))
        recipe.write_text(recipe.read_text().replace("[mixture]", SEARCHED))
        return recipe

    return write
