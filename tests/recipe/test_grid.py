import tomllib
from typing import Any

import pytest

from growlm.base.errors import RecipeError
from growlm.recipe.grid import Trial, for_seed, spread
from growlm.recipe.optimizer import Linear, WarmupStableDecay
from growlm.recipe.study import Grid, Study

VALUES: dict[str, Any] = tomllib.loads("""
name = "x"
seed = 7

[[stage]]
name = "base"
model = { layers = 1, heads = 2 }
tokens = "1K"
batch = 100
schedule = { kind = "constant" }

[[stage]]
name = "grown"
grow = { from = "base", layers = 2, depth = "interleave" }
tokens = 3000
batch = 100
schedule = { kind = "linear" }

[[stage]]
name = "scratch"
control = { of = "grown" }
batch = 100
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "linear", warmup_steps = 5 }
""")
RATES = (1e-3, 2e-3, 4e-3)


def study(*grids: Grid, **changes: Any) -> Study:
    values: dict[str, Any] = {"seeds": (1, 2), "peak_lr": RATES, "grid": grids, **changes}
    return Study(**values)


def grid(parent_share: tuple[float, ...] = (), **values: Any) -> Grid:
    keys = {key.replace("_of_", "."): value for key, value in values.items()}
    return Grid(stage="grown", parent_share=parent_share, values=keys)


def made(*grids: Grid, **changes: Any):
    stages, design = spread(VALUES, study(*grids, **changes))
    return {stage["name"]: stage for stage in stages}, design


def trial(compute: float, rate: float) -> Trial:
    name = f"scratch-x{compute:g}-lr{rate:g}"
    return Trial(name=name, compute=compute, peak_lr=rate, schedule="")


def test_a_study_without_a_grid_tunes_the_control_and_trains_the_parent_on():
    stages, design = made()
    assert list(stages)[:3] == ["base", "grown", "base.continued-grown"]
    assert [arm.name for arm in design.arms] == ["grown"]
    assert design.continued == "base.continued-grown"
    assert stages["base.continued-grown"]["grow"]["layers"] == 1
    assert list(design.controls) == [0.5, 1.0, 2.0]
    assert design.controls[0.5] == tuple(trial(0.5, rate) for rate in RATES)
    control = stages["scratch-x2-lr0.004"]
    assert (control["control"], control["optimizer"]) == (
        {"of": "grown", "compute": 2.0},
        {"peak_lr": 4e-3},
    )


def test_stages_are_validated_at_their_end_alone_unless_they_say_otherwise():
    stages, _ = made()
    assert all(stage["validate_every"] >= 10**15 for stage in stages.values())
    values = VALUES | {"stage": [stage | {"validate_every": 200} for stage in VALUES["stage"]]}
    assert all(stage["validate_every"] == 200 for stage in spread(values, study())[0])


def test_an_entry_holds_every_combination_of_its_values():
    stages, design = made(
        grid(grow_of_depth=("stack", "insert"), grow_of_optimizer_state=("drop", "copy"))
    )
    assert [arm.name for arm in design.arms[1:]] == [
        f"grown.depth-{depth}.optimizer_state-{state}"
        for depth in ("stack", "insert")
        for state in ("drop", "copy")
    ]
    assert design.arms[1].differs == "grow.depth = stack, grow.optimizer_state = drop"
    assert stages["grown.depth-insert.optimizer_state-copy"]["grow"] == {
        "from": "base",
        "layers": 2,
        "depth": "insert",
        "optimizer_state": "copy",
    }


def test_what_does_not_vary_a_parent_shares_the_one_there_is():
    stages, _ = made(grid(grow_of_depth=("stack", "insert")), continued=False)
    assert [name for name in stages if name.startswith("base")] == ["base"]


def test_variations_with_the_same_parent_share_it():
    kind: dict[str, Any] = {
        "parent.schedule.kind": ("cosine",),
        "grow.depth": ("stack", "insert"),
    }
    entry = Grid(stage="grown", values=kind)
    stages, design = made(entry, continued=False)
    assert [name for name in stages if name.startswith("base")] == ["base", "base.kind-cosine"]
    assert stages["base.kind-cosine"]["schedule"]["kind"] == "cosine"
    assert {stages[arm.name]["grow"]["from"] for arm in design.arms[1:]} == {"base.kind-cosine"}


def test_a_share_leaves_the_sum_of_tokens_as_it_is():
    stages, design = made(grid((0.1, 0.5)))
    assert [arm.differs for arm in design.arms[1:]] == ["parent.share = 0.1", "parent.share = 0.5"]
    tokens = [
        (stages[f"base.share-{share}"]["tokens"], stages[f"grown.share-{share}"]["tokens"])
        for share in (0.1, 0.5)
    ]
    assert tokens == [(400, 3600), (2000, 2000)]


def test_the_recipe_that_is_varied_stays_as_it_was():
    before = repr(VALUES)
    made(grid((0.1,), grow_of_depth=("stack",)))
    assert repr(VALUES) == before


def test_a_variation_that_is_there_already_is_refused():
    for entry in (grid(grow_of_depth=("interleave",)), grid(grow_of_depth=("stack", "stack"))):
        with pytest.raises(RecipeError, match=r"differ from the recipe's stage .* twice"):
            made(entry)


def test_a_key_that_leads_into_a_value_is_refused():
    with pytest.raises(RecipeError, match=r"tokens\.of to lead through tables; got 'tokens'"):
        made(Grid(stage="grown", values={"tokens.of": (1,)}))


def test_a_name_that_would_be_too_long_ends_in_a_digest():
    long: dict[str, Any] = {f"grow.{'very_' * 12}long": (1, 2)}
    _, design = made(Grid(stage="grown", values=long))
    names = [arm.name for arm in design.arms]
    assert len({*names}) == 3
    assert max(map(len, names)) == 64


def test_all_but_the_controls_take_the_rate_they_are_given():
    stages, design = made()
    best = {0.5: trial(0.5, 1e-3), 1.0: trial(1.0, 2e-3), 2.0: trial(2.0, 4e-3)}
    assert design.peak_lr(best) == 2e-3
    recipe = for_seed(VALUES, list(stages.values()), design, seed=1, best=best, peak_lr=2e-3)
    found = {each["name"]: each.get("optimizer", {}).get("peak_lr") for each in recipe["stage"]}
    assert {found[name] for name in ("base", "grown", "base.continued-grown")} == {2e-3}
    assert {found[name] for name in design.controlled() if name in found} == set(RATES)
    assert made(stages_lr="own")[1].peak_lr(best) is None


def test_every_schedule_is_tried_at_every_rate_and_stands_in_place_of_the_controls_own():
    own = Linear(kind="linear", warmup_steps=5)
    half = WarmupStableDecay(kind="warmup-stable-decay", warmup_steps=5, decay_share=0.5)
    stages, design = made(schedule=(own, half))
    tried = design.controls[2.0]
    assert [each.name for each in tried] == [
        *(f"scratch-x2-lr{rate:g}" for rate in RATES),
        *(f"scratch-x2-lr{rate:g}.kind-warmup-stable-decay.decay_share-0.5" for rate in RATES),
    ]
    assert [each.schedule for each in tried[2:4]] == [
        "linear, warmup_steps = 5, final_lr_share = 0",
        "warmup-stable-decay, warmup_steps = 5, decay_share = 0.5, final_lr_share = 0",
    ]
    assert [stages[each.name]["schedule"] for each in tried[2:4]] == [
        {"kind": "linear", "warmup_steps": 5},
        {"kind": "warmup-stable-decay", "warmup_steps": 5, "decay_share": 0.5},
    ]
    assert len(design.controlled()) == 18


def test_a_schedule_is_whole_and_takes_nothing_from_the_controls_own():
    stage = VALUES["stage"][-1]
    ending = {**stage["schedule"], "final_lr_share": 0.1}
    values = VALUES | {"stage": [*VALUES["stage"][:-1], stage | {"schedule": ending}]}
    stages, design = spread(values, study(schedule=(Linear(kind="linear", warmup_steps=5),)))
    (first, *_) = design.controls[0.5]
    assert first.name == "scratch-x0.5-lr0.001.final_lr_share-default"
    (found,) = (each for each in stages if each["name"] == first.name)
    assert found["schedule"] == {"kind": "linear", "warmup_steps": 5}


def test_tries_of_a_control_with_a_long_name_have_names_of_their_own():
    control = VALUES["stage"][-1] | {
        "name": "a-model-of-the-grown-shape-that-is-trained-from-scratch"
    }
    values = VALUES | {"stage": [*VALUES["stage"][:-1], control]}
    half = WarmupStableDecay(kind="warmup-stable-decay", warmup_steps=5, decay_share=0.5)
    stages, design = spread(values, study(schedule=(half,)))
    assert len(design.controlled()) == 9
    assert len({stage["name"] for stage in stages}) == len(stages)


def test_all_else_takes_the_rate_of_the_best_control_whatever_its_schedule():
    _, design = made(schedule=(Linear(kind="linear", warmup_steps=5),))
    best = {compute: tried[1] for compute, tried in design.controls.items()}
    assert design.peak_lr(best) == RATES[1]


def test_only_one_control_of_each_compute_is_left_once_it_is_tuned():
    stages, design = spread(VALUES, study())
    all_of_them = for_seed(VALUES, stages, design, seed=1, best=None)
    best = {0.5: trial(0.5, 4e-3), 1.0: trial(1.0, 2e-3), 2.0: trial(2.0, 1e-3)}
    tuned = for_seed(VALUES, stages, design, seed=2, best=best)
    assert (len(all_of_them["stage"]), all_of_them["seed"]) == (12, 1)
    assert (tuned["name"], tuned["seed"], "study" in tuned) == ("x", 2, False)
    assert [stage["name"] for stage in tuned["stage"]][3:] == [
        "scratch-x0.5-lr0.004",
        "scratch-x1-lr0.002",
        "scratch-x2-lr0.001",
    ]
