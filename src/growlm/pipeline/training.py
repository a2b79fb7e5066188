"""The train step: one stage from its first weights, or from where it stopped, to its end."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import Stopped
from growlm.base.files import sha256_bytes
from growlm.checkpoint import Ancestor
from growlm.corpus.mixture import Batcher
from growlm.growth.apply import Factors, Grower
from growlm.growth.plan import GrowthPlan
from growlm.growth.symmetry import depth_distance, unit_distances
from growlm.model.gpt import GPT
from growlm.optim.schedule import Resumed
from growlm.optim.sharded import sharded_like
from growlm.pipeline.beginning import First, first_state
from growlm.pipeline.data import batch_at, batcher, check_shards, held_out_windows
from growlm.pipeline.events import Event, Notice, Progress
from growlm.pipeline.exposing import segments_of
from growlm.pipeline.keeping import latest_checkpoint, prune
from growlm.pipeline.mirroring import Mirrors, mirrors_of
from growlm.pipeline.publishing import Publisher
from growlm.pipeline.resuming import resumed_at_first, settled
from growlm.pipeline.rollback import rolled_back
from growlm.pipeline.stagejob import Training
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.timing import Clock
from growlm.runlog import (
    AnyRecord,
    Apart,
    Copies,
    Notice as LoggedNotice,
    Start,
    Step,
    ValidationLoss,
    Writer,
    read,
)
from growlm.training.ahead import ahead, collected_once
from growlm.training.device import (
    choose_device,
    compile_layers,
    describe,
    settled_kernel,
    why_not_compiled,
)
from growlm.training.loop import Faster, train
from growlm.training.memory import forget_peaks, memory_record
from growlm.training.pulse import watched
from growlm.training.state import TrainState
from growlm.training.step import Batch, StepSettings
from growlm.training.validation import mixed_loss, validation_losses


def train_stage(job: Training) -> Iterator[Event]:
    """Train a stage to its end; what an earlier call left is gone on from.

    Raises:
        Stopped: Somebody asked for it, or the time is up; a checkpoint was saved first.
        TrainingError: Loss, gradients or weights are no longer finite.
        CheckpointError: The checkpoint to go on from is damaged.
        CorpusError: Shards are damaged, or another tokenizer wrote them.
    """
    if job.world.leads:
        if job.folder.final(job.stage.name).exists():
            prune(job, keep=0)  # a kill may have come in between
            return
        check_shards(job.folder, job.stage.weights, tokenizer=sha256_bytes(job.tokenizer.encode()))
        job = replace(job, segments=segments_of(job.plan, job.stage, job.folder, job.data))
        job.world.say(job.stage.name)
    device = choose_device()
    first = first_state(job, device)
    state = first.state
    attention, uncompiled = _ready(job, state.model, device)
    if uncompiled and job.plan.experiment.compile:
        text = f"layers are not compiled: {uncompiled}; training is slower, not different"
        yield Notice(text=text)
    log = Writer(job.folder.log(job.stage.name) if job.world.leads else Path(os.devnull))
    forget_peaks(device)
    try:
        log.write(_start(state, job, device, compiled=not uncompiled, attention=attention))
        yield from _notices(job, first, log)
        with job.stop.deferring(), collected_once():
            yield from _run(job, state, log, first.lineage)
    finally:
        log.close()
    if job.stop.signal_number is not None:
        raise _stopped(job, step=state.step)


def _ready(job: Training, model: GPT, device: torch.device) -> tuple[str, str | None]:
    """Settle what computes a model; return what mixes its values, and why it is not compiled."""
    experiment = job.plan.experiment
    kernel, why = settled_kernel(
        experiment.attention, job.stage.config, device, documents=job.stage.document_masking
    )
    model.places.kernel, model.residual = kernel, experiment.residual
    uncompiled = why_not_compiled(device) if experiment.compile else "the recipe says so"
    if uncompiled is None:
        compile_layers(model)
    return f"{kernel}: {why}", uncompiled


def _run(
    job: Training, state: TrainState, log: Writer, lineage: tuple[Ancestor, ...]
) -> Iterator[Event]:
    stage, device = job.stage, next(state.model.parameters()).device
    windows = held_out_windows(
        job.folder, stage, tokens=job.plan.experiment.validation.tokens, device=device
    )
    validate = _validator(job, state, windows)
    if _to_be_validated(job, state):
        _write(log, validate())
    job = yield from _settled(job, state, log)
    mirrors = _mirrors(job, step=state.step)
    saves = Publisher(job=job, log=log, lineage=lineage)
    sampler = batcher(job.data, job.folder)
    try:
        with watched(
            job.world,
            patience_seconds=job.stop.patience_seconds,
            reading=lambda: sampler.reading,
            leave=job.stop.leave,
        ):
            steps = _steps(job, state, sampler, device)
            yield from _each_step(
                job, state, log, steps=steps, saves=saves, mirrors=mirrors, validate=validate
            )
    finally:
        mirrors.close()


def _mirrors(job: Training, *, step: int) -> Mirrors:
    if not job.world.leads:
        return Mirrors(Path(os.devnull), (), step=step)
    experiment, stage = job.plan.experiment, job.stage.name
    return mirrors_of(job.folder, experiment.log, project=experiment.name, stage=stage, step=step)


def _each_step(
    job: Training,
    state: TrainState,
    log: Writer,
    *,
    steps: Iterator[Step],
    saves: Publisher,
    mirrors: Mirrors,
    validate: Callable[[], Iterator[AnyRecord]],
) -> Iterator[Event]:
    stage = job.stage
    clock = Clock(grace_seconds=job.stop.grace_seconds)
    clock.recall(read(job.folder.log(stage.name)))
    yield from clock.told_once()
    for record in steps:
        log.write(record)
        clock.took(record.seconds)
        saves.look()
        yield from rolled_back(job, state, log, settle=saves.settle)
        last = record.step == stage.pace.steps
        stopped = job.world.largest(job.stop.signal_number or 0)
        if stage.pace.validates(record.step) and (last or not stopped):
            _write(log, validate())
            yield from (Notice(text=text) for text in mirrors.catch_up())
        due = job.world.largest(int(job.stop.due(clock.ahead)))
        if due or last or record.step in stage.pace.checkpoint_steps:
            with job.world.pulse.resting():
                saves.publish(state, at_once=bool(due))
        clock.save = saves.seconds or clock.save
        if due and not last:
            raise _stopped(job, step=record.step)
        yield from clock.told_once()
        yield _progress(stage, record, clock.step)


def _to_be_validated(job: Training, state: TrainState) -> bool:
    """Return whether a stage begins, or was stopped where it had no time to be validated."""
    if state.step == 0:
        return True
    records = read(job.folder.log(job.stage.name))
    done = any(isinstance(each, ValidationLoss) and each.step == state.step for each in records)
    return job.stage.pace.validates(state.step) and not done


def _settled(job: Training, state: TrainState, log: Writer) -> Generator[Event, None, Training]:
    """Return the stage with the step at which it resumes its parent's schedule, found only once.

    The first rank finds it, and tells the others.
    """
    if not isinstance(job.stage.schedule, Resumed):
        return job
    if not job.world.leads:
        return replace(job, stage=settled(job.stage, int(job.world.hear())))
    stage = yield from _resumed(job, state, log)
    if isinstance(stage.schedule, Resumed):
        job.world.say(str(stage.schedule.start))
    return replace(job, stage=stage)


def _resumed(job: Training, state: TrainState, log: Writer) -> Generator[Event, None, StagePlan]:
    stage, latest = job.stage, latest_checkpoint(job.place)
    if latest is not None:
        return settled(stage, checkpoint.read_meta(latest).training["schedule_start"])
    parent = stage.origin.parent_path or job.folder.final(str(stage.origin.parent))
    stage, text = resumed_at_first(stage, parent, list(read(job.folder.log(stage.name))))
    log.write(LoggedNotice(step=state.step, tokens=0, text=text))
    yield Notice(text=text)
    return stage


def _stopped(job: Training, *, step: int) -> Stopped:
    return Stopped(
        job.stop.signal_number,
        saved=f"stage '{job.stage.name}' was saved at step {step} of {job.stage.pace.steps}",
        fix="the same command again: it goes on from there",
    )


def _steps(
    job: Training, state: TrainState, sampler: Batcher, device: torch.device
) -> Iterator[Step]:
    stage = job.stage

    def read(cursor: int) -> Batch:
        return batch_at(sampler, cursor, stage.sequences, masked=stage.document_masking)

    with ahead(read, device, last=job.data.last_cursor) as batches:
        yield from train(
            state,
            batches,
            stage.schedule,
            steps=stage.pace.steps,
            peak_lr=stage.optimizer.peak_lr,
            settings=StepSettings(
                micro_sequences=stage.micro_sequences,
                clip_norm=stage.optimizer.clip_norm,
                clip_value=stage.optimizer.clip_value,
                z_loss=stage.optimizer.z_loss,
            ),
            faster=_faster(stage, state.model),
            world=job.world,
        )


def _faster(stage: StagePlan, model: GPT) -> Faster | None:
    """Return the entries that growth added, which follow from the plan alone, and their rate."""
    if stage.rewarm is None or stage.origin.plan is None:
        return None
    return Faster(entries=new_entries(model, stage.origin.plan), factor=stage.rewarm)


def new_entries(model: GPT, plan: GrowthPlan) -> list[tuple[Tensor, Tensor]]:
    """Return each parameter that growth added to, with where it did: neither kept nor a first copy.

    Args:
        model: The child.
        plan: What it was grown by.
    """
    grower = Grower(plan)
    found = [
        (parameter, _is_new(grower.factors(name)).to(parameter.device))
        for name, parameter in model.named_parameters()
    ]
    return [(parameter, sharded_like(new, parameter)) for parameter, new in found if new.any()]


def _is_new(factors: Factors) -> Tensor:
    return ~factors.kept | (factors.seniority < 1.0)


def _write(log: Writer, records: Iterable[AnyRecord]) -> None:
    for record in records:
        log.write(record)


def _validator(
    job: Training, state: TrainState, windows: dict[str, Batch]
) -> Callable[[], Iterator[AnyRecord]]:
    plan = job.stage.origin.plan
    device = next(state.model.parameters()).device

    def validate() -> Iterator[AnyRecord]:
        tokens = state.step * job.stage.batch_tokens
        losses = validation_losses(
            state.model,
            windows,
            micro_sequences=job.stage.micro_sequences,
            world=job.world,
        )
        loss = mixed_loss(losses, job.stage.weights)
        yield ValidationLoss(step=state.step, tokens=tokens, loss=loss, losses=losses)
        yield memory_record(device, step=state.step, tokens=tokens)
        if plan:
            weights = state.weights()  # of many ranks, all send their parts
            if job.world.leads:
                yield from _copies(state, weights, plan, tokens=tokens)

    return validate


def _copies(
    state: TrainState, weights: dict[str, Tensor], plan: GrowthPlan, *, tokens: int
) -> Iterator[Copies]:
    """Yield how far copies have moved apart, if growth made any."""
    distance, units = depth_distance(weights, plan.depth), unit_distances(weights, plan)
    spaces = {space: Apart(**asdict(found)) for space, found in units.items()}
    if distance is not None or spaces:
        yield Copies(step=state.step, tokens=tokens, distance=distance, spaces=spaces)


def _start(
    state: TrainState, job: Training, device: torch.device, *, compiled: bool, attention: str
) -> Start:
    return Start(
        step=state.step,
        tokens=state.step * job.stage.batch_tokens,
        device=describe(device) + job.world.description,
        compiled=compiled,
        attention=attention,
        deterministic=torch.are_deterministic_algorithms_enabled(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _notices(job: Training, first: First, log: Writer) -> Iterator[Event]:
    step, texts = first.state.step, [*first.notices]
    if not (job.stage.origin.parent_path is None or job.data.inherits or step):
        texts.append(
            f"stage '{job.stage.name}': its parent did not read these sources in this order (seed, "
            "slot, block), so the sampler starts at 0 and may repeat what the parent has already "
            "seen"
        )
    for text in texts:
        log.write(LoggedNotice(step=step, tokens=step * job.stage.batch_tokens, text=text))
        yield Notice(text=text)


def _progress(stage: StagePlan, record: Step, seconds: float) -> Progress:
    return Progress(
        step=f"train:{stage.name}",
        done=record.step,
        total=stage.pace.steps,
        unit="steps",
        loss=record.loss,
        tokens_per_second=stage.batch_tokens / seconds,
        seconds_left=(stage.pace.steps - record.step) * seconds,
    )
