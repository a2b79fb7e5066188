"""Optimizers of stages: what a recipe may ask for, what is saved and grown, and how it goes on."""

import signal

import pytest
import torch

from growlm.base.errors import PREEMPTED
from growlm.base.files import sha256_file
from growlm.checkpoint import load_optimizer, load_weights
from growlm.optim.moments import saved_moment
from growlm.pipeline.checking import checkpoint_bytes
from growlm.pipeline.open import plan_of
from growlm.pipeline.viewing import _hyperparameters

MUON = tuple(f"stage.{name}.optimizer.kind=muon" for name in ("base", "grown"))
WIDER = 'stage.grown.grow={from = "base", layers = 2, mlp = 80, optimizer_state = "copy"}'


def sets(*changes):
    return [word for change in changes for word in ("--set", change)]


def keys(state, name):
    return {key.partition(".")[0] for key in state if key.endswith(f".{name}")}


def test_muon_is_saved_grown_and_gone_on_with_bit_for_bit(recipe, forked, outcome):
    changes = sets(*MUON, WIDER)
    runs = [recipe.parent / name for name in ("whole", "stopped")]
    for run in runs:
        words = ("train", recipe, "--out", run, *changes, "--stage")
        if run.name == "stopped":
            assert forked(*words, "base", signal_at=[signal.SIGTERM, 3]).returncode == PREEMPTED
        assert forked(*words, "grown").returncode == 0
    assert outcome(runs[0]) == outcome(runs[1])
    stages = runs[0] / "stages"
    parent = load_optimizer(stages / "base/training/final")
    child = load_optimizer(stages / "grown/grown")
    name = "layers.0.mlp.up.weight"
    assert keys(parent, name) == keys(child, name) == {"momentum_buffer"}
    assert keys(parent, "embedding.weight") == {"step", "exp_avg", "exp_avg_sq"}
    before, after = (state[f"momentum_buffer.{name}"] for state in (parent, child))
    shared, alone = before[:16] / 2, before[16:]  # two copies share a gradient between them
    assert after.equal(torch.cat([shared, alone, shared]))
    final = stages / "base/training/final"
    probe = ("--layers", 2, "--tokens", "1M", "--probe", 1, "--run", runs[0])
    assert forked("advise", final, *probe).returncode == 0


LEAN = ("stage.base.optimizer.moments=8bit", "stage.grown.optimizer.moments=bfloat16")


def test_moments_of_fewer_bits_are_saved_grown_and_gone_on_with_bit_for_bit(
    recipe, forked, outcome
):
    changes = sets(*LEAN, WIDER)
    runs = [recipe.parent / name for name in ("whole", "stopped")]
    for run in runs:
        words = ("train", recipe, "--out", run, *changes, "--stage")
        if run.name == "stopped":
            assert forked(*words, "base", signal_at=[signal.SIGTERM, 3]).returncode == PREEMPTED
            assert forked(*words, "grown", signal_at=[signal.SIGTERM, 3]).returncode == PREEMPTED
        assert forked(*words, "grown").returncode == 0
    assert outcome(runs[0]) == outcome(runs[1])
    stages = runs[0] / "stages"
    name = "layers.0.mlp.up.weight"
    parent = load_optimizer(stages / "base/training/final")
    grown = load_optimizer(stages / "grown/grown")
    child = load_optimizer(stages / "grown/training/final")
    kinds = [each[f"exp_avg.{name}"].dtype for each in (parent, grown, child)]
    assert kinds == [torch.uint8, torch.float32, torch.bfloat16]
    assert keys(parent, name) == {*keys(child, name), "exp_avg_scale", "exp_avg_sq_scale"}
    before = saved_moment(parent, "exp_avg", name)
    assert before is not None
    shared, alone = before[:16] / 2, before[16:]  # two copies share a gradient between them
    assert grown[f"exp_avg.{name}"].equal(torch.cat([shared, alone, shared]))
    written = [*load_weights(stages / "base/training/final").values(), *parent.values()]
    foreseen = checkpoint_bytes(plan_of(recipe, changes[1::2]).stage("base"))
    assert sum(each.nbytes for each in written) == foreseen


def test_the_log_says_what_moments_are_held_in(recipe):
    assert _hyperparameters(plan_of(recipe, LEAN).stage("base"))["moments"] == (
        "8 bits and a scale for 256 of them, rounded by chance; float32 for vectors"
    )
    assert "moments" not in _hyperparameters(plan_of(recipe, ()).stage("base"))


def test_a_child_cannot_follow_moments_of_fewer_bits_exactly(growlm, again):
    recipe = again / "tiny.toml"
    exact = 'stage.grown.grow={from = "base", mlp = 128, optimizer_state = "exact"}'
    words = (
        'growlm: stage.grown: expected optimizer.moments to be "float32" in child and parent where '
        'grow.optimizer_state is "exact": no copy follows the other\'s rounding; got moments of '
        'fewer bits. Try moments = "float32", or optimizer_state = "asymmetric".\n'
    )
    for change in LEAN:
        done = growlm("check", recipe, *sets(change, exact))
        assert (done.returncode, done.stderr) == (2, words)
    assert growlm("check", recipe, *sets(exact)).returncode == 0
    change = ("--set", LEAN[0], "--out", again / "lean")
    assert growlm("train", recipe, "--stage", "base", *change).returncode == 0
    parent = again / "lean/stages/base/training/final"
    outside = exact.replace('"base"', f'"{parent}"')
    done = growlm("check", recipe, *sets(outside))
    assert (done.returncode, done.stderr) == (2, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            MUON[:1],
            'expected optimizer.kind to be "muon" as in the parent, whose optimizer\'s state it '
            'goes on with; got "adamw". Try kind = "muon", or grow.optimizer_state = "drop".',
        ),
        (
            MUON[1:],
            'expected optimizer.kind to be "adamw" as in the parent, whose optimizer\'s state it '
            'goes on with; got "muon". Try kind = "adamw", or grow.optimizer_state = "drop".',
        ),
        (
            (*MUON, 'stage.grown.grow={from = "base", mlp = 128, optimizer_state = "exact"}'),
            'expected grow.optimizer_state to be "asymmetric", "copy" or "drop" where '
            'optimizer.kind is "muon", which makes a whole matrix orthogonal: its steps are no '
            'multiple of its parent\'s; got "exact". Try optimizer_state = "asymmetric".',
        ),
    ],
)
def test_a_child_that_cannot_go_on_with_its_parent_s_state_is_refused(
    growlm, recipe, change, words
):
    done = growlm("check", recipe, *sets(*change))
    assert (done.returncode, done.stderr) == (2, f"growlm: stage.grown: {words}\n")


def test_a_child_may_change_the_optimizer_when_it_drops_the_state(growlm, recipe):
    dropped = 'stage.grown.grow={from = "base", layers = 2, optimizer_state = "drop"}'
    assert growlm("check", recipe, *sets(MUON[1], dropped)).returncode == 0


def test_a_parent_from_outside_is_known_by_its_state(growlm, again):
    outside = f'stage.base.grow={{from = "{again}/run/stages/base/training/final", layers = 2}}'
    recipe = again / "tiny.toml"
    text = recipe.read_text().replace(
        "model = { layers = 1, heads = 2, width = 16, dropout = 0.1 }\n", ""
    )
    recipe.write_text(text)
    done = growlm("check", recipe, *sets(outside, *MUON))
    assert 'optimizer.kind to be "adamw" as in the parent' in done.stderr
    assert growlm("check", recipe, *sets(outside)).returncode == 0


def test_momentum_belongs_to_muon(growlm, recipe):
    done = growlm("check", recipe, *sets("stage.base.optimizer.momentum=0.9"))
    assert done.stderr.endswith(
        'expected stage.base.optimizer to leave momentum out where its kind is not "muon": AdamW '
        'has betas instead; got momentum = 0.9. Try kind = "muon", or betas.\n'
    )


def test_moments_of_fewer_bits_belong_to_adamw(growlm, recipe):
    change = 'stage.base.optimizer={peak_lr = 1e-2, kind = "muon", moments = "bfloat16"}'
    done = growlm("check", recipe, *sets(change))
    assert done.stderr.endswith(
        'expected stage.base.optimizer to leave moments out where its kind is "muon", whose '
        'momentum is float32; got moments = "bfloat16". Try kind = "adamw", or no moments.\n'
    )


def test_a_checkpoint_under_muon_holds_one_float_less_for_each_entry_of_a_layer_s_matrices(recipe):
    adamw, muon = (plan_of(recipe, changes).stage("base") for changes in ((), MUON))
    matrices = 4 * 16 * 16 + 2 * 16 * 64
    # And for each of them a count of steps less.
    assert checkpoint_bytes(adamw) - checkpoint_bytes(muon) == 4 * matrices + 4 * 6


def test_a_z_loss_is_asked_for_in_the_recipe_and_told_in_the_log(recipe, growlm, again):
    change = "stage.scratch.optimizer.z_loss=1e-4"
    assert _hyperparameters(plan_of(recipe, (change,)).stage("scratch"))["z-loss"] == (
        "0.0001, in no loss shown"
    )
    assert "z-loss" not in _hyperparameters(plan_of(recipe, ()).stage("scratch"))
    words = ("train", again / "tiny.toml", "--out", again / "run", "--stage", "scratch", "--json")
    done = growlm(*words, "--set", change)
    finals = sorted(again.glob("**/scratch/training/final/model.safetensors"))
    finals += sorted(again.glob("**/train.scratch-*/training/final/model.safetensors"))
    assert done.returncode == 0, done.stderr
    assert len({sha256_file(each) for each in finals}) == len(finals) == 2


def test_the_log_says_which_optimizer_it_was(recipe):
    told = _hyperparameters(plan_of(recipe, MUON).stage("base"))
    assert told["optimizer"] == "Muon for the matrices of the layers, AdamW for the rest"
    assert told["momentum"] == "0.95"
    assert "momentum" not in _hyperparameters(plan_of(recipe, ()).stage("base"))
