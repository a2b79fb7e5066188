"""Scores and texts from Python: what the commands print, as objects."""

import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import growlm as package
from growlm.base.errors import EvaluationError, RecipeError
from growlm.web import playground


@pytest.fixture
def base(finished: Path) -> Path:
    return finished / "run/stages/base/training/final"


def test_texts_are_those_that_the_command_writes(growlm, base: Path):
    first, second = package.generate(base, "the river", "of", tokens=4, seed=3)
    words = ("--prompt", "the river", "--prompt", "of", "--tokens", 4, "--seed", 3, "--json")
    told = [json.loads(line) for line in growlm("generate", base, *words).stdout.splitlines()]
    assert [each["text"] for each in told] == [first.text, second.text]
    assert (first.prompt, len(first.pieces)) == ("the river", 4)
    assert first.pieces[-1].end == "tokens"


def test_texts_are_scored_as_the_command_scores_them(growlm, base: Path, tmp_path: Path):
    text = tmp_path / "held.txt"
    text.write_text("the river of the garden and the thunder", encoding="utf-8")
    found = package.examine(base, text=[text], context=["1x"], out=tmp_path / "a")
    words = ("--text", text, "--context", "1x", "--out", tmp_path / "b", "--json")
    lines = map(json.loads, growlm("evaluate", base, *words).stdout.splitlines())
    said = [line["bits_per_byte"] for line in lines if "bits_per_byte" in line]
    assert [each.as_dict()["bits_per_byte"] for each in found] == said
    assert len(said) == 1
    with pytest.raises(RecipeError, match="expected tasks or text; got neither"):
        package.examine(base)
    with pytest.raises(RecipeError, match="expected tasks or text; got both"):
        package.examine(base, text=[text], tasks=["piqa"])


def test_nothing_is_known_of_a_benchmark_that_was_not_looked_for(base: Path):
    found = package.exposure(base)
    assert (found["lineage"], found["totals"]) == ("unknown", [])


def test_overlaps_are_told_and_given(tmp_path: Path):
    passage = "a river runs under the old stone bridge while seven grey herons wait for the tide "
    (tmp_path / "text.txt").write_text(passage * 2 + "and nobody minds", encoding="utf-8")
    row = {"text": passage + "to turn"}
    (tmp_path / "quiz.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    told = []
    found = package.overlap(
        [f"books={tmp_path / 'text.txt'}"],
        [f"quiz={tmp_path / 'quiz.jsonl'}"],
        fields=["quiz:text=text"],
        out=tmp_path / "out",
        tell=told.append,
    )
    kept = json.loads((tmp_path / "out" / "overlap.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(found)) == kept
    assert [each["benchmark"] for each in found["overlaps"]] == ["quiz"]
    assert told


def test_the_page_is_the_command_s_and_closes(base: Path, monkeypatch: pytest.MonkeyPatch):
    served = MagicMock(return_value=(MagicMock(), "http://127.0.0.1:7861"))
    monkeypatch.setattr(playground, "gradio", MagicMock())
    monkeypatch.setattr(playground, "serve", served)
    grown = base.parents[2] / "grown/training/final"
    package.play(base, package.load(grown), port=7861, no_compile=True).close()
    writers, options = served.call_args.args[0], served.call_args.kwargs
    assert [each.name for each in writers] == ["base", "grown"]
    assert options == {"port": 7861, "opened": False}


def test_a_checkpoint_outside_a_run_needs_one_to_be_scored_on(base: Path, tmp_path: Path):
    package.grow(base, tmp_path / "child", layers=2)
    with pytest.raises(EvaluationError, match="a checkpoint inside a run's folder"):
        package.evaluate(tmp_path / "child")
