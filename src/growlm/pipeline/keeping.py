"""Checkpoints of a stage: found, published with all they record, and removed when others came."""

import re
import time
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import TrainingError
from growlm.base.files import remove, sha256_bytes
from growlm.checkpoint import Ancestor, Contents
from growlm.corpus import ledger
from growlm.corpus.ledger import Ledger
from growlm.pipeline.data import position
from growlm.pipeline.resuming import course_facts
from growlm.pipeline.stagejob import Training
from growlm.pipeline.stageplan import StagePlan
from growlm.runlog import Saved, Writer
from growlm.training.state import TrainState, random_tensors

STEP_FOLDER = re.compile(r"^step-(\d+)$")


def step_checkpoints(place: Path) -> dict[int, Path]:
    """Return the checkpoints of a stage by their step; half-written ones have other names."""
    if not place.is_dir():
        return {}
    matches = ((STEP_FOLDER.match(path.name), path) for path in place.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def step_path(place: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return place / f"step-{step:08d}"


def latest_checkpoint(place: Path) -> Path | None:
    """Return the last whole checkpoint of a stage, or None."""
    steps = step_checkpoints(place)
    return steps[max(steps)] if steps else None


def publish(job: Training, state: TrainState, log: Writer, lineage: tuple[Ancestor, ...]) -> float:
    """Save a checkpoint, note it, remove those no longer needed; return the seconds it took.

    Of many ranks the first one writes it, whole; all send what lies in parts on them.

    Raises:
        TrainingError: The weights are not finite; nothing was saved or removed.
    """
    started = time.perf_counter()
    tensors = Tensors(
        state.weights(), state.optimizer_tensors(), random_tensors(job.world), state.average()
    )
    if not job.world.leads:
        return time.perf_counter() - started
    for name, weight in (tensors.weights or {}).items():
        if not_finite(weight):
            raise damaged(job, state, name)
    log.sync()
    last = state.step == job.stage.pace.steps
    path = job.folder.final(job.stage.name) if last else step_path(job.place, state.step)
    checkpoint.save(path, contents_of(job, state, lineage, tensors))
    seconds = time.perf_counter() - started
    tokens = state.step * job.stage.batch_tokens
    log.write(Saved(step=state.step, tokens=tokens, path=path.name, seconds=seconds))
    prune(job, keep=0 if last else job.stage.pace.keep)
    return seconds


def not_finite(weight: Tensor) -> bool:
    """Return whether a weight has entries that are not finite."""
    return not bool(weight.isfinite().all())


def damaged(job: Training, state: TrainState, name: str) -> TrainingError:
    """Return what ends training when a weight is not finite."""
    return TrainingError(
        f"finite weights at step {state.step} of stage '{job.stage.name}'",
        got=f"{name} with some that are not",
        fix="a lower peak_lr or a longer warm-up; earlier checkpoints are kept",
    )


def prune(job: Training, *, keep: int) -> None:
    """Remove checkpoints to resume from, but for the newest and those that are to stay."""
    steps = step_checkpoints(job.place)
    spare = sorted(step for step in steps if step not in job.stage.pace.kept_steps)
    needed = job.stage.steps_to_go_back_to(max(steps, default=0)) if keep else ()
    for step in spare[: max(len(spare) - keep, 0)]:
        if step not in needed:
            remove(steps[step])


class Tensors(NamedTuple):
    """All tensors of a checkpoint, whole."""

    weights: dict[str, Tensor] | None
    """None where many ranks write weights, optimizer and average in parts."""
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    ema: dict[str, Tensor]


def contents_of(
    job: Training, state: TrainState, lineage: tuple[Ancestor, ...], tensors: Tensors
) -> Contents:
    """Return what goes into a checkpoint of where a stage is."""
    stage = job.stage
    tokens = state.step * stage.batch_tokens
    return Contents(
        config=stage.config,
        stage=stage.name,
        step=state.step,
        lineage=(*lineage, own_stretch(stage, tokens=tokens)),
        data=position(job.data, state.cursor, job.sources),
        training={**schedule_facts(stage, state.step), **state.watch.facts()},
        end_of_text=job.plan.experiment.tokenizer.end_of_text,
        tokenizer=job.tokenizer,
        tokenizer_files=_tokenizer_files(job),
        certificate=_certificate(job),
        weights=tensors.weights,
        optimizer=tensors.optimizer,
        random=tensors.random,
        ema=tensors.ema,
        exposure=_exposure(job, state).model_dump(mode="json"),
    )


def _exposure(job: Training, state: TrainState) -> Ledger:
    """Return the ledger so far: what a step that was not taken read shaped no weights."""
    return ledger.at_step(job.segments, state.step, untrained=state.watch.untrained)


def own_stretch(stage: StagePlan, *, tokens: int) -> Ancestor:
    """Return a stage's own entry in the lineage."""
    operator = stage.origin.grow.depth if stage.origin.grow else None
    return Ancestor(
        stage=stage.name,
        origin=f"grown by {operator}" if operator else "scratch",
        layers=stage.config.layers,
        tokens=tokens,
        flops=tokens * stage.flops_per_token,
        weights_sha256="",
    )


def schedule_facts(stage: StagePlan, step: int) -> dict[str, Any]:
    """Return where the schedule stands: a child's advisers ask whether its parent was annealed."""
    share = stage.schedule(max(step - 1, 0))
    return {
        "steps": stage.pace.steps,
        "lr_share_of_peak": share,
        "context": stage.context,
        "document_masking": stage.document_masking,
        **course_facts(stage),
    }


def _certificate(job: Training) -> dict[str, Any] | None:
    if job.stage.origin.kind != "grown":
        return None
    certificate = checkpoint.read_meta(job.folder.grown(job.stage.name)).certificate
    return dict(certificate) if certificate else None


def _tokenizer_files(job: Training) -> dict[str, bytes]:
    """Return the files that came beside the parent's tokenizer, if it is the child's too."""
    if job.stage.origin.kind != "grown":
        return {}
    grown = job.folder.grown(job.stage.name)
    meta = checkpoint.read_meta(grown)
    if meta.files[checkpoint.TOKENIZER] != sha256_bytes(job.tokenizer.encode()):
        return {}
    return checkpoint.load_tokenizer_files(grown, meta)
