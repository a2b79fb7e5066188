from growlm.report.growth_notes import (
    annealed_parent,
    controls,
    extrapolated,
    imported_parent,
    jump,
    one_seed,
    unparted,
)
from growlm.report.view import ApartView, CopiesPoint


def test_a_difference_too_small_for_one_seed_is_named(run, edit):
    assert len(one_seed(run)) == 1
    scratch = run.stages[2]
    close = scratch.validation[-1].model_copy(update={"loss": 3.885})

    told = one_seed(edit(run, "scratch", validation=(*scratch.validation[:-1], close)))

    assert "too close to call" in told[1]
    assert "parent charged" in told[1]


def test_an_averaged_parent_is_named(run, edit):
    told = annealed_parent(edit(run, "grown", parent="runs/demo/stages/base/average"))

    assert "average of checkpoints" in told[0]


def test_another_checkpoint_as_the_parent_is_not_called_annealed(run, edit):
    assert annealed_parent(edit(run, "grown", parent="runs/demo/stages/base/final")) == ()


def test_an_imported_parent_is_not_charged_and_the_log_says_so(run, edit):
    imported = edit(run, "grown", parent="pythia", flops_before=0.0)

    (text,) = imported_parent(imported)

    assert text.startswith("`grown` grew from an imported model.")
    assert "counts as nothing" in text
    assert imported_parent(run) == ()


def test_what_grew_from_an_imported_model_hands_that_on(run, edit):
    imported = edit(run, "grown", parent="pythia", flops_before=0.0)
    child = imported.stages[1].model_copy(
        update={"name": "larger", "parent": "grown", "flops_before": 1e12}
    )

    (text,) = imported_parent(imported.model_copy(update={"stages": (*imported.stages, child)}))

    assert text.startswith("`grown` and `larger` grew")


def test_the_jump_tells_both_losses_and_when_the_parent_was_regained(run):
    (text,) = jump(run)

    assert "rose from 4.3010 to 4.7120 nats" in text
    assert "back at its parent's 4.300 by the validation at 819.2K tokens" in text


def test_a_child_that_never_regained_its_parent_is_told(run, edit):
    grown = run.stages[1]
    lost = tuple(point.model_copy(update={"loss": 4.9}) for point in grown.validation)

    (text,) = jump(edit(run, "grown", validation=lost))

    assert "has not regained its parent's validation loss of 4.300" in text


def test_the_loss_of_an_unknown_parent_is_not_guessed(run, edit):
    (text,) = jump(edit(run, "grown", parent="elsewhere/final"))

    assert "rose from 4.3010" in text
    assert "back at" not in text


def test_three_rates_make_a_tuned_control(run, edit):
    grid = run
    for name, factor in (("scratch", 2.0), ("scratch-half", 0.5)):
        stage = next(stage for stage in run.stages if stage.name == name)
        train = tuple(point.model_copy(update={"lr": factor * point.lr}) for point in stage.train)
        grid = edit(grid, name, train=train)

    assert "tried 1 peak learning rate;" in controls(run)[0]
    assert "tried 2 peak learning rates;" in controls(grid)[0]


def test_an_extrapolation_says_how_far_it_goes(run):
    (text,) = extrapolated(run)

    assert "22.1% past the nearest one" in text


def test_copies_that_are_still_equal_are_counted_and_the_way_out_is_named(run, edit):
    apart = ApartView(copies=64, equal=3, largest=2.5e-9, relative=0.125)
    last = CopiesPoint(step=250, tokens=1, distance=None, spaces={"mlp": apart})

    text, reason = unparted(edit(run, "grown", copies=(last,)))

    assert "3 of 64 copied MLP units of `grown` still equal another copy after 250 steps" in text
    assert "is 2.5e-09" in text
    assert "optimizer\\_state = asymmetric" in reason
