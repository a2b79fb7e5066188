"""Attention by FlexAttention: places as a function of each score, never a matrix of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

Kernel = Literal["sdpa", "triton", "flash"]
"""What mixes the values: torch's scaled_dot_product_attention, with a bias as a matrix; or
FlexAttention, by the Triton kernel that it generates, or by FlashAttention's."""

Score = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""From a score, its sequence, head, query and key to the score with its bias."""
Seen = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From a sequence, head, query and key to whether the query sees the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flex:
    """What FlexAttention is told of places, instead of a bias."""

    score: Score | None
    """ALiBi, or None."""
    mask: BlockMask
    """Which keys a query sees; blocks of which it sees nothing are never computed."""
    options: Mapping[str, Any]
    """Which kernel it is, and what that may take for granted."""


def flex_places(
    slopes_H: Float[Tensor, " H"] | None,
    tokens: int,
    documents_BT: Int[Tensor, "B T"] | None,
    *,
    kernel: Kernel,
    device: torch.device,
) -> Flex:
    """Return what FlexAttention is told: causal, within documents if they are given, with ALiBi.

    Dong et al., Flex Attention, arXiv:2412.05496; Press et al., arXiv:2108.12409, for the bias.

    Args:
        slopes_H: ALiBi's, or None where there is no bias.
        tokens: Tokens in a sequence.
        documents_BT: The number of each token's document, where it may see that one alone.
        kernel: ``triton`` or ``flash``.
        device: Where the mask is needed.
    """
    # Lambdas, which the compiler can read where a decorated function is closed to it.
    score: Score | None = None
    seen: Seen = lambda _b, _h, q, k: q >= k  # noqa: E731
    if slopes_H is not None:
        score = lambda value, _b, h, q, k: value + slopes_H[h] * (k - q)  # noqa: E731
    if documents_BT is not None:
        seen = lambda b, _h, q, k: (q >= k) & (documents_BT[b, q] == documents_BT[b, k])  # noqa: E731
    sequences = None if documents_BT is None else documents_BT.shape[0]
    mask = create_block_mask(seen, sequences, None, tokens, tokens, device=device)
    options: dict[str, Any] = {"BACKEND": kernel.upper()}
    if documents_BT is None and kernel == "triton":
        # Every query sees a key, and the blocks that it sees follow each other.
        options |= {"ROWS_GUARANTEED_SAFE": True, "BLOCKS_ARE_CONTIGUOUS": True}
    return Flex(score=score, mask=mask, options=options)


def flex_mixed(
    query_BHTK: Float[Tensor, "B H T K"],
    key_BGTK: Float[Tensor, "B G T K"],
    value_BGTK: Float[Tensor, "B G T K"],
    places: Flex,
) -> Float[Tensor, "B H T K"]:
    """Return the values that each token sees, mixed; on a CPU without gradients only."""
    eager = torch.compiler.is_compiling() or not query_BHTK.is_cuda
    attend = flex_attention if eager else _compiled()
    mixed: Any = attend(
        query_BHTK,
        key_BGTK,
        value_BGTK,
        score_mod=places.score,
        block_mask=places.mask,
        enable_gqa=query_BHTK.shape[1] != key_BGTK.shape[1],
        kernel_options=cast(Any, places.options),
    )
    return mixed


@cache
def _compiled() -> Callable[..., Any]:
    """Return FlexAttention compiled, without which it builds the whole matrix of scores."""
    return torch.compile(flex_attention, dynamic=False)
