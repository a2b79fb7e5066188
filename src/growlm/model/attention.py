"""Causal attention, and the three ways a token can know its place."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from growlm.model.config import GPTConfig, RotaryScaling
from growlm.model.flex import Flex, Kernel, flex_mixed, flex_places
from growlm.model.undrawn import Linear


def alibi_slopes(heads: int) -> Float[Tensor, " H"]:
    """Return the slope of each head's linear bias.

    For a power of two, a geometric series that starts at its own ratio, ``2^(-8/H)``. Otherwise
    the slopes of the largest power of two below, then every second slope of twice that power.
    Press et al., arXiv:2108.12409, section 3, and its released code for other head counts.

    >>> alibi_slopes(12)[[0, 7, 8]].tolist()
    [0.5, 0.00390625, 0.7071067690849304]
    """
    power = 2 ** int(math.log2(heads))
    slopes = _geometric(power) + _geometric(2 * power)[::2][: heads - power]
    return torch.tensor(slopes, dtype=torch.float32)


def _geometric(heads: int) -> list[float]:
    return [2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)]


def alibi_bias(
    slopes_H: Float[Tensor, " H"], tokens: int, dtype: torch.dtype
) -> Float[Tensor, "1 H T T"]:
    """Return the causal mask with ALiBi: ``slope (key - query)``, minus infinity ahead."""
    place_T = torch.arange(tokens, device=slopes_H.device)
    distance_TT = place_T[None, :] - place_T[:, None]
    bias_HTT = slopes_H[:, None, None] * distance_TT
    return bias_HTT.masked_fill(distance_TT > 0, -torch.inf)[None].to(dtype)


def document_places(documents_BT: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return each token's place in its document, or in what its sequence has of it.

    >>> document_places(torch.tensor([[0, 0, 0, 1, 1, 2]])).tolist()
    [[0, 1, 2, 0, 1, 0]]

    Args:
        documents_BT: The number of each token's document, which never falls within a sequence.
    """
    place_T = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    begins_BT = documents_BT.diff(dim=1, prepend=documents_BT[:, :1]) != 0
    return place_T - (begins_BT * place_T).cummax(dim=1).values


def same_document(documents_BT: Int[Tensor, "B T"]) -> Bool[Tensor, "B 1 T T"]:
    """Return which pairs of tokens, (query, key), are of one document."""
    return (documents_BT[:, :, None] == documents_BT[:, None, :])[:, None]


def rotary_angles(
    config: GPTConfig, tokens: int, device: torch.device
) -> tuple[Float[Tensor, "T P"], Float[Tensor, "T P"]]:
    """Return cosine and sine of each pair's angle at each place.

    Su et al., arXiv:2104.09864, equation 15; halves are paired, as GPT-NeoX and Llama do. With a
    share below one, the frequencies are those of a head as narrow as the part that is turned.
    """
    pairs = torch.arange(0, config.rotary_width, 2, device=device, dtype=torch.float32)
    frequencies_P = config.rotary_base ** (-pairs / config.rotary_width)
    if config.rotary_scaling is not None:
        frequencies_P = stretched(frequencies_P, config.rotary_scaling)
    places_T = torch.arange(tokens, device=device, dtype=torch.float32)
    angles_TP = torch.outer(places_T, frequencies_P)
    return angles_TP.cos(), angles_TP.sin()


def stretched(frequencies_P: Float[Tensor, " P"], scaling: RotaryScaling) -> Float[Tensor, " P"]:
    """Return each pair's frequency where rotary positions are scaled, in radians per token.

    Llama 3.1's rule, with a pair's turns within the first context in the place of its wavelength.

    >>> one = RotaryScaling(factor=8.0, low=1.0, high=4.0, context=100)
    >>> turns = torch.tensor([5.0, 2.5, 0.5])
    >>> stretched(turns * 2 * math.pi / 100, one) * 100 / (2 * math.pi)
    tensor([5.0000, 1.4062, 0.0625])
    """
    turns_P = frequencies_P * (scaling.context / (2 * math.pi))
    kept_P = ((turns_P - scaling.low) / (scaling.high - scaling.low)).clamp(0.0, 1.0)
    return frequencies_P * (kept_P + (1 - kept_P) / scaling.factor)


def rotate(
    x_BHTK: Float[Tensor, "B H T K"],
    cos_TP: Float[Tensor, "*_ T P"],
    sin_TP: Float[Tensor, "*_ T P"],
) -> Float[Tensor, "B H T K"]:
    """Turn each pair (i, i + P) by its angle; what lies behind the pairs stays as it is.

    Angles are those of all sequences, or of each, with an axis of one for the heads.
    """
    pairs = cos_TP.shape[-1]
    first, second, still = x_BHTK.tensor_split((pairs, 2 * pairs), dim=-1)
    cos_TP, sin_TP = cos_TP.to(x_BHTK.dtype), sin_TP.to(x_BHTK.dtype)
    turned = (first * cos_TP - second * sin_TP, second * cos_TP + first * sin_TP)
    return torch.cat((*turned, still), dim=-1)


Bias = Tensor | Flex | None
"""What attention adds to its scores: a matrix, what FlexAttention is told, or nothing."""


class Places(nn.Module):
    """What attention is told of places: a bias, angles, or neither; computed once per forward."""

    slopes_H: Tensor  # noqa: N815 - an axis letter, as in every shape
    kernel: Kernel = "sdpa"
    """What mixes the values; whoever knows the device may choose another."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self._known: dict[tuple[int, Kernel, torch.device], Flex] = {}
        self.register_buffer("slopes_H", alibi_slopes(config.heads), persistent=False)

    def forward(
        self,
        tokens: int,
        dtype: torch.dtype,
        documents_BT: Int[Tensor, "B T"] | None = None,
    ) -> tuple[Bias, tuple[Tensor, Tensor] | None]:
        """Return (bias or None, angles or None), of all sequences or, with documents, of each.

        The bias is [1, H, T, T], or [B, H or 1, T, T]; cosine and sine are [T, P], or [B, 1, T, P].
        Where FlexAttention mixes, it is told what the bias would have said.

        Args:
            tokens: Tokens in a sequence.
            dtype: The bias's.
            documents_BT: The number of each token's document, where a token may see its own
                document alone; places then begin anew with each.
        """
        angles = None
        if self.config.positions == "rotary":
            angles = rotary_angles(self.config, tokens, self.slopes_H.device)
            if documents_BT is not None:
                place_B1T = document_places(documents_BT)[:, None]
                angles = angles[0][place_B1T], angles[1][place_B1T]
        if self.config.positions != "alibi" and documents_BT is None:
            return None, angles
        if self.kernel != "sdpa":
            return self._flex(tokens, documents_BT), angles
        slopes = self.slopes_H if self.config.positions == "alibi" else self.slopes_H[:1] * 0.0
        bias = alibi_bias(slopes, tokens, dtype)
        if documents_BT is not None:
            bias = bias.masked_fill(~same_document(documents_BT), -torch.inf)
        return bias, angles

    def _flex(self, tokens: int, documents_BT: Int[Tensor, "B T"] | None) -> Flex:
        """Return what FlexAttention is told, which without documents is the same in every step."""
        slopes = self.slopes_H
        key: tuple[int, Kernel, torch.device] = (tokens, self.kernel, slopes.device)
        if documents_BT is None and key in self._known:
            return self._known[key]
        found = flex_places(
            slopes if self.config.positions == "alibi" else None,
            tokens,
            documents_BT,
            kernel=self.kernel,
            device=slopes.device,
        )
        if documents_BT is None:
            self._known[key] = found
        return found


class HeadNorm(nn.Module):
    """RMSNorm over the width of a head; all heads share its gain (Qwen3, arXiv:2505.09388)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.head_width))

    def forward(self, x_BHTK: Float[Tensor, "B H T K"]) -> Float[Tensor, "B H T K"]:
        """Normalise each head's vector; in the type of its input, which autocast may narrow."""
        weight_K = self.weight.to(x_BHTK.dtype)
        return F.rms_norm(x_BHTK, weight_K.shape, weight_K, self.eps)


class Attention(nn.Module):
    """Causal self-attention with grouped key/value heads."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.query = Linear(config.width, config.attention_width, bias=config.qkv_bias)
        self.key = Linear(config.width, config.kv_width, bias=config.qkv_bias)
        self.value = Linear(config.width, config.kv_width, bias=config.qkv_bias)
        self.query_norm = HeadNorm(config) if config.qk_norm else None
        self.key_norm = HeadNorm(config) if config.qk_norm else None
        self.output = Linear(config.attention_width, config.width, bias=config.output_bias)

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        bias: Float[Tensor, "_ _ T T"] | Flex | None,
        angles: tuple[Tensor, Tensor] | None,
    ) -> Float[Tensor, "B T D"]:
        """Mix the values each token may see."""
        query, key, value = self.heads(x_BTD, angles)
        return self.output(self.mixed(query, key, value, bias).transpose(1, 2).flatten(-2))

    def heads(
        self, x_BTD: Float[Tensor, "B T D"], angles: tuple[Tensor, Tensor] | None
    ) -> tuple[Float[Tensor, "B H T K"], Float[Tensor, "B G T K"], Float[Tensor, "B G T K"]]:
        """Return each head's queries, keys and values, normed and turned."""
        query, key, value = (
            projection(x_BTD).unflatten(-1, (-1, self.config.head_width)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if angles is not None:
            query, key = rotate(query, *angles), rotate(key, *angles)
        return query, key, value

    def mixed(
        self,
        query_BHTK: Float[Tensor, "B H T K"],
        key_BGTK: Float[Tensor, "B G T K"],
        value_BGTK: Float[Tensor, "B G T K"],
        bias: Float[Tensor, "_ _ T T"] | Flex | None,
    ) -> Float[Tensor, "B H T K"]:
        """Return the values that each token sees, by how much each counts for it."""
        if isinstance(bias, Flex):
            return flex_mixed(query_BHTK, key_BGTK, value_BGTK, bias)
        return F.scaled_dot_product_attention(
            query_BHTK,
            key_BGTK,
            value_BGTK,
            attn_mask=None if bias is None else bias.to(query_BHTK.dtype),
            is_causal=bias is None,
            dropout_p=self.config.attention_dropout if self.training else 0.0,
            enable_gqa=self.config.kv_heads != self.config.heads,
        )
