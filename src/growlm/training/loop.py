"""The training loop: a generator of step records. Whoever iterates it decides what to do."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from growlm.base.errors import TrainingError
from growlm.optim.adamw import set_lr
from growlm.optim.rewarm import Entries
from growlm.optim.schedule import Schedule
from growlm.runlog import Step
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

    Raises:
        TrainingError: The loss is no longer a finite number.
    """
    while state.step < steps:
        start = time.perf_counter()
        lr = peak_lr * schedule(state.step)
        set_lr(state.optimizer, lr)
        batch = batches(state.cursor)
        result = train_step(
            state.model,
            state.optimizer,
            batch,
            settings,
            entries=faster.entries if faster else (),
            factor=faster.factor(state.step) if faster else 1.0,
        )
        loss = float(result.loss)
        _check_finite(loss, step=state.step, lr=lr)
        state.step += 1
        if state.ema is not None:
            state.ema.update(state.weights(), step=state.step)
        state.cursor += batch.ids.shape[0]
        yield Step(
            step=state.step,
            tokens=state.step * batch.targets,
            loss=loss,
            lr=lr,
            gradient_norm=float(result.gradient_norm),
            seconds=time.perf_counter() - start,
        )


def _check_finite(loss: float, *, step: int, lr: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            "a finite loss",
            got=f"{loss} at step {step + 1}, learning rate {lr:.3g}",
            fix="a lower peak_lr or a longer warm-up; earlier checkpoints are kept",
        )
