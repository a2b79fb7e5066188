"""A child beside its parent: the same batches through both, layer by layer."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor

from growlm.model.streamed import Streamed
from growlm.model.weights import blocks

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
"""Number formats in which parent and child are compared."""


class Measurement(BaseModel, frozen=True, extra="forbid", ser_json_inf_nan="constants"):
    """Parent and child on the same batches, in one number format at one context."""

    dtype: str
    context: int
    tokens: int
    max_logit_difference: float
    """Largest absolute difference of a logit."""
    largest_logit: float
    """Largest absolute logit of the parent."""
    rounding: float
    """Largest difference of the parent's logits from its own in fp64."""
    loss_before: float
    """The parent's, nats per token."""
    loss_after: float
    """The child's."""


@torch.no_grad()
def measure(
    parent: Streamed,
    child: Streamed,
    exact_child: Streamed,
    batches: Sequence[Int[Tensor, "_ _"]],
) -> tuple[Measurement, ...]:
    """Compare a child with its parent in every number format, once for each batch.

    Every layer is read when its turn comes, and the head block by block, so that no model, and no
    logits of a whole vocabulary, need to be in memory.

    Args:
        parent: The model before.
        child: The model after.
        exact_child: The child for fp64. Best grown anew from the parent's weights cast to it: the
            one that was grown in fp32 has been rounded, and shows that and not the operator.
        batches: Token ids; each row is a sequence and its next token.
    """
    inputs = [ids[:, :-1] for ids in batches]
    exact = _Side(parent, torch.float64, inputs)
    found: dict[tuple[int, torch.dtype], Measurement] = {}
    for dtype in DTYPES:
        wide = dtype == torch.float64
        before = exact if wide else _Side(parent, dtype, inputs)
        after = _Side(exact_child if wide else child, dtype, inputs)
        for place, ids in enumerate(batches):
            found[place, dtype] = _compared(exact, before, after, ids, place)
    return tuple(found[place, dtype] for place in range(len(batches)) for dtype in DTYPES)


class _Side:
    """One model in one number format, and the hidden states that it ended with."""

    def __init__(self, model: Streamed, dtype: torch.dtype, inputs: Sequence[Tensor]) -> None:
        self.model = model
        self.dtype = dtype
        self.hidden = [each.flatten(0, 1) for each in model.hidden(inputs, dtype)]

    def logits(self, place: int, rows: slice) -> Float[Tensor, "N _"]:
        """Return the logits of a batch for some tokens of the vocabulary; none past its end."""
        end = min(rows.stop, self.model.config.vocab_size)
        head = self.model.head(slice(rows.start, max(rows.start, end)), self.dtype)
        return self.hidden[place] @ head.T


class _Loss:
    """A loss that is put together block by block: log of the sum of exponentials, less the hit."""

    def __init__(self, targets: Int[Tensor, " N"]) -> None:
        self.targets = targets
        self.total = torch.full(targets.shape, -torch.inf, dtype=torch.float64)
        self.hit = torch.zeros(targets.shape, dtype=torch.float64)

    def add(self, logits: Float[Tensor, "N _"], rows: slice) -> None:
        """Take one block of the vocabulary into account."""
        if not logits.shape[1]:
            return
        wide = logits.double()
        self.total = torch.logaddexp(self.total, wide.logsumexp(1))
        inside = (self.targets >= rows.start) & (self.targets < rows.start + logits.shape[1])
        places = self.targets[inside] - rows.start
        self.hit[inside] = wide[inside].gather(1, places[:, None])[:, 0]

    def mean(self) -> float:
        """Return the mean over the tokens, in nats."""
        return float((self.total - self.hit).mean())


def _compared(  # noqa: PLR0917 - one caller, above
    exact: _Side, before: _Side, after: _Side, ids: Int[Tensor, "B T_plus_1"], place: int
) -> Measurement:
    targets = ids[:, 1:].flatten()
    losses = _Loss(targets), _Loss(targets)
    difference, largest, rounding = torch.zeros(3, dtype=torch.float64)
    for rows in blocks(max(before.model.config.vocab_size, after.model.config.vocab_size)):
        old, new = before.logits(place, rows), after.logits(place, rows)
        losses[0].add(old, rows)
        losses[1].add(new, rows)
        if not old.shape[1]:
            continue
        difference = torch.maximum(difference, _largest(old - new[:, : old.shape[1]]))
        largest = torch.maximum(largest, _largest(old))
        if before is not exact:
            off = _largest(old.double() - exact.logits(place, rows))
            rounding = torch.maximum(rounding, off)
    return Measurement(
        dtype=str(before.dtype).removeprefix("torch."),
        context=ids.shape[1] - 1,
        tokens=targets.numel(),
        max_logit_difference=float(difference),
        largest_logit=float(largest),
        rounding=float(rounding),
        loss_before=losses[0].mean(),
        loss_after=losses[1].mean(),
    )


def _largest(values: Tensor) -> Float[Tensor, ""]:
    """Return the largest absolute value; not-a-number wins over every number."""
    return values.abs().max().double()
