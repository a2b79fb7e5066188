import math

import pytest

from growlm.report.baselines import (
    PUBLISHED,
    Score,
    baseline_score,
    compares,
    compares_bits,
    own_rows,
    published as published_rows,
    spelled,
    task_scores,
)
from growlm.report.frozen import MeanView
from growlm.report.view import BaselineView, TaskView


def mean(value, *, stderr=0.01, count=5_153):
    return MeanView(value=value, stderr=stderr, count=count)


LAMBADA = TaskView(
    task="lambada_openai", scores={"acc": mean(0.5), "log_likelihood_nats": mean(-2.0, stderr=0.03)}
)


def scored(run, edit, *, context=1_024, **changes):
    score = run.stages[0].evaluations[0].model_copy(update={"context": context, **changes})
    return own_rows(edit(run, "base", evaluations=(score,)))


def published(name, kind="scores"):
    return next(each for each in PUBLISHED if each.name == name and getattr(each, kind))


def test_a_runs_own_sources_are_no_rows_beside_published_ones(run):
    assert own_rows(run) == ()


def test_a_mean_log_likelihood_is_a_perplexity_with_an_error_by_the_slope():
    found = task_scores((LAMBADA,))["lambada_openai", "perplexity"]

    assert found.value == pytest.approx(math.exp(2.0))
    assert found.stderr == pytest.approx(0.03 * math.exp(2.0))


def test_a_published_accuracy_has_the_error_of_as_many_examples():
    found = baseline_score(published("GPT-580M"), "lambada_openai", "acc")

    assert found is not None
    assert found.stderr == pytest.approx(0.0069, abs=5e-5)  # 0.7 points
    perplexity = baseline_score(published("GPT-580M"), "lambada_openai", "perplexity")
    assert perplexity is not None
    assert perplexity.stderr is None
    assert baseline_score(published("GPT-580M"), "arc_easy", "acc") is None


def test_full_sets_at_one_context_compare(run, edit):
    assert compares(published("GPT-580M"), scored(run, edit, tasks=(LAMBADA,))) == "yes"


def test_another_context_or_part_of_a_set_is_told(run, edit):
    other = scored(run, edit, tasks=(LAMBADA,), context=512)
    some = TaskView(task="lambada_openai", scores={"acc": mean(0.5, count=100)})

    assert compares(published("GPT-580M"), other) == "roughly: scored at context 1,024"
    assert compares(published("GPT-580M"), scored(run, edit, tasks=(some,))) == (
        "no: ours are of 100 of 5,153 examples"
    )


def test_plain_accuracy_never_compares_with_accuracy_by_length(run, edit):
    normed = TaskView(task="hellaswag", scores={"acc_norm": mean(0.4, count=10_042)})

    assert compares(published("GPT2-XL"), scored(run, edit, tasks=(normed,))) == (
        "no: no task and metric in common"
    )


def test_bits_per_byte_compare_under_one_cap(run, edit):
    own = scored(run, edit, bits_per_byte={"arxiv": 1.2, "pile-cc": 1.0}, capped=("arxiv",))
    reference, pile = (published(name, "bits_per_byte") for name in ("GPT-580M", "GPT2-XL"))

    assert list(own[0].bits) == ["ArXiv", "Pile CC"]
    assert compares_bits(reference, own, 3_000) == "on the same documents"
    assert compares_bits(reference, own, 500) == (
        "roughly, on the same documents: at most 3,000 were scored, of ours at most 500"
    )
    assert "all of them were scored" in compares_bits(pile, own, 3_000)
    other = BaselineView(name="x", source="y", bits_per_byte={"novels": 1.0})
    assert compares_bits(other, own, 3_000) == "no: no component in common"


def test_a_baseline_whose_context_nobody_knows_compares_roughly(run, edit):
    unknown = BaselineView(name="x", source="y", scores={"lambada_openai": {"acc": 0.4}})

    assert compares(unknown, scored(run, edit, tasks=(LAMBADA,))) == (
        "roughly: its context is not known"
    )


def test_a_model_that_was_scored_here_has_its_own_errors_and_compares(run, edit):
    here = BaselineView(
        name="x",
        source="this run",
        scores={"lambada_openai": {"acc": 0.4, "perplexity": 9.0}},
        errors={"lambada_openai": {"acc": 0.25}},
        bits_per_byte={"docs": 1.0},
        context=1_024,
        here=True,
    )
    few = TaskView(task="lambada_openai", scores={"acc": mean(0.5, count=9)})
    own = scored(edit_baselines(run, here), edit, tasks=(few,), bits_per_byte={"docs": 1.1})

    assert compares(here, own) == compares_bits(here, own, 2) == "run here"
    assert baseline_score(here, "lambada_openai", "acc") == Score(value=0.4, stderr=0.25)
    assert baseline_score(here, "lambada_openai", "perplexity") == Score(value=9.0, stderr=None)
    other = scored(run, edit, tasks=(few,), context=512)
    assert compares(here, other) == "run here: scored at context 1,024"


def edit_baselines(run, *baselines):
    return run.model_copy(update={"baselines": baselines})


def test_published_bits_stand_beside_components_alone(run, edit):
    brought = BaselineView(name="x", source="y", bits_per_byte={"docs": 1.0})
    assert published_rows(run) == ()
    assert published_rows(edit_baselines(run, brought)) == ()
    score = run.stages[0].evaluations[0].model_copy(update={"bits_per_byte": {"arxiv": 1.2}})
    found = published_rows(edit(run, "base", evaluations=(score,)))
    assert found == tuple(each for each in PUBLISHED if each.bits_per_byte)


def test_names_of_components_have_several_spellings():
    assert {spelled(name) for name in ("Pile-CC", "CommonCrawl", "pile cc")} == {"cc"}


def test_every_published_row_says_where_it_stands():
    assert all(each.source for each in PUBLISHED)
    assert len(PUBLISHED) == 12
