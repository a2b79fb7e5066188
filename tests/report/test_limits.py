from growlm.report.frozen import MeanView
from growlm.report.limits import LIMITS, not_shown
from growlm.report.view import BenchmarkView, ExposureView, TaskView

STANDING = {
    "What chance does",
    "Whether better controls would do as well",
    "Whether a larger model was needed",
    "Whether it holds at other sizes",
    "Whether benchmarks stand in the training text",
    "How it stands beside published models",
    "How it reads other text",
    "Whether small differences between scores mean anything",
}
"""What the synthetic run leaves open."""


def questions(view):
    return {question for question, _ in not_shown(view)}


def reason(view, question):
    return dict(not_shown(view))[question]


def searched(*, unknown=()):
    found = BenchmarkView(
        benchmark="piqa", examples=0, answered=0, exposures=0.0, most=0.0, masked=0
    )
    return ExposureView(unsearched=(), partly=(), unknown=unknown, benchmarks=(found,))


def everywhere(view, edit, **changes):
    for stage in view.stages:
        view = edit(view, stage.name, **changes)
    return view


def test_the_synthetic_run_leaves_open_what_it_lacks(run):
    assert questions(run) == STANDING
    assert reason(run, "Whether it holds at other sizes") == (
        "this is 1 growth from 1.116M to 1.705M parameters."
    )


def test_a_run_that_has_not_begun_leaves_nothing_open_yet(empty_run):
    assert not_shown(empty_run) == ()


def test_without_a_control_no_saving_is_shown(run):
    alone = run.model_copy(update={"stages": run.stages[:2]})

    assert reason(alone, "Whether growing saved anything") == (
        "no scratch control answers `grown`."
    )
    assert "Whether better controls would do as well" not in questions(alone)


def test_a_searched_text_is_no_question(run, edit):
    view = everywhere(run, edit, exposure=searched())

    assert questions(view) == STANDING - {"Whether benchmarks stand in the training text"}


def test_a_parent_whose_text_nobody_knows_is_named(run, edit):
    view = edit(run, "grown", exposure=searched(unknown=("gpt2",)))

    assert reason(view, "What the models had read before").startswith("nobody knows what `gpt2`")
    outside = edit(run, "grown", parent="../models/parent")
    assert reason(outside, "What the models had read before") == "this run did not train `parent`."


def test_errors_and_tasks_answer_their_questions(run, edit):
    task = TaskView(task="piqa", scores={"acc": MeanView(value=0.6, stderr=0.01, count=1_838)})
    for stage in run.stages:
        scores = tuple(
            score.model_copy(
                update={"tasks": (task,), "bits_per_byte_stderr": {"docs": 0.01, "code": 0.01}}
            )
            for score in stage.evaluations
        )
        run = edit(run, stage.name, evaluations=scores)

    assert questions(run) == STANDING - {
        "How it stands beside published models",
        "Whether small differences between scores mean anything",
    }


def test_an_unfinished_stage_comes_first(run, edit):
    view = edit(run, "scratch", complete=False)

    assert not_shown(view)[0] == ("Where this ends", "`scratch` is not finished.")


def test_every_limit_can_be_raised():
    assert set(LIMITS) - STANDING == {
        "Where this ends",
        "Whether growing saved anything",
        "What the models had read before",
    }
