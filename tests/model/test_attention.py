"""Attention of every kind, against a reference written out in full."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.model.attention import (
    Attention,
    Places,
    alibi_bias,
    alibi_slopes,
    document_places,
    rotary_angles,
    rotate,
    same_document,
    stretched,
)
from growlm.model.config import GPTConfig, RotaryScaling

SLOPES_12 = [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]
SLOPES_16 = [-0.5 * (head + 1) for head in range(16)]
KINDS = ["alibi", "rotary", "none", "learned"]


def randn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def attention(config: GPTConfig) -> Attention:
    module = Attention(config).double()
    for seed, parameter in enumerate(module.parameters()):
        parameter.data = 0.4 * randn(*parameter.shape, seed=seed)
    return module


def attend(module: Attention, x_BTD: Tensor) -> Tensor:
    bias, angles = Places(module.config).double()(x_BTD.shape[1], x_BTD.dtype)
    return module(x_BTD, bias, angles)


def turned(x_TK: Tensor, base: float) -> Tensor:
    """Turn each pair as a complex number, one place and one pair at a time."""
    pairs = x_TK.shape[1] // 2
    out_TK = torch.empty_like(x_TK)
    for place in range(x_TK.shape[0]):
        for pair in range(pairs):
            angle = place * base ** (-2 * pair / x_TK.shape[1])
            number = complex(x_TK[place, pair], x_TK[place, pair + pairs])
            number *= complex(math.cos(angle), math.sin(angle))
            out_TK[place, pair], out_TK[place, pair + pairs] = number.real, number.imag
    return out_TK


def head_normed(module: Attention, x_TK: Tensor, name: str) -> Tensor:
    """Divide by the root mean square and multiply by the gain, if there is one."""
    norm = getattr(module, f"{name}_norm")
    if norm is None:
        return x_TK
    mean_square = (x_TK * x_TK).mean(-1, keepdim=True)
    return x_TK / torch.sqrt(mean_square + module.config.norm_eps) * norm.weight


@torch.no_grad()
def reference(module: Attention, x_TD: Tensor) -> Tensor:
    """Attend head by head with a dense softmax, in fp64."""
    config, size = module.config, module.config.head_width
    query, key, value = (each(x_TD) for each in (module.query, module.key, module.value))
    place = torch.arange(x_TD.shape[0])
    future = place[None, :] > place[:, None]
    mixed: list[Tensor] = []
    for head in range(config.heads):
        group = head * config.kv_heads // config.heads
        q = query[:, head * size : (head + 1) * size]
        k, v = (each[:, group * size : (group + 1) * size] for each in (key, value))
        q, k = head_normed(module, q, "query"), head_normed(module, k, "key")
        if config.positions == "rotary":
            still = config.rotary_width
            q, k = (
                torch.cat([turned(each[:, :still], config.rotary_base), each[:, still:]], -1)
                for each in (q, k)
            )
        scores = q @ k.T / math.sqrt(size)
        if config.positions == "alibi":
            slope = alibi_slopes(config.heads)[head].double()
            scores = scores - slope * (place[:, None] - place[None, :])
        mixed.append(scores.masked_fill(future, -torch.inf).softmax(-1) @ v)
    return module.output(torch.cat(mixed, -1))


@pytest.mark.parametrize(("heads", "logarithms"), [(12, SLOPES_12), (16, SLOPES_16)])
def test_the_slopes_are_the_published_ones_in_their_order(
    heads: int, logarithms: list[float]
) -> None:
    expected = torch.tensor([2.0**logarithm for logarithm in logarithms])
    assert torch.equal(alibi_slopes(heads), expected)


@pytest.mark.parametrize("heads", [1, 2, 4, 8, 32])
def test_slopes_of_a_power_of_two_are_a_geometric_series(heads: int) -> None:
    ratio = 2.0 ** (-8 / heads)
    expected = torch.tensor([ratio ** (head + 1) for head in range(heads)])
    torch.testing.assert_close(alibi_slopes(heads), expected)


def test_slopes_are_distinct_and_kept_by_more_heads() -> None:
    for heads in range(1, 33):
        slopes = alibi_slopes(heads).tolist()
        assert len(set(slopes)) == heads
        assert set(slopes) <= set(alibi_slopes(2 * 2 ** math.ceil(math.log2(heads))).tolist())


def test_the_bias_falls_with_distance_and_hides_the_future() -> None:
    bias = alibi_bias(torch.tensor([0.5, 2.0]), 3, torch.float32)
    inf = torch.inf
    assert bias.tolist() == [
        [
            [[0.0, -inf, -inf], [-0.5, 0.0, -inf], [-1.0, -0.5, 0.0]],
            [[0.0, -inf, -inf], [-2.0, 0.0, -inf], [-4.0, -2.0, 0.0]],
        ]
    ]


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1), (3, 3)])
@pytest.mark.parametrize("linear_bias", [True, False])
def test_attention_is_the_dense_reference(
    *,
    tiny_config: Callable[..., GPTConfig],
    positions: str,
    heads: int,
    kv_heads: int,
    linear_bias: bool,
) -> None:
    config = tiny_config(
        positions=positions, heads=heads, kv_heads=kv_heads, head_width=6, linear_bias=linear_bias
    )
    module, x_BTD = attention(config), randn(2, 13, config.width, seed=99)
    expected = torch.stack([reference(module, x_TD) for x_TD in x_BTD])
    # Angles are fp32 by design, so rotary agrees to fp32; the others to fp64.
    tolerance = 1e-5 if positions == "rotary" else 1e-12
    torch.testing.assert_close(attend(module, x_BTD), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {"qk_norm": True},
        {"qk_norm": True, "kv_heads": 1, "norm_eps": 0.1},
        {"rotary_share": 0.25, "rotary_base": 50.0},
        {"rotary_share": 0.5, "qk_norm": True, "qkv_bias": False},
        {"output_bias": False},
    ],
    ids=str,
)
def test_attention_of_other_families_is_the_dense_reference(
    tiny_config: Callable[..., GPTConfig], positions: str, changes: dict[str, Any]
) -> None:
    config = tiny_config(**{"positions": positions, "heads": 2, "head_width": 8, **changes})
    module, x_BTD = attention(config), randn(2, 13, config.width, seed=99)
    expected = torch.stack([reference(module, x_TD) for x_TD in x_BTD])
    tolerance = 1e-5 if positions == "rotary" else 1e-12
    torch.testing.assert_close(attend(module, x_BTD), expected, rtol=0, atol=tolerance)


def test_the_norm_of_queries_and_keys_forgets_their_length(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    module = attention(tiny_config(qk_norm=True, qkv_bias=False, norm_eps=1e-12))
    x_BTD = randn(1, 9, 16)
    before = attend(module, x_BTD)
    module.query.weight.data *= 7.0
    module.key.weight.data *= 0.2
    torch.testing.assert_close(attend(module, x_BTD), before, rtol=0, atol=1e-9)


def test_queries_and_keys_keep_the_type_of_values_under_autocast(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    config = tiny_config(qk_norm=True, positions="rotary")
    module, x_BTD = attention(config).float(), randn(1, 9, 16).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = attend(module, x_BTD)
    exact = attend(module, x_BTD)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("positions", KINDS)
def test_no_token_sees_the_future(tiny_config: Callable[..., GPTConfig], positions: str) -> None:
    module = attention(tiny_config(positions=positions, kv_heads=1))
    x_BTD = randn(1, 12, 16)
    before = attend(module, x_BTD)
    x_BTD[:, 7] += 1.0
    after = attend(module, x_BTD)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(-1).all()


def test_grouped_heads_are_whole_heads_repeated(tiny_config: Callable[..., GPTConfig]) -> None:
    grouped = attention(tiny_config(heads=4, kv_heads=2, head_width=4))
    whole = attention(tiny_config(heads=4, kv_heads=4, head_width=4))
    whole.load_state_dict(
        {
            name: tensor.unflatten(0, (2, 4)).repeat_interleave(2, 0).flatten(0, 1)
            if name.startswith(("key", "value"))
            else tensor
            for name, tensor in grouped.state_dict().items()
        }
    )
    x_BTD = randn(1, 9, 16)
    torch.testing.assert_close(attend(grouped, x_BTD), attend(whole, x_BTD), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shift", [1, 5, 100])
def test_rotary_scores_depend_on_distance_alone(
    tiny_config: Callable[..., GPTConfig], shift: int
) -> None:
    config = tiny_config(positions="rotary", head_width=8)
    cos_TP, sin_TP = rotary_angles(config, 128, torch.device("cpu"))
    query, key = randn(1, 1, 1, 8, seed=1), randn(1, 1, 1, 8, seed=2)

    def score(query_place: int, key_place: int) -> float:
        turned_query, turned_key = (
            rotate(x, cos_TP[place : place + 1], sin_TP[place : place + 1])
            for x, place in ((query, query_place), (key, key_place))
        )
        return (turned_query * turned_key).sum().item()

    assert score(9 + shift, 4 + shift) == pytest.approx(score(9, 4), abs=1e-5)
    assert score(9, 5) != pytest.approx(score(9, 4), abs=1e-3)


def test_rotary_keeps_lengths_and_leaves_the_first_place(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    config = tiny_config(positions="rotary", head_width=8)
    x_BHTK = randn(2, 2, 6, 8)
    turned_BHTK = rotate(x_BHTK, *rotary_angles(config, 6, torch.device("cpu")))
    torch.testing.assert_close(turned_BHTK.norm(dim=-1), x_BHTK.norm(dim=-1), rtol=1e-6, atol=0)
    assert torch.equal(turned_BHTK[:, :, 0], x_BHTK[:, :, 0])


@pytest.mark.parametrize(("share", "turned_width"), [(1.0, 8), (0.5, 4), (0.25, 2), (0.3, 2)])
def test_rotary_turns_the_first_share_of_a_head_and_leaves_the_rest(
    tiny_config: Callable[..., GPTConfig], share: float, turned_width: int
) -> None:
    config = tiny_config(positions="rotary", head_width=8, rotary_share=share)
    angles = rotary_angles(config, 6, torch.device("cpu"))
    x_BHTK = randn(2, 2, 6, 8)
    changed = (rotate(x_BHTK, *angles) != x_BHTK)[:, :, 1:]
    assert changed[..., :turned_width].all()
    assert not changed[..., turned_width:].any()


def test_scaled_rotary_leaves_fast_pairs_and_slows_the_slowest_by_the_whole_factor(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    # As Llama 3.2: heads of 64, base 500,000, from 8,192 tokens; wavelengths by its own words.
    config = tiny_config(positions="rotary", head_width=64, rotary_base=5e5)
    scaling = RotaryScaling(factor=32.0, low=1.0, high=4.0, context=8_192)
    pairs = torch.arange(0, 64, 2, dtype=torch.float32)
    frequencies = config.rotary_base ** (-pairs / 64)
    slower = frequencies / stretched(frequencies, scaling)
    wavelengths = 2 * math.pi / frequencies
    assert (slower[wavelengths < 8_192 / 4] == 1).all()
    torch.testing.assert_close(slower[wavelengths > 8_192], torch.full((14,), 32.0))
    between = slower[(wavelengths > 8_192 / 4) & (wavelengths < 8_192)]
    assert ((between > 1) & (between < 32) & (between.diff(prepend=between[:1]) >= 0)).all()


@pytest.mark.parametrize("positions", KINDS)
def test_attention_in_bf16_stays_near_fp64(
    tiny_config: Callable[..., GPTConfig], positions: str
) -> None:
    module, x_BTD = attention(tiny_config(positions=positions)), randn(1, 16, 16)
    exact = attend(module, x_BTD)
    places = Places(module.config)
    bias, angles = places(16, torch.bfloat16)
    rough = module.bfloat16()(x_BTD.bfloat16(), bias, angles)
    assert (rough.double() - exact).abs().max() < 0.05 * exact.abs().max()


def test_dropped_attention_differs_in_training_and_not_in_evaluation(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    dropping = attention(tiny_config(attention_dropout=0.5))
    plain = attention(tiny_config())
    x_BTD = randn(1, 12, 16)
    assert not torch.equal(attend(dropping.train(), x_BTD), attend(plain, x_BTD))
    assert torch.equal(attend(dropping.eval(), x_BTD), attend(plain.eval(), x_BTD))


def test_slopes_are_no_parameter_and_in_no_checkpoint(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    places: Any = Places(tiny_config())
    assert list(places.parameters()) == []
    assert places.state_dict() == {}


def test_places_begin_anew_with_each_document_of_each_sequence() -> None:
    documents_BT = torch.tensor([[0, 0, 0, 1, 2, 2], [4, 7, 7, 7, 7, 7]])
    assert document_places(documents_BT).tolist() == [[0, 1, 2, 0, 0, 1], [0, 0, 1, 2, 3, 4]]


def test_pairs_are_of_one_document_whichever_comes_first() -> None:
    pairs = same_document(torch.tensor([[0, 0, 1]]))[0].tolist()
    assert pairs == [[[True, True, False], [True, True, False], [False, False, True]]]


@pytest.mark.parametrize("positions", KINDS)
def test_a_sequence_has_a_bias_and_angles_of_its_own_only_where_documents_are_masked(
    tiny_config: Callable[..., GPTConfig], positions: str
) -> None:
    places = Places(tiny_config(positions=positions))
    documents_BT = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]])
    bias, angles = places(4, torch.float32, documents_BT)
    heads = 2 if positions == "alibi" else 1
    assert bias is not None
    assert bias.shape == (3, heads, 4, 4)
    assert bias[0, 0].isfinite().tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, True, True],
    ]
    assert (angles is None) is (positions != "rotary")
    plain_bias, plain_angles = places(4, torch.float32)
    assert (plain_bias is None) is (positions != "alibi")
    if plain_bias is not None:
        assert torch.equal(bias[2], plain_bias[0])
    if angles is not None and plain_angles is not None:
        for ours, plain in zip(angles, plain_angles, strict=True):
            assert torch.equal(ours[2, 0], plain)
            assert torch.equal(ours[0, 0, 2:], plain[:2])
