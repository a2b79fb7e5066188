"""A run's own scores: those that ``growlm evaluate --text`` gives on the same documents."""

import json
from pathlib import Path
from typing import Any

import pytest

from growlm.pipeline.events import Notice, Skipped, Stop
from growlm.pipeline.open import run_of
from growlm.pipeline.run import Run, score

SPELT = "A tale that spells <|endoftext|> in its middle."


@pytest.fixture
def job(again: Path) -> Run:
    """Return a finished run of whose held-out tales one spells the end of text."""
    path = again / "run/corpus/tales/heldout.jsonl"
    first, *others = path.read_text(encoding="utf-8").splitlines(keepends=True)
    first = json.dumps({**json.loads(first), "text": SPELT}) + "\n"
    path.write_text("".join([first, *others]), encoding="utf-8")
    (again / "run/stages/base/evaluation.json").unlink()
    with run_of(again / "tiny.toml", (), out=again / "run", stop=Stop(), version="0") as opened:
        return opened


def test_the_run_and_the_command_agree_to_the_last_digit(
    job: Run, growlm: Any, tmp_path: Path
) -> None:
    events = list(score(job, job.plan.stage("base")))
    assert any(
        isinstance(each, Notice) and "tales: its texts spell" in each.text for each in events
    )
    own = json.loads(job.folder.evaluation("base").read_text())
    section = job.plan.experiment.evaluate
    multiples = ",".join(f"{each}x" for each in section.context_multiples)
    for source in ("tales", "notes"):
        done = growlm(
            *("evaluate", job.folder.final("base"), "--json", "--out", tmp_path / source),
            *("--text", job.folder.corpus / source / "heldout.jsonl"),
            *("--documents", section.documents, "--batch", section.batch, "--context", multiples),
        )
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        asked = [each for each in lines if "event" not in each]
        assert len(asked) == len(own) == 3
        for theirs, ours in zip(asked, own, strict=True):
            assert ours["context"] == theirs["context"]
            assert ours["bits_per_byte"][source] == theirs["bits_per_byte"]["value"]
            assert ours["bits_per_byte_stderr"][source] == theirs["bits_per_byte"]["stderr"]
            assert ours["documents"][source] == theirs["documents"]


def test_scores_of_other_code_are_computed_anew(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = job.plan.stage("scratch")
    assert any(isinstance(each, Skipped) for each in score(job, stage))
    monkeypatch.setattr("growlm.pipeline.run.code_version", lambda: "another")
    assert not any(isinstance(each, Skipped) for each in score(job, stage))
