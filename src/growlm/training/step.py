"""One optimizer step: accumulate, clip, update."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from growlm.model.gpt import GPT
from growlm.model.loss import cross_entropy_sum
from growlm.optim.clipping import clip_gradients
from growlm.optim.rewarm import Entries, step_farther


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sequences, and what in them a token may see."""

    ids: Int[Tensor, "B T_plus_1"]
    """Token ids; each row is a sequence and its next token."""
    documents: Int[Tensor, "B T"] | None
    """The number of each token's document, counted within its sequence, where a token sees its own
    document alone; None where it sees all before it."""

    @property
    def targets(self) -> int:
        """Tokens to predict."""
        return self.ids[:, 1:].numel()

    def to(self, device: torch.device) -> "Batch":
        """Return the same on a device."""
        documents = None if self.documents is None else self.documents.to(device)
        return Batch(ids=self.ids.to(device), documents=documents)

    def split(self, sequences: int) -> "Iterator[Batch]":
        """Yield its micro-batches, of so many sequences each; the last may have fewer."""
        for first in range(0, self.ids.shape[0], sequences):
            rows = slice(first, first + sequences)
            documents = None if self.documents is None else self.documents[rows]
            yield Batch(ids=self.ids[rows], documents=documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What a step is told beside the batch and the learning rate."""

    micro_sequences: int
    """Sequences in one forward pass."""
    clip_norm: float | None
    """Largest norm of the whole gradient, or no limit."""
    clip_value: float | None
    """Largest absolute value of a gradient entry, or no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step found."""

    loss: Float[Tensor, ""]
    """Mean loss of the batch before the update, nats per token."""
    gradient_norm: Float[Tensor, ""]
    """Norm of the whole gradient before clipping."""


def train_step(
    model: GPT,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: StepSettings,
    *,
    entries: Entries = (),
    factor: float = 1.0,
) -> StepResult:
    """Take one step on a batch; its micro-batches add up to the same gradient.

    Args:
        model: Updated in place.
        optimizer: Its learning rate is already set.
        batch: What it learns from.
        settings: Micro-batch and clipping.
        entries: Those that move ``factor`` times as far as the learning rate says.
        factor: As said.
    """
    model.train()
    losses: list[Tensor] = []
    for micro_batch in batch.split(settings.micro_sequences):
        loss = batch_loss_sum(model, micro_batch) / batch.targets
        loss.backward()
        losses.append(loss.detach())
    norm = clip_gradients(
        model.parameters(),
        optimizer,
        max_norm=settings.clip_norm,
        max_value=settings.clip_value,
    )
    step_farther(optimizer, entries, factor=factor)
    optimizer.zero_grad(set_to_none=True)
    return StepResult(loss=torch.stack(losses).sum(), gradient_norm=norm)


def batch_loss_sum(model: GPT, batch: Batch) -> Float[Tensor, ""]:
    """Return the summed loss of a batch, computed in the device's working precision."""
    device = batch.ids.device.type
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        hidden_BTD = model(batch.ids[:, :-1], batch.documents)
    if device == "cuda":
        hidden_BTD = hidden_BTD.to(torch.bfloat16)
    return cross_entropy_sum(
        hidden_BTD.flatten(0, 1),
        model.head_weight,
        batch.ids[:, 1:].flatten(),
        vocab_size=model.config.vocab_size,
    )
