"""The average steps: checkpoints of one stage in, or a moving average, one checkpoint out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from growlm import checkpoint
from growlm.averaging import uniform_average
from growlm.base.errors import CheckpointError, StorageError
from growlm.checkpoint import Contents, Meta

MOVING = "moving average"
"""How the lineage of a published moving average ends."""


def average(paths: Sequence[Path], out: Path) -> Meta:
    """Write the uniform average of several checkpoints of one stage.

    It carries the last one's lineage, without optimizer state: there is none to average to.

    Raises:
        CheckpointError: One is damaged, or they are not of one stage and shape.
        StorageError: Something is at ``out`` already, or the disk refused.
    """
    if out.exists():
        raise StorageError(
            f"no file or folder at {out} yet", got="one", fix="another name for the average"
        )
    _check_distinct(paths)
    metas = [checkpoint.read_meta(path) for path in paths]
    for path, meta in zip(paths, metas, strict=True):
        checkpoint.verify(path, meta)
    _check_one_stage(metas)
    last_path, last = max(zip(paths, metas, strict=True), key=lambda pair: pair[1].step)
    weights = uniform_average([checkpoint.load_weights(path) for path in paths])
    how = _How(origin=f"average of {len(paths)}", facts={"averaged": len(paths)})
    return _published(out, weights, last_path, last, how)


def moving_average(path: Path, out: Path, *, decay: float) -> Meta:
    """Write the moving average that a checkpoint keeps beside its weights as one of its own.

    It carries the checkpoint's lineage, without optimizer state, as any average does.

    Args:
        path: The checkpoint.
        out: Where to.
        decay: What the average was made with.

    Raises:
        CheckpointError: The checkpoint is damaged, or keeps none.
        StorageError: Something is at ``out`` already, or the disk refused.
    """
    meta = checkpoint.read_meta(path)
    if checkpoint.EMA not in meta.files:
        raise CheckpointError(
            "a checkpoint that keeps a moving average of its weights",
            got=f"none in {path}",
            fix="one of a stage with ema",
        )
    checkpoint.verify(path, meta)
    how = _How(origin=MOVING, facts={"ema": decay})
    return _published(out, checkpoint.load_ema(path), path, meta, how)


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How an average came about."""

    origin: str
    """In words, for the lineage."""
    facts: Mapping[str, Any]
    """For those who grow from it."""


def _published(  # noqa: PLR0917 - two callers, above
    out: Path, weights: Mapping[str, Tensor], last_path: Path, last: Meta, how: _How
) -> Meta:
    """Save averaged weights with all that the last checkpoint says."""
    *older, own = last.lineage
    averaged = own.model_copy(update={"origin": f"{own.origin}, {how.origin}"})
    return checkpoint.save(
        out,
        Contents(
            config=last.gpt_config(),
            stage=last.stage,
            step=last.step,
            lineage=(*older, averaged),
            data=last.data,
            training={**_without_latest(last), **how.facts},
            end_of_text=last.end_of_text,
            tokenizer=checkpoint.load_tokenizer(last_path),
            tokenizer_files=checkpoint.load_tokenizer_files(last_path, last),
            certificate=last.certificate,
            weights=weights,
            optimizer={},
            random={},
            exposure=checkpoint.load_exposure(last_path, last),
        ),
    )


def _without_latest(meta: Meta) -> dict[str, Any]:
    """Return the facts of a stage, but for what only going on with it needs."""
    return {key: value for key, value in meta.training.items() if key != "latest"}


def _check_distinct(paths: Sequence[Path]) -> None:
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise CheckpointError(
                "each checkpoint once", got=f"{path} twice", fix="naming it once, or another one"
            )


def _check_one_stage(metas: Sequence[Meta]) -> None:
    stages = sorted({meta.stage for meta in metas})
    if len(stages) > 1:
        raise CheckpointError(
            "checkpoints of one stage", got=", ".join(stages), fix="leaving the others out"
        )
    first, *others = metas
    if any(_history(meta) != _history(first) for meta in others):
        raise CheckpointError(
            "checkpoints of one run",
            got=f"stage '{first.stage}' of two runs, with other parents or other data",
            fix="leaving the others out",
        )


def _history(meta: Meta) -> tuple[object, ...]:
    """Return what all checkpoints of one stage of one run share."""
    data = meta.data
    return (meta.lineage[:-1], data.sampler if data else None, data.sources if data else None)
