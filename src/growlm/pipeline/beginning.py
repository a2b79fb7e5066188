"""The first state of a stage: fresh weights, grown ones, or those of its last checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import torch

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowlmError
from growlm.base.files import remove
from growlm.base.seeds import seed_for
from growlm.checkpoint import Ancestor, Meta
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.optim.ema import Ema
from growlm.pipeline.data import check_same_data, position
from growlm.pipeline.keeping import latest_checkpoint, step_checkpoints
from growlm.pipeline.optimizing import optimizer_of
from growlm.pipeline.recomputing import NUMBERS, layers_of
from growlm.pipeline.stagejob import Training
from growlm.pipeline.stageplan import StagePlan
from growlm.runlog import rewind
from growlm.training.spikes import Watch
from growlm.training.state import TrainState, restore_random, seed_dropout

BEGINNING = "the beginning"
"""What the first rank says where there is no checkpoint to go on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What a stage goes on from."""

    state: TrainState
    lineage: tuple[Ancestor, ...]
    """Before this stage."""
    notices: tuple[str, ...]
    """Of checkpoints that were damaged."""


def first_state(job: Training, device: torch.device) -> First:
    """Return the state to go on from, once what it comes from has proved whole.

    Raises:
        CheckpointError: The last checkpoint is damaged, and none before it may be gone on from.
        CorpusError: It read other data.
    """
    model = GPT(job.stage.config)
    mode, first = layers_of(job.stage, NUMBERS[device.type])
    model.checkpoint_layers(mode, first=first)
    # Sharded first: no device needs room for the whole model.
    job.world.shard(model, job.plan.experiment.sharding)
    model.to(device)
    grow = job.stage.origin.grow
    scaled = grow is not None and grow.optimizer_state == "exact"
    state = TrainState(
        model=model,
        optimizer=optimizer_of(job.stage.optimizer, model, scaled=scaled),
        step=0,
        cursor=job.data.first_cursor,
        ema=_ema(job.stage, model),
        watch=Watch(rule=job.stage.spikes),
    )
    notices: list[str] = []
    latest = _latest(job, notices)
    lineage = _resume(job, state, *latest) if latest is not None else _begin(job, state)
    if job.world.leads:
        if latest is None:
            _forget_scores(job)
        rewind(job.folder.log(job.stage.name), step=state.step if latest else -1)
    return First(state=state, lineage=lineage, notices=tuple(notices))


def _begin(job: Training, state: TrainState) -> tuple[Ancestor, ...]:
    """Fill in the first weights, and return the lineage before them."""
    seed_dropout(job.plan.experiment.seed, job.stage.name, rank=job.world.rank)
    if job.stage.origin.kind == "grown":
        return _inherit(job, state)
    # Drawn on the CPU, so that the first weights do not depend on the device.
    fresh = GPT(job.stage.config)
    initialize(fresh, torch.Generator().manual_seed(seed_for(job.plan.experiment.seed, "init")))
    state.load(fresh.state_dict(), {})
    return ()


def _ema(stage: StagePlan, model: GPT) -> Ema | None:
    if stage.ema is None:
        return None
    weights = dict(model.named_parameters())
    return Ema(weights, decay=stage.ema.decay, every=stage.ema.every)


def _forget_scores(job: Training) -> None:
    """Remove scores of earlier weights, which no log should show beside the new ones."""
    scores = job.folder.evaluation(job.stage.name)
    if scores.exists():
        remove(scores)


def _resume(job: Training, state: TrainState, path: Path, meta: Meta) -> tuple[Ancestor, ...]:
    check_same_data(meta, position(job.data, 0, job.sources), path=str(path))
    state.load(checkpoint.unread_weights(path), checkpoint.unread_optimizer(path))
    seed_dropout(job.plan.experiment.seed, job.stage.name, rank=job.world.rank)
    restore_random(checkpoint.load_random(path), rank=job.world.rank)
    if state.ema is not None:
        state.ema.load(checkpoint.unread_ema(path))
    state.watch.recall(meta.training)
    state.step = meta.step
    state.cursor = meta.data.cursor if meta.data else state.cursor
    return meta.lineage[:-1]


def _latest(job: Training, notices: list[str]) -> tuple[Path, Meta] | None:
    """Return the checkpoint to go on from, or None; of many ranks the first one finds it."""
    if not job.world.leads:
        name = job.world.hear()
        path = job.place / name
        return None if name == BEGINNING else (path, checkpoint.read_meta(path))
    found = _last_whole(job, notices)
    job.world.say(found[0].name if found else BEGINNING)
    return found


def _last_whole(job: Training, notices: list[str]) -> tuple[Path, Meta] | None:
    """Return the checkpoint to go on from and what it says of itself, or None to begin anew.

    Args:
        job: The stage.
        notices: What is said of each damaged one that was set aside is added to them.

    Raises:
        CheckpointError: The last one is damaged, and that may not be passed over.
    """
    while (path := latest_checkpoint(job.place)) is not None:
        try:
            meta = checkpoint.read_meta(path)
            checkpoint.verify(path, meta)
        except GrowlmError as error:
            notices.append(_passed_over(job, path, error))
        else:
            return path, meta
    return None


def _passed_over(job: Training, path: Path, error: GrowlmError) -> str:
    """Set a damaged checkpoint aside, if that is allowed, and return what is said of it."""
    steps = sorted(step_checkpoints(job.place).items())
    before = str(steps[-2][1]) if len(steps) > 1 else "its beginning"
    if not job.allow_fallback:
        fix = f"--allow-fallback: it is set aside, and the stage goes on from {before}"
        raise CheckpointError(error.expected, got=error.got, fix=fix) from error
    place = job.folder.set_aside(f"train:{job.stage.name}", path)
    return (
        f"stage '{job.stage.name}' goes on from {before}: {path.name} is damaged (expected "
        f"{error.expected}; got {error.got}) and was set aside in {place}"
    )


def _inherit(job: Training, state: TrainState) -> tuple[Ancestor, ...]:
    path = job.folder.grown(job.stage.name)
    meta = checkpoint.read_meta(path)
    checkpoint.verify(path, meta)
    state.load(checkpoint.unread_weights(path), checkpoint.unread_optimizer(path))
    return meta.lineage[:-1]
