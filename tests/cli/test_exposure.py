"""``growlm exposure``: the ledger goes with checkpoints, from parents to children and averages."""

import json
import math
import shutil

import pytest

from growlm.corpus.mixture import Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting


@pytest.fixture(scope="module", autouse=True)
def _undrawn(undrawn):
    """Of the log, its text is read."""


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_searched, growlm):
    """Return the folder of a run with a passage of its benchmark in six tales."""
    folder = tmp_path_factory.mktemp("exposed")
    recipe = write_searched(folder)
    done = growlm("run", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def exposure(growlm, path):
    done = growlm("exposure", path, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def replayed(run, stage, first, steps):
    """Return the steps of a stage that trained on a token of each example, and how much of it."""
    meta = json.loads((run / f"stages/{stage}/training/final/checkpoint.json").read_text())
    known = meta["data"]["sampler"]
    sampler = Sampler(
        sources=tuple(Layout(**each) for each in known["sources"]),
        weightings=tuple(
            Weighting(start_draw=each["start_draw"], weights=tuple(each["weights"]))
            for each in known["weightings"]
        ),
        phases=tuple(Phase(**each) for each in known["phases"]),
        **{key: known[key] for key in ("seed", "slot", "block", "jitter")},
    )
    lines = (run / "corpus/tales/examples.jsonl").read_text().splitlines()
    per_step = (meta["data"]["cursor"] - first) // steps
    found = []
    for line in lines:
        ((begin, end),) = json.loads(line)["tokens"]
        events = {}
        for number in range(first, meta["data"]["cursor"]):
            drawn = sampler.samples(number, 1)
            start, length = int(sampler.starts(drawn)[0]), int(drawn.length[0])
            inside = min(end, start + 1 + length) - max(begin, start + 1)
            if drawn.source[0] == 0 and inside > 0:
                step = 1 + (number - first) // per_step
                events[step] = events.get(step, 0.0) + inside / (end - begin)
        found.append(events)
    return found


def test_the_ledger_is_what_a_replay_of_every_sample_finds(growlm, run):
    found = exposure(growlm, run / "stages/base/training/final")
    (segment,) = found["segments"]
    assert (found["lineage"], segment["status"], segment["stage"]) == ("known", "scanned", "base")
    expected = replayed(run, "base", 0, segment["steps"])
    assert any(expected)
    assert [each["steps"] for each in segment["examples"]] == [list(each) for each in expected]
    for each, events in zip(segment["examples"], expected, strict=True):
        assert each["shares"] == pytest.approx(list(events.values()))


def test_a_step_that_was_not_taken_is_no_exposure(growlm, forked, run, tmp_path):
    again = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(again / "stages/base/training")
    final = "stages/base/training/final"
    (whole,) = exposure(growlm, run / final)["segments"]
    step = min(step for each in whole["examples"] for step in each["steps"])
    words = ("train", run.parent / "tiny.toml", "--out", again, "--stage", "base")
    assert forked(*words, spoil=[{step: math.inf}]).returncode == 0
    (segment,) = exposure(growlm, again / final)["segments"]
    assert segment["steps"] == whole["steps"]
    for found, expected in zip(segment["examples"], whole["examples"], strict=True):
        assert found["steps"] == [each for each in expected["steps"] if each != step]
    assert segment["examples"] != whole["examples"]


def test_children_and_averages_inherit_it_and_controls_have_their_own(growlm, run):
    base = exposure(growlm, run / "stages/base/training/final")
    grown = exposure(growlm, run / "stages/grown/training/final")
    assert [each["stage"] for each in grown["segments"]] == ["base", "grown"]
    assert grown["segments"][0] == base["segments"][0]
    assert exposure(growlm, run / "stages/grown/average") == grown
    (start,) = exposure(growlm, run / "stages/grown/grown")["segments"]
    assert start == base["segments"][0]
    control = exposure(growlm, run / "stages/scratch/training/final")
    assert [each["stage"] for each in control["segments"]] == ["scratch"]


def test_check_expects_what_the_checkpoints_then_say(growlm, run):
    found = json.loads(growlm("check", run.parent / "tiny.toml", "--out", run, "--json").stdout)
    for row in found["exposures"]:
        total = exposure(growlm, run / f"stages/{row['stage']}/training/final")["totals"][0]
        assert {key: row[key] for key in total} == total
    assert {row["stage"] for row in found["exposures"]} == {"base", "grown", "scratch"}
    text = growlm("check", run.parent / "tiny.toml", "--out", run).stdout
    assert "trained on by its end" in text


def test_the_log_says_what_each_model_was_trained_on(run):
    text = (run / "log.md").read_text(encoding="utf-8")
    assert "**Benchmarks in the text**" in text or "Benchmarks in the text" in text
    assert "`base` was trained on 1 example of lambada (1 with the answer)" in text


def test_it_is_for_people_too(growlm, run):
    path = run / "stages/grown/training/final"
    shown = growlm("exposure", path).stdout
    assert "lineage known: the data of every stage were searched" in shown
    assert "  base: scanned (lambada)" in shown
    assert any(line.split()[:2] == ["lambada", "1"] for line in shown.splitlines())
    assert "tales.jsonl" not in shown
    assert "data/tales.jsonl" in growlm("exposure", path, "--examples").stdout
    assert growlm("exposure", path, "--quiet").stdout == ""


def test_of_a_run_that_was_not_searched_nothing_is_claimed(growlm, finished):
    found = exposure(growlm, finished / "run/stages/grown/training/final")
    assert found["lineage"] == "unknown"
    assert [each["status"] for each in found["segments"]] == ["not scanned", "not scanned"]
    assert found["totals"] == []
    text = (finished / "run/log.md").read_text(encoding="utf-8")
    assert "Benchmarks in the text" not in text


def test_of_an_imported_checkpoint_nothing_is_known(growlm, finished, tmp_path):
    final = finished / "run/stages/base/training/final"
    assert growlm("export", final, tmp_path / "folder").returncode == 0
    assert growlm("import", tmp_path / "folder", tmp_path / "again").returncode == 0
    found = exposure(growlm, tmp_path / "again")
    assert (found["lineage"], [each["status"] for each in found["segments"]]) == (
        "unknown",
        ["unknown"],
    )
    assert "unknown: no stage's data" in growlm("exposure", tmp_path / "again").stdout


def test_a_folder_without_a_checkpoint_is_refused(refusal, tmp_path):
    assert "a checkpoint's folder" in refusal("exposure", tmp_path)
