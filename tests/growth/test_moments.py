"""Optimizer moments under growth: which copies keep them, and which start anew."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import Grower
from growlm.growth.depth import OPERATORS, insert, interleave
from growlm.growth.moments import MODES, check_lawful, grow_moments
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.optim.adamw import STATE, AdamWSettings, adamw, state_tensors
from growlm.optim.clipping import clip_gradients
from growlm.optim.moments import saved_moment
from growlm.optim.scaled_adamw import CLIP_WEIGHT, EPS_SCALE, FACTORS, SCALES, ScaledAdamW

Configs = Callable[..., GPTConfig]
Plans = Callable[..., GrowthPlan]


def parent_state() -> dict[str, Tensor]:
    """Return the state of two layers and a norm, each with a number of its own."""
    names = ["layers.0.mlp.up.bias", "layers.1.mlp.up.bias", "norm.weight"]
    return {
        f"{key}.{name}": torch.tensor(float(10 * number + place))
        if key == "step"
        else torch.full((32 if "up" in name else 16,), float(10 * number + place))
        for number, key in enumerate(("step", "exp_avg", "exp_avg_sq"), start=1)
        for place, name in enumerate(names)
    }


def by_layer(state: dict[str, Tensor], key: str, layers: int) -> list[float]:
    return [state[f"{key}.layers.{layer}.mlp.up.bias"].max().item() for layer in range(layers)]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "drop"])
def test_every_child_tensor_gets_a_state_of_its_own(
    tiny_config: Configs, plan_of: Plans, mode: str, operator: str
) -> None:
    parent, plan = parent_state(), plan_of(tiny_config(), layers=4, depth=operator)
    if mode == "exact" and plan.claim != "exact":
        pytest.skip("an approximate growth has no exact law")
    child = grow_moments(parent, plan, mode=mode)
    child = {name: each for name, each in child.items() if not name.startswith(FACTORS)}
    assert len(child) == 3 * (4 + 1)
    places = [tensor.data_ptr() for tensor in (*parent.values(), *child.values())]
    assert len(set(places)) == len(places)
    for name, tensor in child.items():
        shape = () if name.startswith("step") else (32,) if "up" in name else (16,)
        assert tensor.shape == shape
    for key in ("step", "exp_avg", "exp_avg_sq"):
        assert torch.equal(child[f"{key}.norm.weight"], parent[f"{key}.norm.weight"])


def test_drop_forgets_everything(tiny_config: Configs, plan_of: Plans) -> None:
    plan = plan_of(tiny_config(), layers=4)
    assert grow_moments(parent_state(), plan, mode="drop") == {}


def test_copy_gives_every_copy_its_sources_moments_and_steps(
    tiny_config: Configs, plan_of: Plans
) -> None:
    plan = plan_of(tiny_config(), layers=5, depth="stack")
    child = grow_moments(parent_state(), plan, mode="copy")
    assert by_layer(child, "step", 5) == [10.0, 11.0, 10.0, 11.0, 10.0]
    assert by_layer(child, "exp_avg", 5) == [20.0, 21.0, 20.0, 21.0, 20.0]
    assert by_layer(child, "exp_avg_sq", 5) == [30.0, 31.0, 30.0, 31.0, 30.0]


def test_asymmetric_gives_them_to_the_first_copy_only(tiny_config: Configs, plan_of: Plans) -> None:
    plan = plan_of(tiny_config(), layers=5, depth="interleave")
    child = grow_moments(parent_state(), plan, mode="asymmetric")
    assert interleave(2, 5).sources == (0, 0, 0, 1, 1)
    assert by_layer(child, "step", 5) == [10.0, 0.0, 0.0, 11.0, 0.0]
    assert by_layer(child, "exp_avg", 5) == [20.0, 0.0, 0.0, 21.0, 0.0]
    assert by_layer(child, "exp_avg_sq", 5) == [30.0, 0.0, 0.0, 31.0, 0.0]


@pytest.mark.parametrize("mode", ["copy", "asymmetric", "exact"])
def test_a_silent_layer_is_new_in_every_mode(
    tiny_config: Configs, plan_of: Plans, mode: str
) -> None:
    assert insert(2, 5).silent == (1, 2, 4)
    child = grow_moments(parent_state(), plan_of(tiny_config(), layers=5), mode=mode)
    assert by_layer(child, "step", 5) == [10.0, 0.0, 0.0, 11.0, 0.0]
    assert by_layer(child, "exp_avg", 5) == [20.0, 0.0, 0.0, 21.0, 0.0]


def test_a_parent_without_state_gives_a_child_without(tiny_config: Configs, plan_of: Plans) -> None:
    assert grow_moments({}, plan_of(tiny_config(), layers=4), mode="copy") == {}


def test_an_unknown_mode_is_answered_with_the_nearest(tiny_config: Configs, plan_of: Plans) -> None:
    words = r"one of drop, copy, asymmetric, exact; got 'assymetric'\. Try asymmetric\."
    with pytest.raises(GrowthError, match=words):
        grow_moments({}, plan_of(tiny_config(), layers=4), mode="assymetric")


@pytest.mark.parametrize("moments", ["bfloat16", "8bit"])
def test_moments_of_fewer_bits_grow_as_the_numbers_they_stand_for(
    *, tiny_config: Configs, tiny_model: Callable[..., GPT], plan_of: Plans, moments: Any
) -> None:
    config = tiny_config()
    parent, plan = tiny_model(config), plan_of(config, layers=3, width=32)
    settings = AdamWSettings(
        peak_lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, moments=moments
    )
    optimizer = adamw(parent, settings)
    for parameter in parent.parameters():
        parameter.grad = parameter.detach().clone()
    optimizer.step()
    state = state_tensors(parent, optimizer)
    plain: dict[str, Tensor] = {}
    for full_name, each in state.items():
        key, _, name = full_name.partition(".")
        if key in STATE:
            moment = saved_moment(state, key, name)
            plain[full_name] = each if key == "step" or moment is None else moment
    for mode in ("copy", "asymmetric"):
        child, wanted = (grow_moments(each, plan, mode=mode) for each in (state, plain))
        assert child.keys() == wanted.keys()
        assert all(torch.equal(each, wanted[name]) for name, each in child.items())
    with pytest.raises(GrowthError) as caught:
        grow_moments(state, plan, mode="exact")
    assert "moments of fewer bits, whose rounding no copy follows" in str(caught.value)


MOMENTS = ("exp_avg.", "exp_avg_sq.")

Limits = dict[str, float | None]

FREE: Limits = {"max_norm": None, "max_value": None}

STEPS = 30
"""Steps after growth, as many as before the proof's bound was set."""


def train(
    model: GPT,
    optimizer: ScaledAdamW,
    loss_of: Callable[[GPT, Tensor], Tensor],
    batches: Iterable[Tensor],
    *,
    limits: Limits = FREE,
) -> list[float]:
    """Train, and return the gradients' norms before clipping."""
    norms: list[float] = []
    for ids in batches:
        optimizer.zero_grad()
        loss_of(model, ids).backward()
        norms.append(float(clip_gradients(model.parameters(), optimizer, **limits)))
        optimizer.step()
    return norms


def load(model: GPT, optimizer: ScaledAdamW, state: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        optimizer.state[parameter] = {
            key.partition(".")[0]: tensor
            for key, tensor in state.items()
            if key.partition(".")[2] == name
        }


@pytest.fixture
def apart(
    *,
    tiny_config: Configs,
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Plans,
    optimizer_of: Callable[[GPT], ScaledAdamW],
    loss_of: Callable[[GPT, Tensor], Tensor],
) -> Callable[..., tuple[float, float]]:
    """Train, grow exactly, train both on; return how far apart they are, and how far they went."""

    def run(
        changes: dict[str, Any],
        sizes: dict[str, Any],
        *,
        without: tuple[str, ...] = (),
        limits: Limits = FREE,
    ) -> tuple[float, float]:
        stream = torch.Generator().manual_seed(7)
        batches = [torch.randint(0, 61, (4, 17), generator=stream) for _ in range(STEPS + 10)]
        parent = tiny_model(tiny_config(**changes), dtype=torch.float64)
        optimizer = optimizer_of(parent)
        train(parent, optimizer, loss_of, batches[:10])
        plan = plan_of(parent.config, **sizes)
        child = grown(parent, plan)
        state = grow_moments(state_tensors(parent, optimizer), plan, mode="exact")
        kept = {
            key: torch.zeros_like(each) if without == MOMENTS and key.startswith(MOMENTS) else each
            for key, each in state.items()
            if not key.startswith(without or "-") or key.startswith(MOMENTS)
        }
        child_optimizer = optimizer_of(child)
        load(child, child_optimizer, kept)
        with torch.no_grad():
            before = parent.logits(batches[0])
        train(parent, optimizer, loss_of, batches[10:], limits=limits)
        train(child, child_optimizer, loss_of, batches[10:], limits=limits)
        with torch.no_grad():
            after, other = parent.logits(batches[0]), child.logits(batches[0])
        return float((after - other).abs().max()), float((after - before).abs().max())

    return run


LAWS: dict[str, dict[str, Any]] = {
    "A, uneven MLP units": {"mlp": 50},
    "A, even MLP units": {"mlp": 64, "units": "even"},
    "A, cloned heads": {"heads": 4},
    "A, wider heads, three times": {"head_width": 24},
    "B, clone of everything": {"width": 32, "mlp": 64, "heads": 4},
    "B, with wider heads": {"width": 48, "mlp": 96, "head_width": 24, "units": "even"},
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("law", LAWS)
def test_after_exact_growth_the_child_trains_as_its_parent_does(
    apart: Callable[..., tuple[float, float]], *, tied: bool, norm: str, law: str
) -> None:
    changes = {"tied": tied, "norm": norm, "positions": "none", "layers": 1}
    difference, moved = apart(changes, LAWS[law])
    assert difference <= 1e-10
    assert moved > 0.1


LIMITS: dict[str, Limits] = {
    "norm": {"max_norm": 0.7, "max_value": None},
    "value": {"max_norm": None, "max_value": 0.02},
    "both": {"max_norm": 0.7, "max_value": 0.02},
}
"""Limits that some gradients of the tiny parent keep and others do not."""


CLIPPED = [
    *((law, "both") for law in LAWS),
    ("B, with wider heads", "norm"),
    ("B, with wider heads", "value"),
]


@pytest.mark.parametrize(("law", "limit"), CLIPPED)
def test_a_child_is_clipped_where_its_parent_would_be(
    apart: Callable[..., tuple[float, float]], *, law: str, limit: str
) -> None:
    difference, moved = apart({"positions": "none"}, LAWS[law], limits=LIMITS[limit])
    assert difference <= 1e-10
    assert moved > 0.1


@pytest.mark.parametrize(("limit", "without"), [("norm", CLIP_WEIGHT), ("value", EPS_SCALE)])
def test_plain_limits_clip_a_child_elsewhere(
    apart: Callable[..., tuple[float, float]], *, limit: str, without: str
) -> None:
    law = LAWS["B, with wider heads"]
    difference, _ = apart({"positions": "none"}, law, limits=LIMITS[limit], without=(without,))
    assert difference > 1e-2


def test_a_weighted_norm_is_the_parents_and_a_plain_one_is_not(
    *,
    tiny_config: Configs,
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Plans,
    optimizer_of: Callable[[GPT], ScaledAdamW],
    loss_of: Callable[[GPT, Tensor], Tensor],
    some_ids: Callable[..., Tensor],
) -> None:
    parent = tiny_model(tiny_config(positions="none"), dtype=torch.float64)
    optimizer, ids = optimizer_of(parent), some_ids(4, 17)
    train(parent, optimizer, loss_of, [ids])
    plan = plan_of(parent.config, width=32, mlp=64, heads=4)
    child = grown(parent, plan)
    state = grow_moments(state_tensors(parent, optimizer), plan, mode="exact")
    weighted, plain = optimizer_of(child), optimizer_of(child)
    load(child, weighted, state)
    (wanted,) = train(parent, optimizer, loss_of, [ids])
    loss_of(child, ids).backward()
    found = [float(clip_gradients(child.parameters(), each, **FREE)) for each in (weighted, plain)]
    assert found[0] == pytest.approx(wanted, rel=1e-12)
    assert found[1] != pytest.approx(wanted, rel=0.05)


def test_a_child_of_a_child_is_clipped_where_the_first_parent_would_be(
    tiny_config: Configs, plan_of: Plans
) -> None:
    config = tiny_config(positions="none")
    first = plan_of(config, width=32)
    second, whole = plan_of(first.child, width=64), plan_of(config, width=64)
    names = ["layers.0.mlp.down.weight", "norm.weight"]
    shapes = {"norm.weight": (16,), names[0]: (16, 32)}
    state = {f"{key}.{name}": torch.ones(shapes[name]) for name in names for key in STATE[1:]}
    state |= {f"step.{name}": torch.tensor(3.0) for name in names}
    twice = grow_moments(grow_moments(state, first, mode="exact"), second, mode="exact")
    once = grow_moments(state, whole, mode="exact")
    assert twice.keys() == once.keys()
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "without",
    [SCALES[:1], SCALES, MOMENTS],
    ids=["plain learning rate", "no factors", "no moments"],
)
def test_without_the_laws_the_child_goes_its_own_way(
    apart: Callable[..., tuple[float, float]], without: tuple[str, ...]
) -> None:
    difference, _ = apart(
        {"positions": "none", "layers": 1}, LAWS["B, clone of everything"], without=without
    )
    assert difference > 1e-3


def test_unscaled_moments_are_not_the_law(tiny_config: Configs, plan_of: Plans) -> None:
    plan = plan_of(tiny_config(positions="none"), width=32)
    gradient = Grower(plan).factors("layers.0.mlp.up.weight").gradient
    assert set(gradient.flatten().tolist()) == {1.0}
    assert set(Grower(plan).factors("layers.0.mlp.down.weight").gradient.flatten().tolist()) == {
        0.5
    }


@pytest.fixture
def gathered(
    *,
    tiny_config: Configs,
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Plans,
    optimizer_of: Callable[..., ScaledAdamW],
    loss_of: Callable[[GPT, Tensor], Tensor],
) -> Callable[..., tuple[GrowthPlan, dict[str, Tensor], dict[str, Tensor]]]:
    """Train a parent, its layers' matrices by Muon and the rest by AdamW.

    Return a plan, the parent's state, and the state that the child, grown anew before each step,
    would have gathered from its own gradients.
    """

    def run(
        changes: dict[str, Any], **sizes: Any
    ) -> tuple[GrowthPlan, dict[str, Tensor], dict[str, Tensor]]:
        stream = torch.Generator().manual_seed(7)
        parent = tiny_model(tiny_config(**changes), dtype=torch.float64)
        plan = plan_of(parent.config, **sizes)
        muon = torch.optim.Muon([each for each in parent.layers.parameters() if each.dim() > 1])
        rest = optimizer_of(parent)
        own: dict[str, Tensor] = {}
        for _ in range(5):
            ids = torch.randint(0, 61, (4, 17), generator=stream)
            child = grown(parent, plan)
            for model in (parent, child):
                model.zero_grad()
                loss_of(model, ids).backward()
            for name, parameter in child.named_parameters():
                assert parameter.grad is not None
                kind = ("momentum_buffer", 0.95) if is_matrix(name) else ("exp_avg", 0.9)
                key = f"{kind[0]}.{name}"
                before = own.get(key, torch.zeros_like(parameter))
                own[key] = before.lerp(parameter.grad, 1 - kind[1])
            muon.step()
            for parameter in parent.layers.parameters():
                parameter.grad = None if parameter.dim() > 1 else parameter.grad
            rest.step()
        state = state_tensors(parent, rest) | {
            f"momentum_buffer.{name}": muon.state[parameter]["momentum_buffer"]
            for name, parameter in parent.named_parameters()
            if is_matrix(name)
        }
        return plan, state, own

    return run


def is_matrix(name: str) -> bool:
    return name.startswith("layers.") and name.endswith("weight") and "norm" not in name


@pytest.mark.parametrize(("tied", "norm"), [(True, "layernorm"), (False, "rmsnorm")])
@pytest.mark.parametrize("law", LAWS)
def test_the_child_takes_over_the_momentum_that_it_would_have_gathered(
    gathered: Callable[..., tuple[GrowthPlan, dict[str, Tensor], dict[str, Tensor]]],
    *,
    tied: bool,
    norm: str,
    law: str,
) -> None:
    changes = {"tied": tied, "norm": norm, "positions": "none", "layers": 1}
    plan, state, own = gathered(changes, **LAWS[law])
    child = grow_moments(state, plan, mode="copy")
    for full_name, moment in own.items():
        assert (child[full_name] - moment).abs().max() <= 1e-10, full_name
        assert moment.abs().max() > 1e-6 or full_name.endswith("key.bias"), full_name
    assert {name.partition(".")[0] for name in child if is_matrix(name.partition(".")[2])} == {
        "momentum_buffer"
    }


def test_momentum_stands_with_the_first_copy_and_new_layers_have_none(
    tiny_config: Configs, plan_of: Plans
) -> None:
    name = "layers.0.mlp.up.weight"
    state = {f"momentum_buffer.{name}": torch.ones(32, 16)}
    plan = plan_of(tiny_config(layers=1), layers=2, mlp=64, units="even")
    child = grow_moments(state, plan, mode="asymmetric")
    assert set(child) == {f"momentum_buffer.layers.{layer}.mlp.up.weight" for layer in (0, 1)}
    assert child[f"momentum_buffer.{name}"][:32].eq(0.5).all()
    assert not child[f"momentum_buffer.{name}"][32:].any()
    assert not child["momentum_buffer.layers.1.mlp.up.weight"].any()


def test_what_muon_does_with_a_matrix_has_no_exact_law(
    tiny_config: Configs, plan_of: Plans
) -> None:
    state = {"momentum_buffer.layers.0.mlp.up.weight": torch.ones(32, 16)}
    words = r"steps entry by entry.*got Muon's momentum.*Try optimizer_state = asymmetric, or copy"
    with pytest.raises(GrowthError, match=words):
        grow_moments(state, plan_of(tiny_config(), mlp=64), mode="exact")


@pytest.mark.parametrize(
    ("changes", "sizes", "reason"),
    [
        ({}, {"layers": 4, "depth": "stack"}, "all of them are heard"),
        ({}, {"width": 24}, "padding of the residual stream has gradients of its own"),
        (
            {"heads": 4, "kv_heads": 2, "head_width": 4, "positions": "rotary"},
            {"kv_heads": 4},
            "key/value heads are split among their queries",
        ),
        ({}, {"mlp": 64, "units": "noised"}, "noise parts copies, whose gradients are then no"),
    ],
)
def test_a_growth_without_an_exact_law_says_why(
    *,
    tiny_config: Configs,
    plan_of: Plans,
    changes: dict[str, Any],
    sizes: dict[str, Any],
    reason: str,
) -> None:
    with pytest.raises(GrowthError, match=reason):
        check_lawful(plan_of(tiny_config(**changes), **sizes))


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("tied", [True, False])
def test_asymmetric_moments_stand_with_the_first_copy_along_every_axis(
    tiny_config: Configs, plan_of: Plans, *, norm: str, tied: bool
) -> None:
    config = tiny_config(norm=norm, tied=tied, positions="none")
    plan = plan_of(config, width=32, mlp=64, heads=4)
    up = torch.arange(32.0 * 16).view(32, 16) + 1
    state = {f"{key}.layers.0.mlp.up.weight": up for key in ("exp_avg", "exp_avg_sq")}
    state["step.layers.0.mlp.up.weight"] = torch.tensor(9.0)
    other = {name.replace("layers.0", "layers.1"): each for name, each in state.items()}
    child = grow_moments({**state, **other}, plan, mode="asymmetric")
    moment = child["exp_avg.layers.0.mlp.up.weight"]
    factors = Grower(plan).factors("layers.0.mlp.up.weight").gradient
    assert torch.equal(moment[:32, :16], up * factors[:32, :1].to(up.dtype))
    assert not moment[32:].any()
    assert not moment[:, 16:].any()
    assert child["step.layers.0.mlp.up.weight"] == 9.0
