from growlm.report.frozen import MeanView
from growlm.report.score_notes import long_contexts, task_contexts
from growlm.report.view import TaskView


def test_multiples_and_positions_are_told(run):
    (text,) = long_contexts(run)

    assert text.startswith("Scores at 2\u00d7 and 4\u00d7 the training context")
    assert "ALiBi" in text


def test_a_stage_that_gets_worse_at_a_longer_context_is_named(run, edit):
    scores = tuple(
        score.model_copy(
            update={"bits_per_byte": {"docs": 1.5 + 0.1 * score.multiple, "code": 1.2}}
        )
        for score in run.stages[2].evaluations
    )

    told = long_contexts(edit(run, "scratch", evaluations=scores))

    assert told[1].startswith("`scratch` is worse at 4\u00d7")
    assert "`docs` 1.9000 against 1.6000" in told[1]
    assert "code" not in told[1]


def test_tasks_at_another_context_than_training_are_told(run, edit):
    task = TaskView(task="piqa", scores={"acc": MeanView(value=0.6, stderr=0.01, count=1_838)})
    base = run.stages[0]
    scores = tuple(score.model_copy(update={"tasks": (task,)}) for score in base.evaluations[:2])

    assert task_contexts(run) == ()
    assert task_contexts(edit(run, "base", evaluations=scores)) == (
        "`base` was trained at context 256, and its tasks were scored at 512.",
    )
