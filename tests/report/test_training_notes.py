import pytest

from growlm.report.training_notes import (
    diverged,
    lineage,
    memory,
    overfitting,
    skipped,
    unfinished,
    utilisation,
)
from growlm.report.view import MemoryView


def with_losses(run, edit, losses):
    points = tuple(
        point.model_copy(update={"loss": loss})
        for point, loss in zip(run.stages[0].validation, losses, strict=True)
    )
    return edit(run, "base", validation=points)


@pytest.mark.parametrize(("last", "told"), [(1.04, ""), (1.06, "6.0% worse")])
def test_divergence_begins_five_percent_over_the_best(run, edit, last, told):
    losses = [4.0] * 20 + [4.0 * last]

    sentences = diverged(with_losses(run, edit, losses))

    assert told in "".join(sentences)
    assert bool(told) == any("diverged:" in text for text in sentences)


def test_steps_that_were_not_taken_are_counted_and_the_first_of_them_named(run, edit):
    assert skipped(run) == ()
    found = skipped(edit(run, "base", skipped={"not finite": (7,), "spike": tuple(range(40, 47))}))
    assert found == (
        "1 step of `base` had a loss or a gradient that is not finite and left no trace in the "
        "weights: 7 of 250.",
        "7 steps of `base` had a loss or a gradient that stood out and left no trace in the "
        "weights: 40, 41, 42, 43, 44 and 2 more of 250.",
        "What these steps read was not learned, and is no exposure.",
    )


def test_a_rise_is_a_trend_not_a_last_point_below_the_first(run, edit):
    assert diverged(with_losses(run, edit, [4.0] * 15 + [3.9, 4.0, 4.1, 4.1, 4.0, 3.8])) == ()
    (text,) = diverged(with_losses(run, edit, [4.0] * 15 + [3.90, 3.91, 3.92, 3.93, 3.94, 3.95]))
    assert "from 3.900 to 3.950" in text


def test_a_training_loss_just_under_validation_is_no_overfitting(run):
    assert overfitting(run) == ()


def test_a_stage_cut_short_tells_how_far_it_came(run, edit):
    base = run.stages[0]

    (text,) = unfinished(edit(run, "base", complete=False, train=base.train[:100]))

    assert "(100 of 250 steps)" in text
    assert "schedule cut short" in text


def test_the_clock_adds_up_a_stage_and_its_parents(run):
    pace, clock = utilisation(run)

    assert "`base` ran at 5.898e11" in pace  # 7.3728e13 FLOPs in 125 seconds
    assert "`base` and `grown` took 4 min 10 s together" in clock


def test_a_lineage_that_leaves_the_run_is_unknown(run):
    base, grown = run.stages[:2]

    assert lineage(run, grown) == [base, grown]
    assert lineage(run, grown.model_copy(update={"parent": "elsewhere/final"})) is None


@pytest.mark.parametrize(
    ("allocated", "retries", "told"),
    [
        (96, 0, ""),
        (90, 0, "10.0% of the GPU memory that `base` reserved was in no tensor"),
        (96, 3, "`base` ran short of GPU memory 3 times"),
        (None, 0, ""),
    ],
)
def test_memory_is_a_note_where_it_was_short_or_in_pieces(run, edit, *, allocated, retries, told):
    held = MemoryView(
        peak_resident_bytes=1,
        peak_allocated_bytes=allocated,
        peak_reserved_bytes=allocated and 100,
        retries=retries,
    )
    sentences = memory(edit(run, "base", memory=held))
    assert told in "".join(sentences)
    assert bool(told) == bool(sentences)
