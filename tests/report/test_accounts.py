import math

import pytest

from growlm.report.accounts import accounts, controls_of
from growlm.report.ledger import saving

WORSE = {"scratch-low": 4.4, "scratch-high": 4.9}
"""Controls at other learning rates, and where they end."""


def only(run):
    (account,) = accounts(run)
    return account


def test_the_parent_is_charged_first_and_free_last(run):
    account, (base, grown, *_) = only(run), run.stages

    assert account.charged.flops == base.flops + grown.flops
    assert account.free.flops == grown.flops
    assert [cost.convention for cost in account.costs] == ["parent charged", "parent free"]


def test_the_saving_is_that_of_a_line_through_the_two_controls(run):
    account = only(run)
    (whole, half) = account.points
    slope = math.log(whole.loss / half.loss) / math.log(whole.compute / half.compute)
    expected = whole.compute * (account.loss / whole.loss) ** (1 / slope)

    assert account.scratch.estimate == pytest.approx(expected, rel=1e-12)
    charged = saving(account.charged.flops, scratch=expected).saved
    free = saving(account.free.flops, scratch=expected).saved
    assert charged < free - 0.3


def test_what_a_control_read_in_mid_schedule_does_not_matter(run, edit):
    scratch = run.stages[2]
    early = tuple(point.model_copy(update={"loss": 1.0}) for point in scratch.validation[:-1])

    other = edit(run, "scratch", validation=(*early, scratch.validation[-1]))

    assert only(other).scratch == only(run).scratch
    assert only(other).costs == only(run).costs


def test_of_controls_of_one_compute_the_best_counts_and_their_mean_does_not(run):
    scratch, last = run.stages[2], run.stages[2].validation[-1]
    ends = {name: (last.model_copy(update={"loss": loss}),) for name, loss in WORSE.items()}
    worse = [
        scratch.model_copy(update={"name": name, "validation": (*scratch.validation[:-1], *end)})
        for name, end in ends.items()
    ]

    tuned = only(run.model_copy(update={"stages": (*run.stages, *worse)}))

    assert [control.name for control in tuned.controls][-2:] == list(WORSE)
    assert tuned.best == tuple(sorted(only(run).points, key=lambda point: point.compute))
    assert (tuned.scratch, tuned.costs) == (only(run).scratch, only(run).costs)


def test_the_end_of_a_control_does_matter(run, edit):
    scratch = run.stages[2]
    better = scratch.validation[-1].model_copy(update={"loss": 3.7})

    other = edit(run, "scratch", validation=(*scratch.validation[:-1], better))

    assert only(other).scratch != only(run).scratch


@pytest.mark.parametrize("cut", ["incomplete", "not validated at its end", "not finite"])
def test_a_control_without_an_end_is_no_point(run, edit, cut):
    scratch = run.stages[2]
    last = scratch.validation[-1].model_copy(update={"loss": math.nan})
    changes = {
        "incomplete": {"complete": False},
        "not validated at its end": {"validation": scratch.validation[:-1]},
        "not finite": {"validation": (*scratch.validation[:-1], last)},
    }

    account = only(edit(run, "scratch", **changes[cut]))

    assert [control.name for control in account.controls] == ["scratch-half"]
    assert account.scratch.estimate is None


def test_an_unfinished_grown_stage_has_no_account(run, edit):
    assert accounts(edit(run, "grown", complete=False)) == ()


def test_a_parent_of_two_children_can_be_shared(run):
    sibling = run.stages[1].model_copy(update={"name": "sibling"})
    family = run.model_copy(update={"stages": (*run.stages, sibling)})

    account = accounts(family)[0]

    base, grown = run.stages[:2]
    assert [cost.flops for cost in account.costs] == [
        base.flops + grown.flops,
        base.flops / 2 + grown.flops,
        grown.flops,
    ]


def test_equal_compute_takes_the_control_of_that_compute(run):
    account = only(run)

    assert account.charged.scratch.basis == "control"
    assert account.charged.scratch.loss == run.stages[2].validation[-1].loss
    assert account.free.scratch.basis == "line"


def test_break_even_is_reached_exactly_when_the_control_had_the_same_compute(run):
    account = only(run)
    grown, scratch = account.stage, account.controls[0]

    # A control trains whole steps, so its tokens miss its compute by half a step at most.
    half_a_step = scratch.batch_tokens / 2
    assert account.break_even_tokens(scratch) == pytest.approx(grown.tokens, abs=half_a_step)


def test_controls_are_found_by_the_stage_they_answer(run):
    base, grown, *controls = run.stages

    assert controls_of(run, grown) == tuple(controls)
    assert controls_of(run, base) == ()
