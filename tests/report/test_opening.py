import pytest

from growlm.report.accounts import accounts
from growlm.report.opening import opening, verdict


def ended(run, edit, name, loss):
    stage = next(stage for stage in run.stages if stage.name == name)
    last = stage.validation[-1].model_copy(update={"loss": loss})
    return edit(run, name, validation=(*stage.validation[:-1], last))


def test_it_says_what_the_run_is_and_how_the_child_differs(run):
    text = opening(run)

    assert "`base` (3 layers, 1.116M parameters) was trained from scratch on 8.192M tokens" in text
    assert "from 3 to 6 layers by `interleave`" in text
    assert "(1.53\u00d7); one copy of each parent layer kept the optimizer's moments" in text
    assert "with 1\u00d7 and 0.5\u00d7 the compute that `grown` and its parents took" in text
    assert "Apart from its layers, `grown` has the settings of `base`." in text


def test_what_else_changed_is_named(run, edit):
    other = edit(
        run,
        "grown",
        context=512,
        document_masking=True,
        hyperparameters={**run.stages[1].hyperparameters, "peak learning rate": "8e-4"},
    )

    said = (
        "in context 256 \u2192 512, document masking no \u2192 yes and peak learning rate 1e-3 "
        "\u2192 8e-4."
    )
    assert said in opening(other)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (3.88, "Growing paid, the parent charged or not."),
        (3.9305, "With the parent charged, growing came out even; with the parent free, it paid."),
        (4.00, "With the parent charged, growing did not pay; with the parent free, it paid."),
        (4.09, "Growing did not pay, even with the parent free."),
    ],
)
def test_the_verdict_is_honest_both_ways(run, edit, loss, words):
    (account,) = accounts(ended(run, edit, "grown", loss))

    assert verdict(account) == words


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (3.90, "Growing paid, the parent charged or not."),
        (3.95, "With the parent charged, growing did not pay; with the parent free, it may or"),
    ],
)
def test_one_control_gives_the_side_and_no_more(run, edit, loss, words):
    single = edit(ended(run, edit, "grown", loss), "scratch-half", complete=False)
    (account,) = accounts(single)

    assert verdict(account).startswith(words)
    assert "is only bounded" in opening(single)


def test_it_says_out_of_how_many_controls_the_best_were_taken(run):
    worse = run.stages[2].model_copy(update={"name": "scratch-low"})
    tuned = run.model_copy(update={"stages": (*run.stages, worse)})

    assert "2 finished scratch runs, the best of 3 by compute" in opening(tuned)
    assert "the best of" not in opening(run)


def test_without_a_control_it_claims_nothing(run):
    text = opening(run.model_copy(update={"stages": run.stages[:2]}))

    assert "**No saving can be claimed.** No scratch control answers `grown`" in text
    assert "%" not in text


def test_unfinished_stages_have_no_result(run, edit):
    assert "**No result yet.**" in opening(edit(run, "grown", complete=False))
    waiting = edit(edit(run, "scratch", complete=False), "scratch-half", complete=False)
    assert "**No saving can be claimed yet.**" in opening(waiting)


def test_a_run_that_has_not_begun_says_so(empty_run):
    assert "has not trained a stage yet" in opening(empty_run)


def test_unknown_operators_are_named_as_they_are(run, edit):
    certificate = run.stages[1].certificate.model_copy(
        update={"operator": "<braid>", "optimizer_state": "melt"}
    )

    text = opening(edit(run, "grown", certificate=certificate))

    assert "by `<braid>`, and from" in text
    assert "optimizer state: melt." in text
