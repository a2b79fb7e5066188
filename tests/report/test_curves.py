import math

import numpy as np
import pytest

from growlm.report.curves import (
    POINTS,
    final_loss,
    perplexity,
    smooth,
    thin,
    tokens_to_regain,
    train_curve,
    validation_curve,
)


def test_perplexity_is_exp_of_the_loss_and_never_overflows():
    assert perplexity(math.log(50.0)) == pytest.approx(50.0)
    assert perplexity(1e4) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_smoothing_is_the_weighted_mean_of_the_past():
    losses = [5.0, 3.0, 4.0, 1.0]
    weights = (1 - 2 / (4 + 1)) ** np.arange(4)[::-1]

    assert smooth(losses, span=4)[-1] == pytest.approx(np.average(losses, weights=weights))


def test_smoothing_leaves_a_constant_as_it_is():
    assert smooth([2.5] * 9, span=5) == pytest.approx([2.5] * 9)


def test_smoothing_passes_over_what_is_not_finite():
    smoothed = smooth([math.nan, 4.0, math.inf, 4.0], span=3)

    assert math.isnan(smoothed[0])
    assert smoothed[1:] == pytest.approx([4.0] * 3)


@pytest.mark.parametrize("length", [0, 1, 599, 600, 601, 12_345])
def test_thinning_keeps_both_ends_and_the_limit(length):
    kept = thin(length)

    assert len(kept) == min(length, POINTS)
    assert kept == sorted(set(kept))
    if length:
        assert (kept[0], kept[-1]) == (0, length - 1)


def test_a_grown_stage_goes_on_where_its_parent_stopped(run):
    base, grown = run.stages[:2]

    assert validation_curve(grown)[0].tokens == validation_curve(base)[-1].tokens
    assert validation_curve(grown)[0].flops == pytest.approx(base.flops)
    assert validation_curve(grown)[-1].flops == pytest.approx(base.flops + grown.flops)


def test_a_long_stage_is_thinned_and_a_stage_not_begun_is_empty(run):
    base = run.stages[0]
    long = base.model_copy(update={"train": base.train * 4})

    assert len(train_curve(long)) == POINTS < len(long.train)
    assert train_curve(base.model_copy(update={"train": ()})) == []


def test_a_final_loss_needs_a_finished_stage_validated_at_its_last_step(run):
    base = run.stages[0]

    assert final_loss(base) == base.validation[-1].loss
    assert final_loss(base.model_copy(update={"complete": False})) is None
    assert final_loss(base.model_copy(update={"validation": base.validation[:-1]})) is None
    assert final_loss(base.model_copy(update={"validation": ()})) is None


def test_a_loss_is_regained_only_after_the_worst_of_it(run):
    grown = run.stages[1]
    losses = (4.3, 4.8, 4.5, 4.2, 4.0)
    points = tuple(
        point.model_copy(update={"loss": loss})
        for point, loss in zip(grown.validation, losses, strict=False)
    )
    child = grown.model_copy(update={"validation": points})

    assert tokens_to_regain(child, 4.3) == points[3].tokens
    assert tokens_to_regain(child, 3.0) is None
