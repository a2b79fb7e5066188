"""Cross-entropy in chunks of tokens: the whole logits matrix is never built."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHUNK_TOKENS = 2_048
"""Tokens whose logits exist at once."""

IGNORED = -100
"""A target that carries no loss."""


class _CrossEntropySum(torch.autograd.Function):
    """Sum of token losses; forward already holds the gradients, backward scales them."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        hidden_ND: Tensor,
        head_VD: Tensor,
        targets_N: Tensor,
        vocab_size: int,
        chunk_tokens: int,
        z_loss: float,
    ) -> Tensor:
        wide = torch.promote_types(hidden_ND.dtype, torch.float32)
        loss = torch.zeros((), dtype=wide, device=hidden_ND.device)
        hidden_grad_ND = torch.empty_like(hidden_ND)
        # Sums over chunks are kept wide: in bf16 they would lose whole chunks to rounding.
        head_grad_VD = torch.zeros_like(head_VD, dtype=wide)
        weight_VD = head_VD.to(hidden_ND.dtype)
        for start in range(0, hidden_ND.shape[0], chunk_tokens):
            span = slice(start, start + chunk_tokens)
            losses, errors_CV = _errors(
                hidden_ND[span], weight_VD, targets_N[span], vocab_size, z_loss=z_loss
            )
            loss += losses.sum()
            errors_CV = errors_CV.to(hidden_ND.dtype)
            torch.mm(errors_CV, weight_VD, out=hidden_grad_ND[span])
            _add_product(head_grad_VD, errors_CV.T, hidden_ND[span])
            del errors_CV  # before the next chunk's logits are there
        ctx.save_for_backward(hidden_grad_ND, head_grad_VD.to(head_VD.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad_ND, head_grad_VD = ctx.saved_tensors
        (scale,) = grad_outputs
        return hidden_grad_ND * scale, head_grad_VD * scale, None, None, None, None


def _errors(
    hidden_CD: Tensor, weight_VD: Tensor, targets_C: Tensor, vocab_size: int, *, z_loss: float
) -> tuple[Tensor, Tensor]:
    """Return the chunk's losses [C] and the loss's gradient by its logits [C, V].

    The gradient is that of losses with ``z_loss`` log^2 Z added to each.
    """
    if hidden_CD.is_cuda:
        return _fused()(hidden_CD @ weight_VD.T, targets_C, vocab_size, z_loss)
    logits_CV = _wide_logits(hidden_CD, weight_VD, vocab_size)
    first_C = logits_CV[:, 0].clone()
    log_shares_CV = _log_shares(logits_CV)
    log_sum_C = first_C - log_shares_CV[:, 0]
    kept_C = targets_C != IGNORED
    safe_C1 = targets_C.clamp_min(0)[:, None]
    losses_C = -log_shares_CV.gather(1, safe_C1)[:, 0] * kept_C
    errors_CV = log_shares_CV.exp_()
    if z_loss:
        errors_CV.mul_(1 + 2 * z_loss * log_sum_C[:, None])
    errors_CV.scatter_add_(1, safe_C1, torch.full_like(safe_C1, -1, dtype=errors_CV.dtype))
    return losses_C, errors_CV if bool(kept_C.all()) else errors_CV.mul_(kept_C[:, None])


def _log_shares(logits_CV: Tensor) -> Tensor:
    """Return the logarithms of a softmax, row by row in the place of the logits.

    torch's kernel for a CPU has read a row before it writes it, so that one matrix is enough.
    """
    return torch.ops.aten._log_softmax.out(logits_CV, dim=-1, half_to_float=False, out=logits_CV)


@cache
def _fused() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return ``errors_of``, compiled: it then reads the logits and writes the errors, no more."""
    return torch.compile(errors_of, dynamic=False)


def errors_of(
    logits_CV: Tensor, targets_C: Tensor, vocab_size: int, z_loss: float
) -> tuple[Tensor, Tensor]:
    """Return what ``_errors`` does, of logits as they came out of their product.

    Entry by entry, with nothing changed in place, so that a compiler makes one pass of it; the
    errors are in the type of the logits. Uncompiled it would hold several matrices.

    Args:
        logits_CV: Logits, the vocabulary's padding among them.
        targets_C: Next tokens.
        vocab_size: Real tokens.
        z_loss: As in ``cross_entropy_sum``.
    """
    wide = torch.promote_types(logits_CV.dtype, torch.float32)
    token_V = torch.arange(logits_CV.shape[1], device=logits_CV.device)
    masked_CV = torch.where(token_V < vocab_size, logits_CV.to(wide), -torch.inf)
    log_sum_C1 = masked_CV.logsumexp(-1, keepdim=True)
    kept_C1 = (targets_C != IGNORED)[:, None]
    safe_C1 = targets_C.clamp_min(0)[:, None]
    losses_C1 = (log_sum_C1 - masked_CV.gather(1, safe_C1)) * kept_C1
    shares_CV = (masked_CV - log_sum_C1).exp() * (1 + 2 * z_loss * log_sum_C1)
    errors_CV = (shares_CV - (token_V == safe_C1).to(wide)) * kept_C1
    return losses_C1[:, 0], errors_CV.to(logits_CV.dtype)


def _add_product(sum_VD: Tensor, left_VC: Tensor, right_CD: Tensor) -> None:
    """Add a product of matrices to a sum that is kept wide; a GPU never rounds it in between."""
    if right_CD.is_cuda and right_CD.dtype != sum_VD.dtype:
        wide: Any = torch.addmm
        wide(sum_VD, left_VC, right_CD, out_dtype=sum_VD.dtype, out=sum_VD)
    else:
        sum_VD += left_VC @ right_CD


def _wide_logits(hidden_CD: Tensor, weight_VD: Tensor, vocab_size: int) -> Tensor:
    """Return logits in at least fp32; the padding of the vocabulary can never win."""
    logits_CV: Tensor = hidden_CD @ weight_VD.T
    logits_CV = logits_CV.to(torch.promote_types(logits_CV.dtype, torch.float32))
    logits_CV[:, vocab_size:] = -torch.inf
    return logits_CV


def cross_entropy_sum(
    hidden_ND: Float[Tensor, "N D"],
    head_VD: Float[Tensor, "V D"],
    targets_N: Int[Tensor, " N"],
    *,
    vocab_size: int,
    chunk_tokens: int = CHUNK_TOKENS,
    z_loss: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the sum of all tokens' losses, in nats, in at least fp32.

    Divide by the token count of the whole step, once: then micro-batches and devices with
    different counts add up exactly.

    With a z-loss (Chowdhery et al., arXiv:2204.02311, section 5) the gradient is that of another
    sum, in which each token also costs ``z_loss`` log^2 Z, Z being the sum of its exponentiated
    logits; that keeps Z near 1. The value is the same with and without.

    Args:
        hidden_ND: Final hidden states.
        head_VD: The head; rows from ``vocab_size`` on are padding and get no gradient.
        targets_N: Next tokens; ``IGNORED`` carries no loss.
        vocab_size: Real tokens.
        chunk_tokens: Tokens whose logits exist at once.
        z_loss: As said; PaLM took 1e-4.
    """
    if torch.is_grad_enabled() and (hidden_ND.requires_grad or head_VD.requires_grad):
        loss = cast(Any, _CrossEntropySum.apply)
        return loss(hidden_ND, head_VD, targets_N, vocab_size, chunk_tokens, z_loss)
    losses_N, _ = token_losses(
        hidden_ND, head_VD, targets_N, vocab_size=vocab_size, chunk_tokens=chunk_tokens
    )
    return losses_N.sum()


@torch.no_grad()
def token_losses(
    hidden_ND: Float[Tensor, "N D"],
    head_VD: Float[Tensor, "V D"],
    targets_N: Int[Tensor, " N"],
    *,
    vocab_size: int,
    chunk_tokens: int = CHUNK_TOKENS,
) -> tuple[Float[Tensor, " N"], Bool[Tensor, " N"]]:
    """Return each token's loss in nats, and whether it is the most likely one.

    Ties go to the lower id. A target of ``IGNORED`` has loss 0.
    """
    losses: list[Tensor] = []
    greedy: list[Tensor] = []
    weight_VD = head_VD.to(hidden_ND.dtype)
    for start in range(0, hidden_ND.shape[0], chunk_tokens):
        span = slice(start, start + chunk_tokens)
        targets_C = targets_N[span]
        logits_CV = _wide_logits(hidden_ND[span], weight_VD, vocab_size)
        safe_C = targets_C.clamp_min(0)
        greedy.append(logits_CV.argmax(-1) == targets_C)
        picked_C = logits_CV.gather(1, safe_C[:, None])[:, 0]
        losses.append((logits_CV.logsumexp(-1) - picked_C) * (targets_C != IGNORED))
    return torch.cat(losses), torch.cat(greedy)
