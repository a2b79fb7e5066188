"""Plans: what they claim, and every way in which a claim can be broken."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from growlm.base.files import digest_of
from growlm.growth.maps import clones, extended, identity
from growlm.growth.plan import GrowthPlan, misplaced, regrouped
from growlm.model.config import GPTConfig

Configs = Callable[..., GPTConfig]
Plans = Callable[..., GrowthPlan]


@pytest.fixture
def plan(tiny_config: Configs, plan_of: Plans) -> GrowthPlan:
    """An exact plan in which every space grows."""
    parent = tiny_config(heads=2, kv_heads=2, head_width=8, positions="none")
    return plan_of(parent, layers=5, width=40, heads=4, head_width=12, mlp=50)


def test_a_plan_in_which_every_space_grows_can_be_exact(plan: GrowthPlan) -> None:
    assert plan.departures == ()


BREAKS: list[tuple[str, Callable[[GrowthPlan], GrowthPlan]]] = [
    ("the norms are not told", lambda plan: replace(plan, norm_gain=1.0)),
    (
        "the norms are not told",
        lambda plan: replace(plan, child=replace(plan.child, norm_eps=plan.parent.norm_eps)),
    ),
    ("logits are scaled", lambda plan: replace(plan, logit_gain=1.0)),
    ("MLP units are not read", lambda plan: replace(plan, mlp=_doubled(plan.parent.mlp))),
    ("heads are not read", lambda plan: replace(plan, heads=_doubled(2))),
    ("values are not read", lambda plan: replace(plan, value=_doubled(8))),
    ("scores are scaled", lambda plan: replace(plan, query=extended(8, to=12))),
    ("shrunk or perturbed", lambda plan: replace(plan, noise=0.1)),
    ("new tokens", lambda plan: replace(plan, new_tokens=((),))),
    (
        "copied unequally often",
        lambda plan: replace(
            plan, resid=clones(tuple(each % 16 for each in range(40)), parent_size=16)
        ),
    ),
    (
        "padded so that layernorm notices",
        lambda plan: replace(plan, resid=replace(plan.resid, fill="zero")),
    ),
    (
        "layers are repeated",
        lambda plan: replace(plan, depth=replace(plan.depth, silent=())),
    ),
]


def _doubled(size: int):
    map_ = clones(tuple(range(size)) * 2, parent_size=size)
    return replace(map_, reads=map_.writes)


@pytest.mark.parametrize(("words", "spoil"), BREAKS, ids=[words for words, _ in BREAKS])
def test_every_broken_law_is_named(
    plan: GrowthPlan, words: str, spoil: Callable[[GrowthPlan], GrowthPlan]
) -> None:
    broken = spoil(plan)
    assert any(words in reason for reason in broken.departures)
    assert broken.claim == "approximate"


def test_keeping_indices_would_move_every_alibi_slope(tiny_config: Configs) -> None:
    parent = tiny_config(heads=12, kv_heads=12, head_width=2)
    child = replace(parent, heads=16, kv_heads=16)
    assert misplaced(parent, child, extended(12, to=16)) == list(range(12))


def test_appending_heads_to_groups_would_move_them(tiny_config: Configs, plan_of: Plans) -> None:
    parent = tiny_config(heads=4, kv_heads=2, head_width=4, positions="rotary")
    plan = plan_of(parent, heads=6, kv_heads=2, units="new")
    assert regrouped(plan) == []
    assert regrouped(replace(plan, heads=extended(4, to=6))) == [2]
    assert regrouped(replace(plan, kv_heads=clones((1, 0), parent_size=2))) == [0, 1, 3, 4]


def test_plans_are_data_with_a_stable_digest(tiny_config: Configs, plan_of: Plans) -> None:
    first, second = (plan_of(tiny_config(), layers=4) for _ in range(2))
    assert digest_of(first.as_dict()) == digest_of(second.as_dict())
    assert digest_of(plan_of(tiny_config(), layers=5).as_dict()) != digest_of(first.as_dict())


def test_random_layers_are_a_departure_only_where_they_are_heard(
    tiny_config: Configs, plan_of: Plans
) -> None:
    heard, silent = (
        plan_of(tiny_config(layers=2), layers=4, depth=depth, copies="random")
        for depth in ("interleave", "insert")
    )
    assert heard.departures == ("layers that are drawn at random are heard",)
    assert (silent.claim, silent.is_depth_only) == ("exact", False)


def test_a_plan_that_draws_no_layer_says_nothing_of_it(
    tiny_config: Configs, plan_of: Plans
) -> None:
    plain, random = (
        plan_of(tiny_config(layers=2), layers=4, copies=copies).as_dict()
        for copies in ("plain", "random")
    )
    assert "drawn" not in plain
    assert random == {**plain, "drawn": (1, 3)}


def test_scaled_copies_share_what_one_layer_gave(tiny_config: Configs, plan_of: Plans) -> None:
    plan = plan_of(tiny_config(layers=2), layers=5, depth="interleave", copies="scaled")
    assert plan.output_scale == (1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2)
    assert plan_of(tiny_config(layers=2), layers=5).output_scale == (1.0,) * 5


def test_spaces_that_never_grow_are_the_identity(plan: GrowthPlan) -> None:
    assert plan.axis("place") == identity(plan.parent.context)
