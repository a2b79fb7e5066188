import json

import pytest

from growlm.report.accounts import accounts
from growlm.report.baselines import PUBLISHED
from growlm.report.frozen import MeanView
from growlm.report.limits import not_shown
from growlm.report.results import results
from growlm.report.view import TaskView

TASK = TaskView(task="piqa", scores={"acc": MeanView(value=0.6, stderr=0.01, count=1_838)})


def test_everything_of_the_log_is_there_for_machines(run):
    found = results(run)
    (account,) = accounts(run)

    assert found.format == 1
    assert found.final_losses["grown"] == account.loss
    assert [cost.flops for cost in found.ledger] == [cost.flops for cost in account.costs]
    estimate = account.scratch.estimate
    assert estimate is not None
    assert found.ledger[0].saved == pytest.approx(1 - account.charged.flops / estimate)
    assert [note.topic for note in found.not_shown] == [topic for topic, _ in not_shown(run)]
    assert "One seed" in {note.topic for note in found.notes}
    json.loads(found.model_dump_json(), parse_constant=pytest.fail)


def test_every_score_stands_in_one_list(run, edit):
    score = run.stages[0].evaluations[0].model_copy(update={"tasks": (TASK,)})
    found = results(edit(run, "base", evaluations=(score,)))
    own = {
        (each.task, each.metric): (each.value, each.stderr)
        for each in found.scores
        if each.stage == "base"
    }

    assert own["piqa", "acc"] == (0.6, 0.01)
    assert own["docs", "bits_per_byte"] == (score.bits_per_byte["docs"], None)
    assert own["last_word", "acc"] == (score.last_word.accuracy, score.last_word.accuracy_stderr)
    assert found.published == tuple(each for each in PUBLISHED if each.scores)
    assert results(run).published == ()
