"""The training loop: a generator of step records. Whoever iterates it decides what to do."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from growlm.optim.adamw import set_lr
from growlm.optim.rewarm import Entries
from growlm.optim.schedule import Schedule
from growlm.runlog import RankSeconds, Step
from growlm.training.parallel import ALONE, World
from growlm.training.pulse import READS
from growlm.training.spikes import Watch, Why
from growlm.training.state import TrainState
from growlm.training.step import Batch, StepSettings, train_step

Batches = Callable[[int], Batch]
"""The batch at a cursor: a pure function, so that resuming needs the cursor alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faster:
    """Entries that learn faster than the others, and how much faster at each step."""

    entries: Entries
    factor: Callable[[int], float]


def train(
    state: TrainState,
    batches: Batches,
    schedule: Schedule,
    *,
    steps: int,
    peak_lr: float,
    settings: StepSettings,
    faster: Faster | None = None,
    world: World = ALONE,
) -> Iterator[Step]:
    """Yield a record for each step, until the stage has done all its steps.

    The state has moved on when the record is yielded, so it can be saved there and then.

    Args:
        state: Moved in place.
        batches: What is learned from at a cursor.
        schedule: Share of the peak at a step.
        steps: Steps of the whole stage.
        peak_lr: Learning rate at the top of the schedule.
        settings: Micro-batch and clipping.
        faster: What learns at a rate of its own, if anything does.
        world: The ranks that share each batch.

    Raises:
        TrainingError: Loss or gradient were not finite, three times in a row.
    """
    while state.step < steps:
        start = time.perf_counter()
        lr = peak_lr * schedule(state.step)
        set_lr(state.optimizer, lr)
        world.pulse.step = state.step + 1
        world.pulse.beat(READS)
        batch = batches(state.cursor)
        read = time.perf_counter() - start
        result = train_step(
            state.model,
            state.optimizer,
            batch,
            settings,
            entries=faster.entries if faster else (),
            factor=faster.factor(state.step) if faster else 1.0,
            judge=partial(_judged, state.watch, state.step + 1),
            finite_only=state.watch.rule is None,
            world=world,
        )
        state.step += 1
        if state.ema is not None:
            state.ema.update(dict(state.model.named_parameters()), step=state.step)
        state.cursor += batch.ids.shape[0]
        loss, norm = float(result.loss), float(result.gradient_norm)
        seconds = time.perf_counter() - start
        yield Step(
            step=state.step,
            tokens=state.step * batch.targets,
            loss=loss,
            lr=lr,
            gradient_norm=norm,
            seconds=seconds,
            skipped=result.skipped,
            ranks=_ranks(world, seconds, read=read),
        )


def _ranks(world: World, seconds: float, *, read: float) -> RankSeconds | None:
    """Return what the ranks took for a step, and which of them took longest."""
    world.pulse.beat("waits for the others")
    if world.size == 1:
        return None
    own = torch.tensor([seconds, read], dtype=torch.float64)
    whole_R, reading_R = torch.stack(world.each(own)).unbind(dim=1)
    return RankSeconds(
        fastest=float(whole_R.min()),
        slowest=float(whole_R.max()),
        slowest_rank=int(whole_R.argmax()),
        reading=float(reading_R.max()),
        reading_rank=int(reading_R.argmax()),
    )


def _judged(watch: Watch, step: int, loss: float, norm: float) -> Why | None:
    return watch.judge(step, loss=loss, norm=norm)
