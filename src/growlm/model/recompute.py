"""Activation checkpointing: what a layer keeps for its backward pass, and what it makes again."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor
from torch.utils import checkpoint as torch_checkpoint
from torch.utils.checkpoint import CheckpointPolicy, SelectiveCheckpointContext

Checkpointing = Literal["none", "selective", "full"]
"""Keep all that the backward pass needs; keep products of matrices and what attention gives, and
compute the rest again; or keep a layer's input alone, and compute the layer again."""

MODES: tuple[Checkpointing, ...] = get_args(Checkpointing)

_PRODUCTS = frozenset(
    {
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
    }
)
_DROPOUT_AT = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default: 3,
    torch.ops.aten._scaled_dot_product_flash_attention.default: 3,
    torch.ops.aten._scaled_dot_product_efficient_attention.default: 5,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default: 5,
}
"""Fused attention, and which of its arguments is the dropout."""


def recomputed(
    work: Callable[..., Tensor], *inputs: Any, checkpointing: Checkpointing, random: bool
) -> Tensor:
    """Return what a function makes of its inputs; its backward pass computes it again.

    The gradients are those of the plain call, bit for bit where the same kernels run again.
    Chen et al., arXiv:1604.06174; Korthikanti et al., arXiv:2205.05198, for what to keep.

    Args:
        work: A function of tensors alone.
        inputs: Kept, as they are.
        checkpointing: What is kept beside them.
        random: Whether it draws: the stream is then set back before it draws again.
    """
    contexts: dict[str, Any] = {}
    if checkpointing == "selective":
        selective = cast(Any, torch_checkpoint.create_selective_checkpoint_contexts)
        contexts["context_fn"] = partial(selective, _policy)
    # Called by its own name, as the compiler knows it.
    return torch_checkpoint.checkpoint(  # pyright: ignore[reportUnknownVariableType]
        work, *inputs, use_reentrant=False, preserve_rng_state=random, **contexts
    )


def _policy(
    _context: SelectiveCheckpointContext, operation: Any, *inputs: Any, **options: Any
) -> CheckpointPolicy:
    """Keep products of weights, and attention where it draws nothing.

    Attention that drops out is computed again: if it were kept, its draws would be missing when
    the layer's other dropout draws again, and that would get another mask.
    """
    keep = operation in _PRODUCTS or (
        operation in _DROPOUT_AT and not _dropout(operation, inputs, options)
    )
    return CheckpointPolicy.MUST_SAVE if keep else CheckpointPolicy.PREFER_RECOMPUTE


def _dropout(operation: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> float:
    """Return the dropout that attention is called with."""
    place = _DROPOUT_AT[operation]
    return inputs[place] if len(inputs) > place else options.get("dropout_p", 0.0)
