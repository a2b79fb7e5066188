"""Applying a plan: what the child's weights are, and what the child computes and learns."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import Grower, child_names, grow_weights
from growlm.growth.depth import OPERATORS, DepthPlan, insert, interleave, stack
from growlm.growth.maps import NOISE
from growlm.growth.moments import grow_moments
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.gpt import GPT
from growlm.model.loss import cross_entropy_sum
from growlm.model.spaces import is_layer_output, split_name
from growlm.optim.adamw import AdamWSettings, adamw, load_state_tensors, state_tensors

SHAPES = {
    f"{positions}, {norm}, {'tied' if tied else 'untied'}, {'biases' if bias else 'none'}": {
        "positions": positions,
        "norm": norm,
        "linear_bias": bias,
        "norm_bias": bias,
        "tied": tied,
        # Every pair of these with the others comes up, without doubling the grid for each.
        "kv_heads": 1 if tied else 2,
        "layers": 1,
        "activation": "gelu" if tied == bias else "swiglu",
    }
    for positions, norm, tied, bias in itertools.product(
        ("alibi", "learned", "rotary"), ("layernorm", "rmsnorm"), (True, False), (True, False)
    )
}
"""Every kind of parent that growth must keep."""
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
SETTINGS = AdamWSettings(peak_lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


def loss_of(model: GPT, ids: Tensor) -> Tensor:
    total = cross_entropy_sum(
        model(ids[:, :-1]).flatten(0, 1),
        model.head_weight,
        ids[:, 1:].flatten(),
        vocab_size=model.config.vocab_size,
    )
    return total / ids[:, 1:].numel()


def written(config: GPTConfig, depth: DepthPlan, plan_of: Callable[..., GrowthPlan]) -> GrowthPlan:
    """Return a depth plan as a growth plan."""
    layer_map = tuple(
        ~source if layer in depth.silent else source for layer, source in enumerate(depth.sources)
    )
    return plan_of(config, layers=depth.layers, depth="explicit", layer_map=layer_map)


def train(model: GPT, ids: Tensor, *, steps: int) -> torch.optim.Optimizer:
    optimizer = adamw(model, SETTINGS)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, ids).backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_weight_is_its_source_or_a_silent_output(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    operator: str,
) -> None:
    config = tiny_config(layers=2, positions="learned", tied=False)
    parent = tiny_model(config).state_dict()
    plan = OPERATORS[operator](2, 4)
    child = grow_weights(parent, written(config, plan, plan_of))
    for name, tensor in child.items():
        layer, inner = split_name(name)
        source = parent[name if layer is None else f"layers.{plan.sources[layer]}.{inner}"]
        expected = torch.zeros_like(source) if is_silent(plan, name) else source
        assert torch.equal(tensor, expected), name


def is_silent(plan: DepthPlan, name: str) -> bool:
    return split_name(name)[0] in plan.silent and is_layer_output(name)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("tied", [True, False])
def test_the_child_is_a_whole_model_of_its_shape(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    operator: str,
    tied: bool,
) -> None:
    parent = tiny_model(tiny_config(layers=3, tied=tied))
    plan = plan_of(parent.config, layers=6, depth=operator)
    child = grow_weights(parent.state_dict(), plan)
    config = plan.child
    assert config == tiny_config(layers=6, tied=tied)
    assert ("head.weight" in child) is not tied
    assert sum(tensor.numel() for tensor in child.values()) == parameters(config)
    GPT(config).load_state_dict(child)


@pytest.mark.parametrize("operator", OPERATORS)
def test_parent_and_child_share_no_storage(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    operator: str,
) -> None:
    parent = tiny_model(tiny_config()).state_dict()
    before = {name: tensor.clone() for name, tensor in parent.items()}
    child = grow_weights(parent, plan_of(tiny_config(), layers=4, depth=operator))
    places = [tensor.data_ptr() for tensor in (*parent.values(), *child.values())]
    assert len(set(places)) == len(places)
    for tensor in child.values():
        tensor.fill_(7.0)
    assert all(torch.equal(parent[name], before[name]) for name in parent)


def test_growing_draws_from_streams_of_its_own(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config()).state_dict()
    state = torch.get_rng_state()
    plan = plan_of(tiny_config(), layers=5, width=24, heads=4, mlp=40, units="new")
    first, second = (grow_weights(parent, plan) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = plan_of(tiny_config(), seed=1, layers=5, width=24, heads=4, mlp=40, units="new")
    assert not torch.equal(
        grow_weights(parent, other)["layers.0.mlp.up.weight"], first["layers.0.mlp.up.weight"]
    )
    assert torch.equal(torch.get_rng_state(), state)


IDS = torch.randint(0, 61, (1, 16), generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def parent_of(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> Callable[[str, torch.dtype], tuple[GPT, Tensor]]:
    """Return a function: one of SHAPES, dtype -> a parent and its logits on IDS, made once."""

    @functools.cache
    @torch.no_grad()
    def made(shape: str, dtype: torch.dtype) -> tuple[GPT, Tensor]:
        parent = tiny_model(tiny_config(**SHAPES[shape]), dtype=torch.float64).to(dtype)
        logits = parent.logits(IDS)
        assert logits.isfinite().all()
        return parent, logits

    return made


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_insert_moves_no_bit_of_any_logit(
    parent_of: Callable[[str, torch.dtype], tuple[GPT, Tensor]],
    grown: Callable[..., GPT],
    shape: str,
) -> None:
    for dtype in DTYPES:
        parent, logits = parent_of(shape, dtype)
        assert torch.equal(grown(parent, insert(1, 3)).logits(IDS), logits), dtype


@pytest.mark.parametrize("layers", [2, 3, 4, 9])
@torch.no_grad()
def test_insert_is_exact_for_any_number_of_layers(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    layers: int,
) -> None:
    parent, ids = tiny_model(tiny_config(layers=2)), some_ids(1, 16)
    assert torch.equal(grown(parent, insert(2, layers)).logits(ids), parent.logits(ids))


@pytest.mark.parametrize("operator", [interleave, stack])
@torch.no_grad()
def test_copies_that_are_heard_change_the_function(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    operator: Callable[[int, int], DepthPlan],
) -> None:
    parent, ids = tiny_model(tiny_config()), some_ids(1, 16)
    child = grown(parent, operator(2, 4))
    assert (child.logits(ids) - parent.logits(ids)).abs().max() > 1e-3


def test_without_its_silent_layers_an_inserted_child_is_its_parent(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config(layers=3)).state_dict()
    plan = insert(3, 7)
    heard = [layer for layer in range(7) if layer not in plan.silent]
    back: dict[str, Tensor] = {}
    whole = plan_of(tiny_config(layers=3), layers=7, depth="insert")
    for name, tensor in grow_weights(parent, whole).items():
        layer, inner = split_name(name)
        if layer is None:
            back[name] = tensor
        elif layer in heard:
            back[f"layers.{heard.index(layer)}.{inner}"] = tensor
    assert set(back) == set(parent)
    assert all(torch.equal(back[name], parent[name]) for name in parent)


def test_the_childs_names_are_the_parents_layer_by_layer(
    tiny_config: Callable[..., GPTConfig], plan_of: Callable[..., GrowthPlan]
) -> None:
    plan = plan_of(tiny_config(), layers=5, depth="stack")
    names = ["norm.weight", "layers.0.mlp.up.bias", "layers.1.mlp.up.bias"]
    assert list(child_names(names, plan)) == [
        "norm.weight",
        *(f"layers.{layer}.mlp.up.bias" for layer in range(5)),
    ]


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_a_silent_layer_learns_at_its_outputs_first(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    activation: str,
) -> None:
    plan = insert(2, 4)
    child = grown(tiny_model(tiny_config(activation=activation), dtype=torch.float64), plan)
    loss_of(child, some_ids(2, 17)).backward()
    for name, parameter in child.named_parameters():
        assert parameter.grad is not None
        in_silence = split_name(name)[0] in plan.silent
        # A key's bias shifts every score of a query alike, so its gradient is zero anywhere.
        if in_silence and not is_layer_output(name):
            assert not parameter.grad.any(), name
        elif not name.endswith("key.bias"):
            assert parameter.grad[:61].any(), name


def test_a_silent_layer_is_alive_and_parts_from_its_neighbour(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
) -> None:
    plan = insert(1, 3)
    assert plan.silent == (1, 2)
    child = grown(tiny_model(tiny_config(layers=1), dtype=torch.float64), plan)
    first = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    train(child, some_ids(4, 17), steps=20)
    state = child.state_dict()
    for inner in ("attention.value.weight", "attention.output.weight", "mlp.up.weight"):
        one, two = state[f"layers.1.{inner}"], state[f"layers.2.{inner}"]
        assert (one - first[f"layers.1.{inner}"]).abs().max() > 1e-3
        assert (one - two).abs().max() > 1e-4


def test_a_layer_of_zeros_only_would_be_dead(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
) -> None:
    child = grown(tiny_model(tiny_config(linear_bias=False)), insert(2, 3))
    silent = child.layers[1]
    with torch.no_grad():
        for parameter in silent.parameters():
            if parameter.dim() > 1:
                parameter.zero_()
    loss_of(child, some_ids(2, 17)).backward()
    assert all(
        parameter.grad is not None and not parameter.grad.any()
        for parameter in silent.parameters()
        if parameter.dim() > 1
    )


def test_with_copied_moments_the_old_layers_take_the_parents_own_next_step(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    """Law C: the gradients of the old layers are unchanged, so their whole step is."""
    parent = tiny_model(tiny_config(layers=2), dtype=torch.float64)
    parent_optimizer = train(parent, some_ids(4, 17), steps=3)
    plan = insert(2, 4)
    child = grown(parent, plan)
    child_optimizer = adamw(child, SETTINGS)
    state = state_tensors(parent, parent_optimizer)
    whole = written(parent.config, plan, plan_of)
    load_state_tensors(child, child_optimizer, grow_moments(state, whole, mode="copy"))
    before = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    fresh_ids = some_ids(6, 17).flip(0)
    for model, optimizer in ((parent, parent_optimizer), (child, child_optimizer)):
        optimizer.zero_grad()
        loss_of(model, fresh_ids).backward()
        optimizer.step()
    heard = [layer for layer in range(4) if layer not in plan.silent]
    for name, tensor in parent.state_dict().items():
        layer, inner = split_name(name)
        ours = name if layer is None else f"layers.{heard[layer]}.{inner}"
        assert (child.state_dict()[ours] - tensor).abs().max() <= 1e-14, name
        assert not torch.equal(tensor, before[ours]), name
    # A new layer's first update is one learning rate long, whatever its gradient.
    first = child.state_dict()["layers.1.mlp.down.weight"].abs()
    torch.testing.assert_close(first, torch.full_like(first, 1e-3), rtol=1e-2, atol=0)


WIDTHS: dict[str, dict[str, Any]] = {
    "mlp, uneven": {"mlp": 50},
    "mlp, even": {"mlp": 64, "units": "even"},
    "mlp, new": {"mlp": 49, "units": "new"},
    "mlp, noised": {"mlp": 70, "units": "noised"},
    "heads": {"heads": 3},
    "head width, tiled": {"head_width": 24},
    "head width, padded": {"head_width": 12},
    "residual, twice": {"width": 32},
    "residual, two and a half times": {"width": 40},
    "together": {"layers": 3, "width": 40, "heads": 4, "mlp": 70},
    "together, noised": {"layers": 2, "width": 32, "heads": 4, "mlp": 64, "units": "noised"},
}
"""Every exact growth in width, each by itself and all together with depth."""

WIDTHS_TOGETHER = [sizes for name, sizes in WIDTHS.items() if name.startswith("together")]
"""Those that are tried in fp32 too."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sizes", WIDTHS.values(), ids=WIDTHS)
@torch.no_grad()
def test_exact_growth_in_width_keeps_the_function_and_is_refused_where_it_cannot(
    *,
    parent_of: Callable[[str, torch.dtype], tuple[GPT, Tensor]],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    shape: str,
    sizes: dict[str, Any],
) -> None:
    parent, logits = parent_of(shape, torch.float64)
    if parent.config.positions == "rotary" and "head_width" in sizes:
        with pytest.raises(GrowthError, match="rotary angles depend on it"):
            plan_of(parent.config, **sizes)
        return
    plan = plan_of(parent.config, **sizes)
    assert plan.departures == ()
    bound = 1e-12 * max(1.0, float(logits.abs().max()))
    assert (logits - grown(parent, plan).logits(IDS)).abs().max() <= bound
    if sizes in WIDTHS_TOGETHER:
        parent, logits = parent_of(shape, torch.float32)
        child = grown(parent, plan)
        assert (logits - child.logits(IDS)).abs().max() <= 1e-5 * logits.abs().max()


CONTROLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the tied head's factor": ({"width": 32}, {"logit_gain": 1.0}),
    "the norms' gain": ({"width": 40}, {"norm_gain": 1.0}),
}


@pytest.mark.parametrize(("sizes", "spoilt"), CONTROLS.values(), ids=CONTROLS)
@torch.no_grad()
def test_without_one_factor_a_width_growth_misses_by_far(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    some_ids: Callable[..., Tensor],
    sizes: dict[str, Any],
    spoilt: dict[str, Any],
) -> None:
    parent = tiny_model(tiny_config(), dtype=torch.float64)
    broken = replace(plan_of(parent.config, **sizes), **spoilt)
    ids = some_ids(2, 16)
    assert (parent.logits(ids) - grown(parent, broken).logits(ids)).abs().max() > 1e-2


@pytest.mark.parametrize(("mlp", "copies"), [(64, 2), (160, 5)])
@torch.no_grad()
def test_noise_on_what_reads_copies_cancels_over_each_source(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    mlp: int,
    copies: int,
) -> None:
    parent = tiny_model(tiny_config(), dtype=torch.float64).state_dict()
    name = "layers.0.mlp.down.weight"
    even, noised = (
        grow_weights(parent, plan_of(tiny_config(), mlp=mlp, units=units))
        for units in ("even", "noised")
    )
    changed = [each for each in even if not torch.equal(even[each], noised[each])]
    assert changed == [name, name.replace("0", "1")]
    noise = (noised[name] - even[name]).view(16, copies, 32)
    assert noise.sum(1).abs().max() <= 1e-15
    wanted = NOISE * parent[name].std() / copies
    torch.testing.assert_close(noise.std(), wanted, rtol=0.1, atol=0.0)


@torch.no_grad()
def test_noise_leaves_a_unit_alone_that_has_no_copy(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config()).state_dict()
    name = "layers.0.mlp.down.weight"
    child = grow_weights(parent, plan_of(tiny_config(), mlp=40, units="noised"))
    assert torch.equal(child[name][:, 8:32], parent[name][:, 8:32])
    assert not torch.equal(child[name][:, :8], parent[name][:, :8] / 2)


@torch.no_grad()
def test_in_a_silent_layer_only_the_first_copy_of_each_row_is_its_source(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config(layers=1)).state_dict()
    child = grow_weights(parent, plan_of(tiny_config(layers=1), layers=2, mlp=64))
    old, new = parent["layers.0.mlp.up.weight"], child["layers.1.mlp.up.weight"]
    assert torch.equal(new[:32], old)
    torch.testing.assert_close((new[32:] - old).std(), NOISE * old.std(), rtol=0.15, atol=0.0)
    assert torch.equal(child["layers.0.mlp.up.weight"], old.repeat(2, 1))
    assert torch.equal(child["layers.1.mlp.up.bias"], parent["layers.0.mlp.up.bias"].repeat(2))


@pytest.mark.parametrize("widen", ["sparkling", "shrink-pad-perturb"])
@torch.no_grad()
def test_approximate_growth_claims_nothing_and_makes_a_whole_model(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    some_ids: Callable[..., Tensor],
    widen: str,
) -> None:
    parent = tiny_model(tiny_config())
    plan = plan_of(parent.config, width=32, heads=4, mlp=64, widen=widen)
    child = grown(parent, plan)
    assert plan.claim == "approximate"
    assert child.logits(some_ids(2, 16)).isfinite().all()
    assert sum(each.numel() for each in child.parameters()) == parameters(plan.child)


@torch.no_grad()
def test_sparkling_keeps_the_rms_of_what_each_layer_adds(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    sizes = {"width": 256, "heads": 8, "kv_heads": 8, "head_width": 32, "mlp": 1024}
    parent = tiny_model(tiny_config(**sizes, norm="rmsnorm", linear_bias=False, norm_bias=False))
    child = grown(parent, plan_of(parent.config, width=512, mlp=2048, widen="sparkling"))
    stream = torch.Generator().manual_seed(3)
    narrow, wide = (torch.randn(4, 8, width, generator=stream) for width in (256, 512))
    before = parent.get_submodule("layers.0.mlp")(narrow).square().mean().sqrt()
    after = child.get_submodule("layers.0.mlp")(wide).square().mean().sqrt()
    assert 0.9 <= after / before <= 1.1


@torch.no_grad()
def test_new_tokens_begin_as_the_mean_of_their_pieces(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    some_ids: Callable[..., Tensor],
) -> None:
    parent = tiny_model(tiny_config(tied=False))
    child = grown(parent, plan_of(parent.config, new_tokens=[(3, 5), ()]))
    for name in ("embedding.weight", "head.weight"):
        old, new = parent.state_dict()[name], child.state_dict()[name]
        torch.testing.assert_close(new[61], old[[3, 5]].mean(0))
        torch.testing.assert_close(new[62], old[:61].mean(0))
        assert torch.equal(new[:61], old[:61])
        assert not new[63:].any()
    ids = some_ids(1, 16)
    assert torch.equal(child.logits(ids)[..., :61], parent.logits(ids))


@torch.no_grad()
def test_scaled_copies_give_together_what_one_gave(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config(layers=1))
    child = grown(parent, plan_of(parent.config, layers=2, depth="stack", copies="scaled"))
    old = parent.get_parameter("layers.0.mlp.down.weight")
    for layer in range(2):
        assert torch.equal(2 * child.get_parameter(f"layers.{layer}.mlp.down.weight"), old)


@pytest.mark.parametrize("depth", ["interleave", "insert"])
def test_random_layers_stand_where_copies_would_and_begin_as_in_a_new_model(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    depth: str,
) -> None:
    parent = tiny_model(tiny_config(width=64, mlp=256))
    plan = plan_of(parent.config, layers=4, depth=depth, copies="random")
    child = grow_weights(parent.state_dict(), plan)
    assert plan.drawn == (1, 3)
    for name, weight in child.items():
        layer, inner = split_name(name)
        if layer not in plan.drawn:
            assert torch.equal(weight, parent.state_dict()[Grower(plan).source(name)])
        elif depth == "insert" and is_layer_output(name):
            assert not weight.any()
        elif weight.dim() < 2:
            assert (weight == float(inner.endswith("norm.weight"))).all()
        else:
            std = 0.02 / 8**0.5 if is_layer_output(name) else 0.02
            # 4,096 draws or more: their spread is within a few hundredths of what was asked.
            torch.testing.assert_close(float(weight.std()), std, rtol=0.06, atol=0)


def test_random_layers_differ_from_each_other_and_are_the_same_every_time(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config())
    plan = plan_of(parent.config, layers=4, depth="interleave", copies="random")
    one, other = (grow_weights(parent.state_dict(), plan) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["layers.1.mlp.up.weight"], one["layers.3.mlp.up.weight"])


def test_random_layers_inherit_no_moments(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    some_ids: Callable[..., Tensor],
    plan_of: Callable[..., GrowthPlan],
) -> None:
    parent = tiny_model(tiny_config(layers=1))
    moments = state_tensors(parent, train(parent, some_ids(2, 17), steps=1))
    plan = plan_of(parent.config, layers=2, depth="stack", copies="random")
    grown_moments = grow_moments(moments, plan, mode="copy")
    for name, moment in grown_moments.items():
        assert moment.any() == ("layers.1." not in name), name


def test_the_gradients_obey_the_factors_entry_by_entry(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Callable[..., GrowthPlan],
    some_ids: Callable[..., Tensor],
) -> None:
    """Laws A, B and C: a child's gradient is gamma times its parent's, wherever it has one."""
    parent = tiny_model(tiny_config(kv_heads=2), dtype=torch.float64)
    plan = plan_of(parent.config, layers=4, width=32, head_width=16, mlp=50)
    child, ids = grown(parent, plan), some_ids(2, 17)
    for model in (parent, child):
        loss_of(model, ids).backward()
    gradients = {name: each.grad for name, each in parent.named_parameters()}
    grower = Grower(plan)
    for name, parameter in child.named_parameters():
        factors, source = grower.factors(name), gradients[grower.source(name)]
        assert parameter.grad is not None
        assert source is not None
        expected = grower.select(name, source) * factors.gradient
        difference = ((parameter.grad - expected) * factors.kept).abs().max()
        assert difference <= 1e-14, name
        swapped = grower.select(name, source) * factors.value
        if name.endswith("mlp.up.weight") and factors.kept.all():
            assert (parameter.grad - swapped).abs().max() > 1e-6, "c and gamma differ"
