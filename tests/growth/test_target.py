"""One call to a plan: sizes, defaults, and refusals."""

from collections.abc import Callable

import pytest

from growlm.base.errors import GrowthError
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig

Configs = Callable[..., GPTConfig]
Plans = Callable[..., GrowthPlan]


def test_depth_and_width_grow_in_one_exact_plan(tiny_config: Configs, plan_of: Plans) -> None:
    """The reference's own shape: 18 to 36 layers, 1536 to 2048 wide, 12 to 16 heads."""
    sizes = {"layers": 18, "width": 1536, "heads": 12, "kv_heads": 12, "head_width": 128}
    parent = tiny_config(**sizes, mlp=6144)
    plan = plan_of(parent, layers=36, width=2048, heads=16, mlp=8192)
    assert (plan.child.layers, plan.child.width, plan.child.heads) == (36, 2048, 16)
    assert (plan.child.kv_heads, plan.child.head_width, plan.child.mlp) == (16, 128, 8192)
    assert plan.departures == ()
    assert plan.claim == "exact"


def test_what_is_not_named_stays_the_parents(tiny_config: Configs, plan_of: Plans) -> None:
    parent = tiny_config()
    plan = plan_of(parent)
    assert plan.child == parent
    assert plan.is_depth_only
    assert plan.claim == "exact"


@pytest.mark.parametrize("size", ["heads", "width", "mlp", "head_width"])
def test_a_size_below_the_parents_is_refused(
    tiny_config: Configs, plan_of: Plans, size: str
) -> None:
    with pytest.raises(GrowthError, match=rf"at least its parent's {size}; got \d+ -> 1"):
        plan_of(tiny_config(), **{size: 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 32, "depth": "insert", "units": "fresh"}, "a way to add units"),
        ({"copies": "scald"}, r"plain, scaled, noised, random; got 'scald'\. Try scaled\."),
        ({"layers": 4, "depth": "explicit"}, "'explicit' with a layer map of 4 entries"),
    ],
)
def test_unknown_operators_are_refused(
    tiny_config: Configs, plan_of: Plans, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(GrowthError, match=words):
        plan_of(tiny_config(), **{"mlp": 64, **changes})


def test_the_noise_of_g_stack_is_smaller_at_the_outputs(
    tiny_config: Configs, plan_of: Plans
) -> None:
    plan = plan_of(tiny_config(width=16), layers=4, depth="stack", copies="noised")
    assert plan.shrink == 0.8
    assert plan.noise == pytest.approx(0.2 * (2 / (5 * 16)) ** 0.5)
    assert plan.output_noise == pytest.approx(0.2 * (1 / (16 * 16)) ** 0.5)


def test_new_tokens_pad_the_vocabulary_anew(tiny_config: Configs, plan_of: Plans) -> None:
    plan = plan_of(tiny_config(vocab_size=61, padded_vocab_size=64), new_tokens=[(1, 2)] * 10)
    assert (plan.child.vocab_size, plan.child.padded_vocab_size) == (71, 128)
    assert plan.claim == "approximate"
