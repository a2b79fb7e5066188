"""``growlm watch``: runs looked at from outside."""

import json

import pytest

from growlm.cli.watch import curve
from growlm.model.cost import training_flops_per_token
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.open import recorded_plan
from growlm.pipeline.watching import CURVE, Watch
from growlm.runlog import Memory, Start, Step, Writer, read


def test_every_stage_of_a_finished_run_is_done(growlm, finished):
    done = growlm("watch", finished / "run", "--json")
    standings = {each["stage"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert list(standings) == ["base", "grown", "scratch"]
    for stage, each in standings.items():
        records = list(read(RunFolder(path=finished / "run").log(stage)))
        steps = [record for record in records if isinstance(record, Step)]
        assert each["state"] == "done"
        assert (each["step"], each["steps"]) == (steps[-1].step, steps[-1].step)
        assert each["tokens"] == steps[-1].tokens
        assert each["loss"] == steps[-1].loss
        assert each["losses"] == [record.loss for record in steps]
        assert each["seconds_left"] is None
        memory = [record for record in records if isinstance(record, Memory)]
        assert each["memory_bytes"] == memory[-1].resident_bytes > 0


def test_the_table_shows_each_stage_and_several_runs_by_name(growlm, finished):
    one = growlm("watch", finished / "run").stdout
    assert "grown" in one
    assert "100%" in one
    assert "waiting" not in one


def test_a_stage_in_progress_is_seen_to_move(again):
    folder = RunFolder(path=again / "run")
    for stage in ("grown", "scratch"):
        folder.final(stage).rename(folder.final(stage).with_name("gone"))
    folder.log("scratch").unlink()
    watch = Watch([again / "run"])
    base, grown, scratch = watch.look()
    assert [each.state for each in (base, grown, scratch)] == ["done", "training", "waiting"]
    assert scratch.step == 0
    assert scratch.loss is None
    writer = Writer(folder.log("scratch"))
    writer.write(Start(step=0, tokens=0, device="NVIDIA H200", compiled=True, time=""))
    for number in (1, 2):
        writer.write(_step(number, seconds=0.5))
    writer.close()
    seen = watch.look()[2]
    assert (seen.state, seen.step, seen.loss) == ("training", 2, 3.0)
    assert seen.seconds_left == (seen.steps - 2) * 0.5
    assert seen.tokens_per_second is not None
    stage = recorded_plan(folder).stage("scratch")
    whole = training_flops_per_token(stage.config, context=stage.context, causal=1.0)
    assert seen.mfu == pytest.approx(seen.tokens_per_second * whole / 989e12)


def test_a_log_that_was_rewound_is_read_anew(again):
    folder = RunFolder(path=again / "run")
    watch = Watch([again / "run"])
    watch.look()
    folder.log("base").unlink()
    writer = Writer(folder.log("base"))
    writer.write(_step(1, seconds=1.0))
    writer.close()
    assert (watch.look()[0].step, watch.look()[0].losses) == (1, (3.0,))


def test_long_curves_are_thinned(again):
    folder = RunFolder(path=again / "run")
    writer = Writer(folder.log("base"))
    for number in range(1_000, 3_000):
        writer.write(_step(number, seconds=1.0))
    writer.close()
    assert CURVE / 2 <= len(Watch([again / "run"]).look()[0].losses) <= CURVE


def _step(number, *, seconds):
    return Step(
        step=number, tokens=number * 64, loss=3.0, lr=0.1, gradient_norm=1.0, seconds=seconds
    )


@pytest.mark.parametrize(
    ("losses", "bars"),
    [([], ""), ([float("nan")], ""), ([2.0, 2.0], "▁▁"), ([1.0, float("inf"), 2.0], "▁█")],
)
def test_a_curve_has_no_bar_for_what_is_no_number(losses, bars):
    assert curve(losses) == bars


def test_what_is_no_run_is_refused(refusal, tmp_path):
    assert refusal("watch", tmp_path).startswith("expected a run's folder, with run.json in it;")
