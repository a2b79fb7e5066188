"""The first state of a stage: fresh weights, grown ones, or those of its last checkpoint."""

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
from growlm.pipeline.keeping import latest_checkpoint
from growlm.pipeline.optimizing import optimizer_of
from growlm.pipeline.stagejob import Training
from growlm.pipeline.stageplan import StagePlan
from growlm.runlog import rewind
from growlm.training.state import TrainState, restore_random, seed_dropout


def first_state(job: Training, device: torch.device) -> tuple[TrainState, tuple[Ancestor, ...]]:
    """Return the state to go on from, and the lineage before this stage."""
    model = GPT(job.stage.config).to(device)
    model.checkpoint_layers(job.stage.activation_checkpointing)
    grow = job.stage.origin.grow
    scaled = grow is not None and grow.optimizer_state == "exact"
    optimizer = optimizer_of(job.stage.optimizer, model, scaled=scaled)
    state = TrainState(
        model=model,
        optimizer=optimizer,
        step=0,
        cursor=job.data.first_cursor,
        ema=_ema(job.stage, model),
    )
    latest = latest_checkpoint(job.place)
    if latest is not None:
        lineage = _resume(job, state, latest)
        rewind(job.folder.log(job.stage.name), step=state.step)
        return state, lineage
    _forget_scores(job)
    rewind(job.folder.log(job.stage.name), step=-1)
    seed_dropout(job.plan.experiment.seed, job.stage.name)
    if job.stage.origin.kind == "grown":
        return state, _inherit(job, state)
    # Drawn on the CPU, so that the first weights do not depend on the device.
    fresh = GPT(job.stage.config)
    initialize(fresh, torch.Generator().manual_seed(seed_for(job.plan.experiment.seed, "init")))
    state.load(fresh.state_dict(), {})
    return state, ()


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


def _resume(job: Training, state: TrainState, path: Path) -> tuple[Ancestor, ...]:
    meta = _whole_meta(path)
    check_same_data(meta, position(job.data, 0, job.sources), path=str(path))
    state.load(checkpoint.load_weights(path), checkpoint.load_optimizer(path))
    restore_random(checkpoint.load_random(path))
    if state.ema is not None:
        state.ema.load(checkpoint.load_ema(path))
    state.step = meta.step
    state.cursor = meta.data.cursor if meta.data else state.cursor
    return meta.lineage[:-1]


def _whole_meta(path: Path) -> Meta:
    """Return what the checkpoint to go on from says of itself, once it has proved whole."""
    try:
        meta = checkpoint.read_meta(path)
        checkpoint.verify(path, meta)
    except GrowlmError as error:
        fix = f"removing {path}: the stage then goes on from before it"
        raise CheckpointError(error.expected, got=error.got, fix=fix) from error
    return meta


def _inherit(job: Training, state: TrainState) -> tuple[Ancestor, ...]:
    path = job.folder.grown(job.stage.name)
    meta = checkpoint.read_meta(path)
    checkpoint.verify(path, meta)
    state.load(checkpoint.load_weights(path), checkpoint.load_optimizer(path))
    return meta.lineage[:-1]
