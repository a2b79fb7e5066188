import math

import pytest

from growlm.report.notes import NOTES, raised
from growlm.report.view import ApartView, BenchmarkView, CopiesPoint, ExposureView, MemoryView

STANDING = {
    "One seed",
    "Extrapolation",
    "The controls",
    "The jump at growth",
    "An annealed parent",
    "Longer contexts",
    "Time and FLOPs",
}
"""What the synthetic run gives cause for."""


def topics(run):
    return {note.topic for note in raised(run)}


def relosed(points, change):
    return tuple(
        point.model_copy(update={"loss": change(at, point.loss)}) for at, point in enumerate(points)
    )


def rescored(stage, **changes):
    return tuple(score.model_copy(update=changes) for score in stage.evaluations)


def raised_train(run, stage):
    """Lift the training loss too, so that a lifted validation loss is no overfitting."""
    return relosed(run.stages[stage].train, lambda _, loss: loss + 0.3)


def copies_at(step, *, equal):
    apart = ApartView(copies=64, equal=equal, largest=1e-9 * step, relative=1e-4 * step)
    return CopiesPoint(step=step, tokens=step, distance=None, spaces={"mlp": apart})


def repeated(run, edit):
    return edit(run, "grown", source_epochs={"docs": 2.5, "code": 1.0})


def left_out(run, _):
    first, *others = run.sources
    return run.model_copy(update={"sources": (first.model_copy(update={"left_out": 7}), *others)})


def seen(*, examples=2, masked=0, unknown=(), unsearched=(), partly=()):
    found = BenchmarkView(
        benchmark="piqa", examples=examples, answered=1, exposures=3.25, most=2.0, masked=masked
    )
    return ExposureView(unsearched=unsearched, partly=partly, unknown=unknown, benchmarks=(found,))


def exposed(run, edit):
    return edit(run, "base", exposure=seen())


def unlearned(run, _):
    *others, last = run.sources
    masked = last.model_copy(update={"masked_tokens": 7})
    return run.model_copy(update={"sources": (*others, masked)})


def capped(run, edit):
    return edit(run, "base", evaluations=rescored(run.stages[0], capped=("docs",)))


def noticed(run, edit):
    return edit(run, "base", notices=("a spike at step 7",))


def diverged(run, edit):
    worse = relosed(run.stages[0].validation, lambda at, loss: loss * (1.06 if at == 20 else 1.0))
    return edit(run, "base", validation=worse, train=raised_train(run, 0))


def rising(run, edit):
    late = relosed(run.stages[0].validation, lambda at, loss: loss + 0.02 * max(0, at - 14))
    return edit(run, "base", validation=late, train=raised_train(run, 0))


def train_not_finite(run, edit):
    train = relosed(run.stages[0].train, lambda at, loss: math.nan if at == 10 else loss)
    return edit(run, "base", train=train)


def overfitting(run, edit):
    train = relosed(run.stages[0].train, lambda at, loss: loss - 0.3 * at / 250)
    return edit(run, "base", train=train)


def unfinished_base(run, edit):
    return edit(run, "scratch-half", complete=False)


def fragmented(run, edit, **changes):
    held = {"peak_resident_bytes": 1, "peak_allocated_bytes": 90, "peak_reserved_bytes": 100}
    return edit(run, "base", memory=MemoryView(**{**held, **changes}))


def other_batch(run, edit):
    return edit(run, "scratch", batch_tokens=4_096)


def other_context(run, edit):
    return edit(run, "base", context=128)


def masked(run, edit):
    for stage in run.stages:
        run = edit(run, stage.name, document_masking=True)
    return run


def other_masking(run, edit):
    return edit(masked(run, edit), "base", document_masking=False)


def other_vocabulary(run, edit):
    return edit(run, "base", shape={**run.stages[0].shape, "vocab_size": 8_192})


def unparted(run, edit):
    return edit(run, "grown", copies=(copies_at(0, equal=64), copies_at(250, equal=3)))


@pytest.mark.parametrize(
    ("cause", "topic"),
    [
        (unparted, "Copies that have not parted"),
        (repeated, "Repeated text"),
        (left_out, "Text left out"),
        (exposed, "Benchmarks in the text"),
        (unlearned, "Masked tokens"),
        (masked, "Document masking"),
        (capped, "Capped documents"),
        (noticed, "While training"),
        (fragmented, "Memory"),
        (diverged, "Divergence"),
        (rising, "Divergence"),
        (train_not_finite, "Losses that are not finite"),
        (overfitting, "Overfitting"),
        (other_batch, "Not comparable"),
        (other_context, "Not comparable"),
        (other_vocabulary, "Not comparable"),
    ],
)
def test_a_cause_raises_its_note_and_no_other(run, edit, cause, topic):
    assert topics(run) == STANDING
    assert topics(cause(run, edit)) == STANDING | {topic}


def test_a_child_that_masks_as_its_parent_did_not_is_told_apart_from_it(run, edit):
    found = {note.topic: note.sentences for note in raised(other_masking(run, edit))}

    assert set(found) == STANDING | {"Document masking", "Not comparable"}
    (text,) = found["Not comparable"]
    assert text.startswith("Of `grown` and `base`, only one masked documents from each other")


def uncontrolled(run, _edit):
    return run.model_copy(update={"stages": run.stages[:2]})


def within_the_controls(run, edit):
    losses = relosed(run.stages[1].validation, lambda _, loss: loss + 0.1)
    return edit(run, "grown", validation=losses, train=raised_train(run, 1))


def smooth_growth(run, edit):
    grown = run.stages[1]
    exact = grown.certificate.model_copy(update={"loss_after": grown.certificate.loss_before})
    calm = relosed(grown.validation, lambda _, loss: min(loss, 4.3))
    return edit(run, "grown", certificate=exact, validation=calm)


def stable_parent(run, edit):
    train = tuple(point.model_copy(update={"lr": 1e-3}) for point in run.stages[0].train)
    return edit(run, "base", train=train)


def trained_contexts_only(run, edit):
    for stage in run.stages:
        kept = tuple(score for score in stage.evaluations if score.multiple == 1)
        run = edit(run, stage.name, evaluations=kept)
    return run


def one_pace(run, edit):
    for stage in run.stages:
        run = edit(run, stage.name, seconds=stage.flops / 1e12)
    return run


@pytest.mark.parametrize(
    ("cure", "topic"),
    [
        (within_the_controls, "Extrapolation"),
        (smooth_growth, "The jump at growth"),
        (stable_parent, "An annealed parent"),
        (trained_contexts_only, "Longer contexts"),
        (one_pace, "Time and FLOPs"),
    ],
)
def test_without_its_cause_a_note_is_gone_and_the_others_stay(run, edit, cure, topic):
    assert topics(cure(run, edit)) == STANDING - {topic}


def test_a_grown_stage_without_a_control_can_claim_nothing(run, edit):
    found = topics(uncontrolled(run, edit))

    assert found == STANDING - {"Extrapolation", "The controls"} | {"No control"}


def test_an_unfinished_control_leaves_the_ledger(run, edit):
    found = {note.topic: note.sentences for note in raised(unfinished_base(run, edit))}

    assert set(found) == STANDING - {"Extrapolation"} | {"Unfinished"}
    assert "does not enter the ledger of `grown`" in found["Unfinished"][0]


def test_copies_that_have_parted_or_have_not_been_trained_yet_are_no_cause(run, edit):
    at_growth = edit(run, "grown", copies=(copies_at(0, equal=64),))
    parted = edit(run, "grown", copies=(copies_at(0, equal=64), copies_at(250, equal=0)))

    assert topics(at_growth) == topics(parted) == STANDING


def sentences(view):
    return {note.topic: note.sentences for note in raised(view)}["Benchmarks in the text"]


def test_benchmarks_in_the_text_are_told_model_by_model_with_what_nobody_knows(run, edit):
    view = edit(exposed(run, edit), "grown", exposure=seen(examples=0, masked=1, unknown=("x",)))
    base, parent, grown, _ = sentences(view)

    assert base == (
        "`base` was trained on 2 examples of piqa (1 with the answer), 3.2 times in all and 2.0 "
        "times at most."
    )
    assert parent == "Nobody knows what `x` was trained on, which `grown` goes back to."
    assert grown == "`grown` was trained on no example of piqa; 1 example it only read."
    view = edit(run, "grown", exposure=seen(unsearched=("base",)))
    assert "those of `base` were not searched" in sentences(view)[0]
    view = edit(run, "grown", exposure=seen(partly=("base",)))
    assert "not all those of `base` were searched for benchmarks" in sentences(view)[0]


def test_a_run_with_nothing_to_say_says_nothing(run, edit, empty_run):
    alone = run.model_copy(update={"stages": run.stages[:1]})

    assert topics(trained_contexts_only(alone, edit)) == set()
    assert topics(empty_run) == set()


def test_the_standing_notes_and_the_caused_ones_are_all_there_are():
    caused = {
        "Repeated text",
        "Text left out",
        "Benchmarks in the text",
        "Masked tokens",
        "Document masking",
        "Capped documents",
        "While training",
        "Memory",
        "Divergence",
        "Losses that are not finite",
        "Steps not taken",
        "Overfitting",
        "Not comparable",
        "No control",
        "An imported parent",
        "Unfinished",
        "Copies that have not parted",
        "Other contexts than in training",
        "Scores that overlap helps",
        "Lineage of scores",
    }

    assert set(NOTES) == STANDING | caused
