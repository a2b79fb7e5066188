"""What a study finds in hand-made runs whose controls lie on a law that is known."""

import math
from dataclasses import replace

import pytest

from growlm.recipe.grid import Arm, Design, Trial
from growlm.report.interval import interval
from growlm.report.study import best_controls, control_points, findings, validation_share

RATES = (1e-3, 2e-3, 4e-3)
BEST = {0.5: 4e-3, 1.0: 2e-3, 2.0: 1e-3}
"""The learning rate that the hand-made controls of each compute like best."""

DESIGN = Design(
    arms=(Arm(name="grown", differs=""), Arm(name="stacked", differs="grow.depth = stack")),
    continued="continued",
    controls={
        compute: tuple(
            Trial(
                name=f"scratch-x{compute:g}-lr{rate:g}", compute=compute, peak_lr=rate, schedule=""
            )
            for rate in RATES
        )
        for compute in BEST
    },
    children=2,
    tuned_anew=False,
    follows=True,
)


def law(compute):
    """Return 2 + 3 C^-1/2, C in multiples of what the grown stage and its parent took."""
    return 2 + 3 * compute**-0.5


def ended(stage, loss, **changes):
    """Return a stage that ends at a loss."""
    last = stage.validation[-1].model_copy(update={"loss": loss})
    return stage.model_copy(update={"validation": (*stage.validation[:-1], last), **changes})


@pytest.fixture
def seeded(run):
    """Return a function: a seed, the losses of both arms -> a run of it, its controls tuned."""
    base, grown, scratch, _ = run.stages
    unit = grown.flops_before + grown.flops

    def made(seed, losses, *, tuned, best=BEST):
        controls = [
            ended(
                scratch,
                law(trial.compute) + 0.1 * abs(math.log2(trial.peak_lr / best[trial.compute])),
                name=trial.name,
                control_compute=trial.compute,
                flops=trial.compute * unit,
                seconds=trial.compute * 100.0,
            )
            for tried in DESIGN.controls.values()
            for trial in tried
            if not tuned or trial.peak_lr == best[trial.compute]
        ]
        arms = [
            ended(grown, loss, name=arm.name) for arm, loss in zip(DESIGN.arms, losses, strict=True)
        ]
        more = ended(grown, losses[0] + 0.25, name="continued")
        stages = (base, *arms, more, *controls)
        return run.model_copy(update={"seed": seed, "stages": stages})

    return made


@pytest.fixture
def views(seeded):
    return [
        seeded(1, (4.7, 4.5), tuned=False),
        seeded(2, (4.6, 4.5), tuned=True),
        seeded(3, (4.8, 4.5), tuned=True),
    ]


def test_the_control_of_each_compute_is_its_best_learning_rate(views):
    best = best_controls(views[0], DESIGN)
    assert {compute: trial.peak_lr for compute, trial in best.items()} == BEST


def test_the_control_of_each_compute_is_its_best_schedule_too(views):
    plateau = [
        replace(trial, name=f"{trial.name}.plateau", schedule="plateau")
        for trial in DESIGN.controls[1.0]
    ]
    design = replace(DESIGN, controls={**DESIGN.controls, 1.0: (*DESIGN.controls[1.0], *plateau)})
    lower = [
        ended(stage, law(1.0) - 0.5 + at, name=trial.name)
        for at, (stage, trial) in enumerate(
            zip([s for s in views[0].stages if s.control_compute == 1.0], plateau, strict=True)
        )
    ]
    view = views[0].model_copy(update={"stages": (*views[0].stages, *lower)})
    best = best_controls(view, design)
    assert (best[1.0], best[2.0].schedule) == (plateau[0], "")
    told = [each for each in findings([view], design).tried if each.compute == 1.0]
    assert [(each.schedule, each.best, each.at_edge) for each in told] == [
        *[("", False, False)] * 3,
        ("plateau", True, True),
        *[("plateau", False, False)] * 2,
    ]


def test_savings_are_those_of_the_law_with_the_interval_of_the_seeds(views):
    found = findings(views, DESIGN)
    first = found.results[0]
    grown = views[0].stages[1]
    unit = grown.flops_before + grown.flops
    for account, parents in zip(first.accounts, (1.0, 0.5, 0.0), strict=True):
        cost = (parents * grown.flops_before + grown.flops) / unit
        saved = [1 - cost / ((loss - 2) / 3) ** -2 for loss in (4.7, 4.6, 4.8)]
        wanted = interval(saved)
        assert wanted is not None
        assert account.saved is not None
        # The law's exponent is searched, not known.
        assert account.saved.mean == pytest.approx(wanted.mean, abs=1e-5)
        assert account.saved.low == pytest.approx(wanted.low, abs=1e-4)
        assert account.saved.high == pytest.approx(wanted.high, abs=1e-4)
        assert account.flops.mean == pytest.approx(cost * unit)
    assert [each.convention for each in first.accounts] == [
        "parent charged",
        "parent shared by 2 children",
        "parent free",
    ]


def test_controls_that_lie_on_the_law_are_not_missed_and_lines_between_them_say_nearly_the_same(
    views,
):
    found = findings(views, DESIGN)
    assert found.misfit == pytest.approx(0.0, abs=1e-6)
    first = found.results[0]
    assert first.between is not None
    assert first.accounts[0].saved is not None
    # 4.7 and 4.8 lie between the controls at 1 and 2, whose losses are 5 and 4.12; 4.6 does too.
    steep = math.log(law(1.0) / law(2.0)) / math.log(2.0)
    shares = [1 - 1 / ((loss / law(1.0)) ** (-1 / steep)) for loss in (4.7, 4.6, 4.8)]
    wanted = interval(shares)
    assert wanted is not None
    assert first.between.mean == pytest.approx(wanted.mean, abs=1e-6)
    assert first.between.mean == pytest.approx(first.accounts[0].saved.mean, abs=0.02)


def test_a_law_that_misses_its_controls_says_by_how_much(seeded):
    views = [seeded(1, (4.7, 4.5), tuned=False)]
    stages = [
        ended(stage, law(2.0) - 0.5) if stage.name.startswith("scratch-x2-") else stage
        for stage in views[0].stages
    ]
    bent = views[0].model_copy(update={"stages": tuple(stages)})
    missed = findings([bent], DESIGN).misfit
    assert missed is not None
    assert 0.01 < missed < 0.5


def test_validation_is_told_as_a_share_of_what_an_arm_and_its_parents_trained(views):
    base, grown, *_ = views[0].stages
    passes = len(base.validation) * base.flops_per_token
    passes += len(grown.validation) * grown.flops_per_token
    wanted = 1000 / 3 * passes / (grown.flops_before + grown.flops)
    assert validation_share(views, DESIGN, tokens=1000) == pytest.approx(wanted)


def test_equal_compute_is_read_at_the_control_of_that_compute(views):
    charged = findings(views, DESIGN).results[0].accounts[0]
    wanted = interval([law(1.0) - loss for loss in (4.7, 4.6, 4.8)])
    assert charged.better == wanted


def test_arms_that_never_differ_have_no_spread(views):
    stacked = findings(views, DESIGN).results[1]
    assert (stacked.loss.mean, stacked.loss.low, stacked.loss.high) == (4.5, 4.5, 4.5)


def test_a_loss_far_beyond_the_controls_has_bounds_alone(seeded):
    views = [seeded(1, (2.1, 4.5), tuned=False), seeded(2, (4.7, 4.5), tuned=True)]
    charged = findings(views, DESIGN).results[0].accounts[0]
    assert charged.saved is None
    assert charged.under is None
    # The second seed's estimate is the least of what the two say.
    assert charged.over == pytest.approx(1 - (2.7 / 3) ** 2, abs=1e-5)


def test_time_is_that_of_the_stage_and_its_parents_against_the_controls_speed(views):
    time = findings(views, DESIGN).results[1].time
    grown = views[0].stages[1]
    assert (time.parents, time.stage) == (grown.seconds_before, grown.seconds)
    assert time.scratch == pytest.approx(100 * (2.5 / 3) ** -2, abs=1e-3)
    assert time.saved is not None
    own = grown.seconds_before + grown.seconds
    assert time.saved.mean == pytest.approx(1 - own / (100 * (2.5 / 3) ** -2), abs=1e-3)


def test_what_was_tried_is_told_with_the_losses_of_every_seed(views):
    tried = findings(views, DESIGN).tried
    assert [(each.compute, each.peak_lr, len(each.losses), each.at_edge) for each in tried] == [
        (0.5, 1e-3, 1, False),
        (0.5, 2e-3, 1, False),
        (0.5, 4e-3, 3, True),
        (1.0, 1e-3, 1, False),
        (1.0, 2e-3, 3, False),
        (1.0, 4e-3, 1, False),
        (2.0, 1e-3, 3, True),
        (2.0, 2e-3, 1, False),
        (2.0, 4e-3, 1, False),
    ]


def test_a_parent_trained_on_is_compared_with_its_own_child(views):
    continued = findings(views, DESIGN).continued
    assert continued is not None
    assert continued.behind is not None
    assert continued.behind.mean == pytest.approx(0.25)
    assert continued.loss.mean == pytest.approx(4.95)


def test_a_seed_that_is_not_finished_has_no_part_in_an_arm(views):
    stages = tuple(
        stage.model_copy(update={"complete": stage.name != "stacked"}) for stage in views[2].stages
    )
    views[2] = views[2].model_copy(update={"stages": stages})
    grown, stacked = findings(views, DESIGN).results
    assert (grown.seeds, stacked.seeds) == (3, 2)


def test_a_seed_without_all_of_its_controls_has_no_part_in_anything(views):
    views[2] = views[2].model_copy(update={"stages": views[2].stages[:-1]})
    assert [result.seeds for result in findings(views, DESIGN).results] == [2, 2]


def test_the_points_of_the_controls_are_sorted_by_compute(views):
    points = control_points(views, DESIGN)
    assert [len(group) for group in points] == [3, 3, 3]
    computes = [group[0].compute for group in points]
    assert computes == sorted(computes)


def test_a_seed_that_tried_every_rate_has_its_own_best_controls(seeded):
    other = {0.5: 2e-3, 1.0: 1e-3, 2.0: 4e-3}
    ones = [seeded(1, (4.7, 4.5), tuned=False), seeded(2, (4.7, 4.5), tuned=False, best=other)]
    found = findings(ones, DESIGN)
    first, second = control_points(ones, DESIGN)[0]
    assert first.loss == second.loss == pytest.approx(law(0.5))
    assert {(each.compute, each.peak_lr) for each in found.tried if each.best} == {
        *BEST.items(),
        *other.items(),
    }
    saved = found.results[0].accounts[0].saved
    assert saved is not None
    assert (saved.low, saved.high) == pytest.approx((saved.mean, saved.mean))
