"""One optimizer step: accumulate, clip, update."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from growlm.model.gpt import GPT
from growlm.model.loss import IGNORED, cross_entropy_sum
from growlm.optim.adamw import knows_flags, unless
from growlm.optim.clipping import clip_gradients
from growlm.optim.rewarm import Entries, step_farther
from growlm.training.parallel import ALONE, World
from growlm.training.spikes import Why

Judge = Callable[[float, float], Why | None]
"""From a step's loss and the norm of its gradient to why it is not to be taken, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sequences, what in them a token may see, and what in them is learned."""

    ids: Int[Tensor, "B T_plus_1"]
    """Token ids; each row is a sequence and its next token."""
    documents: Int[Tensor, "B T"] | None
    """The number of each token's document, counted within its sequence, where a token sees its own
    document alone; None where it sees all before it."""
    counted: Bool[Tensor, "B T"] | None
    """Which targets carry loss; None where all do. The others are only read."""
    known: int | None = None
    """Targets that carry loss, where they were counted before it went to a device."""

    @property
    def targets(self) -> int:
        """Tokens to predict, whether they carry loss or not."""
        return self.ids[:, 1:].numel()

    @property
    def counted_targets(self) -> int:
        """Targets that carry loss."""
        if self.known is not None:
            return self.known
        return self.targets if self.counted is None else int(self.counted.sum())

    def pinned(self) -> "Batch":
        """Return the same in memory that a GPU can read by itself."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Batch":
        """Return the same on a device, its targets counted; from pinned memory, without a wait."""
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=tensor.is_pinned()))
        return replace(moved, known=self.counted_targets)

    def split(self, sequences: int) -> "Iterator[Batch]":
        """Yield its micro-batches, of so many sequences each; the last may have fewer."""
        for first in range(0, self.ids.shape[0], sequences):
            yield self._each(itemgetter(slice(first, first + sequences)))

    def share(self, world: World) -> "Batch":
        """Return the sequences that fall to this rank; together the ranks have each once.

        All get equally many. Where they do not divide evenly, the last ranks' shares are filled
        up with sequences of which nothing counts, so that no sum changes.
        """
        if world.size == 1:
            return self
        sequences = self.ids.shape[0]
        rows = -(-sequences // world.size)
        own = torch.arange(rows, device=self.ids.device) + world.rank * rows
        share = self._each(itemgetter(own.clamp_max(sequences - 1)))
        if (world.rank + 1) * rows <= sequences:
            return share
        counted_BT = share.counted
        if counted_BT is None:
            counted_BT = torch.ones_like(share.ids[:, 1:], dtype=torch.bool)
        return replace(share, counted=counted_BT & (own < sequences)[:, None])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(
            ids=change(self.ids),
            documents=None if self.documents is None else change(self.documents),
            counted=None if self.counted is None else change(self.counted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What a step is told beside the batch and the learning rate."""

    micro_sequences: int
    """Sequences in one forward pass of a process."""
    clip_norm: float | None
    """Largest norm of the whole gradient, or no limit."""
    clip_value: float | None
    """Largest absolute value of a gradient entry, or no limit."""
    z_loss: float = 0.0
    """What a token's log^2 Z costs beside its loss; it moves weights, and no loss tells of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step found."""

    loss: Float[Tensor, ""]
    """Mean loss of the targets that carry one, before the update, nats per token; 0 if none do."""
    gradient_norm: Float[Tensor, ""]
    """Norm of the whole gradient before clipping."""
    skipped: Why | None
    """Why the update was not taken; None where it was."""


def _take(_loss: float, _norm: float) -> None:
    """Let every step be taken."""


def train_step(
    model: GPT,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: StepSettings,
    *,
    entries: Entries = (),
    factor: float = 1.0,
    judge: Judge = _take,
    finite_only: bool = False,
    world: World = ALONE,
) -> StepResult:
    """Take one step on a batch; its micro-batches add up to the same gradient.

    The loss is the mean over all targets of the batch that carry one, however they fall into
    micro-batches and over ranks. A batch in which none does moves nothing: neither weights nor
    moments.

    Args:
        model: Updated in place.
        optimizer: Its learning rate is already set.
        batch: What it learns from.
        settings: Micro-batch and clipping.
        entries: Those that move ``factor`` times as far as the learning rate says.
        factor: As said.
        judge: Asked before the update; a step that is not taken leaves weights and moments as they
            were, bit for bit.
        finite_only: Whether it refuses what is not finite and nothing else. A GPU can tell that by
            itself: it then goes on with the update while loss and norm are on their way.
        world: The ranks that share the batch; each is given all of it.
    """
    model.train()
    counted = batch.counted_targets
    if not counted:
        nothing = torch.zeros((), device=batch.ids.device)
        return StepResult(loss=nothing, gradient_norm=nothing, skipped=None)
    losses: list[Tensor] = []
    micro_batches = list(batch.share(world).split(settings.micro_sequences))
    for number, micro_batch in enumerate(micro_batches, start=1):
        world.begin_micro_batch(model, last=number == len(micro_batches))
        loss = batch_loss_sum(model, micro_batch, z_loss=settings.z_loss) / counted
        loss.backward()
        losses.append(loss.detach())
    norm = clip_gradients(
        model.parameters(),
        optimizer,
        max_norm=settings.clip_norm,
        max_value=settings.clip_value,
    )
    facts = torch.stack((world.sum(torch.stack(losses).sum()).double(), norm.double()))
    on_its_way = _Copy(facts)
    by_itself = finite_only and facts.is_cuda and knows_flags(optimizer) and world.size == 1
    if by_itself:
        with unless(optimizer, ~facts.isfinite().all()):
            step_farther(optimizer, entries, factor=factor)
    loss, norm = on_its_way.arrived()
    skipped = judge(float(loss), float(norm))
    if skipped is None and not by_itself:
        step_farther(optimizer, entries, factor=factor)
    optimizer.zero_grad(set_to_none=True)
    return StepResult(loss=loss, gradient_norm=norm, skipped=skipped)


class _Copy:
    """A tensor on its way to the CPU; what the device does after it is not waited for."""

    def __init__(self, source: Tensor) -> None:
        self._copy = source
        self._event: torch.cuda.Event | None = None
        if source.is_cuda:
            self._copy = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
            self._copy.copy_(source, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def arrived(self) -> Tensor:
        """Wait for it, and return it."""
        if self._event is not None:
            self._event.synchronize()
        return self._copy


def batch_loss_sum(model: GPT, batch: Batch, *, z_loss: float = 0.0) -> Float[Tensor, ""]:
    """Return the summed loss of a batch, computed in the device's working precision.

    Args:
        model: What predicts.
        batch: What it predicts.
        z_loss: What a token's log^2 Z costs in the gradient; the value is without.
    """
    device = batch.ids.device.type
    targets_BT = batch.ids[:, 1:]
    if batch.counted is not None:
        targets_BT = targets_BT.masked_fill(~batch.counted, IGNORED)
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        hidden_BTD = model(batch.ids[:, :-1], batch.documents)
    if device == "cuda":
        hidden_BTD = hidden_BTD.to(torch.bfloat16)
    return cross_entropy_sum(
        hidden_BTD.flatten(0, 1),
        model.head_weight,
        targets_BT.flatten(),
        vocab_size=model.config.vocab_size,
        z_loss=z_loss,
    )
