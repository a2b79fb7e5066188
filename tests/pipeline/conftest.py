"""What tests of whole runs ask of them: what was done, and which weights came out."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from growlm.base.files import sha256_file
from growlm.report.page import FILES
from growlm.report.view import RunView


@pytest.fixture
def light_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the log empty, which takes seconds to draw."""

    def write(_view: RunView, folder: Path) -> None:
        for name in FILES:
            (folder / name).write_text("drawn\n", encoding="utf-8")

    monkeypatch.setattr("growlm.pipeline.run.write", write)


@pytest.fixture(scope="session")
def steps() -> Callable[..., list[str]]:
    """Return a function: what a command with ``--json`` printed, a kind -> steps it happened to."""

    def named(done: CompletedProcess[str], kind: str) -> list[str]:
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [event["step"] for event in events if event["event"] == kind]

    return named


@pytest.fixture(scope="session")
def outcome() -> Callable[[Path], dict[str, str]]:
    """Return a function: a run's folder -> SHA-256 of all that a seed decides."""

    def hashes(run: Path) -> dict[str, str]:
        kinds = ("*.safetensors", "checkpoint.json", "evaluation.json", "tokenizer.json", "*.bin")
        files = [path for kind in kinds for path in run.rglob(kind)]
        kept = [path for path in files if "superseded" not in path.parts]
        return {str(path.relative_to(run)): sha256_file(path) for path in sorted(kept)}

    return hashes
