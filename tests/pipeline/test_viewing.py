"""What the log is made from: tasks' means, and the clock of each stage and its parents."""

import pytest

from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.pipeline.events import Stop
from growlm.pipeline.open import recorded_run
from growlm.pipeline.viewing import run_view, task_view


def test_a_tasks_scores_become_the_means_of_its_metrics():
    examples = tuple(
        ExampleScore(index=at, values={"acc": float(at % 2), "acc_norm": 1.0, "bytes": 9.0})
        for at in range(4)
    )
    found = task_view(TaskScore(task="piqa", examples=examples))

    assert (found.task, found.scores["acc"].value, found.scores["acc"].count) == ("piqa", 0.5, 4)
    assert found.scores["acc"].stderr == pytest.approx(0.288675, rel=1e-5)
    assert found.scores["acc_norm"].stderr == 0
    assert set(found.scores) == {"acc", "acc_norm"}


def test_time_is_counted_through_a_stage_and_from_its_parents(finished):
    run = recorded_run(finished / "run", stop=Stop(), version="0.1.0")
    base, grown, scratch = run_view(run.plan, run.folder, version="0.1.0").stages

    assert [point.seconds for point in base.train] == sorted(point.seconds for point in base.train)
    assert base.train[-1].seconds == pytest.approx(base.seconds)
    assert base.validation[0].seconds == 0
    assert base.validation[-1].seconds == base.train[-1].seconds
    assert grown.seconds_before == pytest.approx(base.seconds)
    assert scratch.seconds_before == 0
