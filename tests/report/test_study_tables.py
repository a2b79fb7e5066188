from dataclasses import replace

import pytest

from growlm.recipe.grid import Arm
from growlm.report.interval import Interval
from growlm.report.study import Continued, Findings, Result, Saved, Time, Tried
from growlm.report.study_tables import Told, controls, equal_compute, limits, page, savings, times

TOLD = Told(
    title="What growing saves",
    created="2031-05-04T09:12:33+00:00",
    growlm_version="0.1.0",
    planned_seeds=3,
)


def of(mean: float, half: float | None = None) -> Interval:
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return Interval(mean=mean, low=low, high=high, count=1 if half is None else 3)


def saved(convention: str, flops: float, mean: float) -> Saved:
    return Saved(
        convention=convention,
        flops=of(flops, 0.0),
        saved=of(mean, 0.0625),
        over=None,
        under=None,
        better=of(0.25, 0.125),
    )


RESULT = Result(
    arm=Arm(name="grown", differs=""),
    seeds=3,
    loss=of(3.5, 0.125),
    accounts=(saved("parent charged", 2e12, 0.25), saved("parent free", 1e12, 0.625)),
    bases=("fit",),
    extrapolated=False,
    between=of(0.2, 0.05),
    time=Time(parents=60.0, stage=90.0, scratch=300.0, saved=of(0.5, 0.25)),
)
TRIED = Tried(
    compute=0.5,
    flops=1e12,
    peak_lr=2e-3,
    schedule="",
    losses=(4.0, 4.125),
    best=True,
    at_edge=False,
)
FOUND = Findings(
    seeds=(1, 2, 3),
    results=(RESULT,),
    tried=(TRIED, replace(TRIED, peak_lr=1e-3, losses=(4.5,), best=False)),
    continued=Continued(name="more", flops=2e12, loss=of(3.75, 0.125), behind=of(0.25, 0.125)),
    misfit=0.0125,
    flops=3e13,
    seconds=3600.0,
)


def test_savings_stand_with_their_intervals_by_account():
    assert savings(FOUND.results).splitlines()[2] == (
        "| `grown` | \u2013 | 3 | 25.0% [18.8%, 31.2%] | 62.5% [56.2%, 68.8%] "
        "| 33.3% | 20.0% [15.0%, 25.0%] | power law with a floor |"
    )


@pytest.mark.parametrize(
    ("over", "under", "words"),
    [
        (0.25, None, "more than 25.0%"),
        (0.25, 0.5, "more than 25.0%, at most 50.0%"),
        (None, None, "\u2013"),
    ],
)
def test_where_a_seed_has_bounds_alone_the_table_has_too(over, under, words):
    bounded = replace(RESULT.accounts[0], saved=None, over=over, under=under)
    result = replace(
        RESULT, accounts=(bounded,), bases=("bound", "fit"), extrapolated=True, between=None
    )
    assert savings((result,)).splitlines()[2] == (
        f"| `grown` | \u2013 | 3 | {words} | \u2013 | \u2013 "
        "| bound only and power law with a floor, extrapolated |"
    )


def test_losses_at_equal_compute_and_the_parent_trained_on_stand_together():
    row, _, words = equal_compute(FOUND).splitlines()[2:]
    nats = "0.2500 [0.1250, 0.3750]"
    assert row == f"| `grown` | 2.000e12 | 3.5000 [3.3750, 3.6250] | {nats} | {nats} |"
    assert words == (
        "The parent trained on instead, with as much compute (`more`, 2.000e12 FLOPs): "
        f"3.7500 [3.6250, 3.8750], above its child by {nats}."
    )


def test_time_is_told_as_people_say_it():
    assert times(FOUND.results).splitlines()[2] == (
        "| `grown` | 1 min 0 s | 1 min 30 s | 5 min 0 s | 50.0% [25.0%, 75.0%] |"
    )


def test_every_learning_rate_that_was_tried_is_told():
    assert controls(FOUND).splitlines()[2:] == [
        "| 0.5 | 1.000e12 | 0.002 | 4.0000, 4.1250 | the control |",
        "| 0.5 | 1.000e12 | 0.001 | 4.5000 |  |",
    ]


def test_schedules_are_told_where_several_were_tried():
    tried = (replace(TRIED, schedule="kind = linear"), replace(TRIED, schedule="kind = cosine"))
    several = replace(FOUND, tried=tried)
    assert controls(several).splitlines()[2:] == [
        "| 0.5 | 1.000e12 | kind = linear | 0.002 | 4.0000, 4.1250 | the control |",
        "| 0.5 | 1.000e12 | kind = cosine | 0.002 | 4.0000, 4.1250 | the control |",
    ]
    told = list(limits(several, TOLD))
    assert not any("better schedule" in line for line in told)
    assert told[0] == "What schedules from scratch would do beside the 2 that were tried."


def test_a_rate_at_the_edge_is_told_once_whatever_schedules_it_was_best_with():
    edge = replace(TRIED, at_edge=True)
    tried = (replace(edge, schedule="linear"), replace(edge, schedule="cosine"))
    lines = list(limits(replace(FOUND, tried=tried), TOLD))
    assert sum("is the last of those that were tried" in line for line in lines) == 1


def test_what_is_open_is_told():
    few = replace(FOUND, seeds=(1,), tried=(replace(TRIED, at_edge=True),))
    lines = list(limits(few, TOLD))
    assert lines[0] == "The study is not finished: 1 of 3 seeds."
    assert lines[1] == "What chance does: 1 seed, and 3 are the least."
    assert "0.002 is the last of those that were tried" in lines[2]
    assert lines[3].startswith("What a better schedule would do for training from scratch: one was")
    unknown = replace(FOUND, misfit=None, tried=())
    assert list(limits(unknown, TOLD)) == [
        "An interval holds what seeds do, and neither how a law is chosen nor how arms were.",
        "Other sizes, data and schedules than these.",
    ]


def test_what_the_law_misses_and_what_validation_would_cost_are_told():
    _, law, validation, *_ = limits(FOUND, replace(TOLD, validation_share=0.125))
    assert law.startswith("The law misses a control by up to 0.0125 nats;")
    assert "up to 12.5% of what an arm and its parents trained" in validation


def test_the_page_says_what_was_run_on_what(run):
    text = page(FOUND, [run], TOLD)
    assert text.startswith("# What growing saves\n\n3 seeds (1, 2 and 3) of 3. ")
    assert "Children of 1,180,928 parameters without embeddings." in text
    assert "3.000e13 FLOPs in 1 h 0 min of training on CPU, 2 cores." in text


def test_a_study_of_which_nothing_is_finished_says_so(run):
    empty = replace(FOUND, results=(), tried=(), continued=None)
    assert "No arm is finished yet." in page(empty, [run], TOLD)
