"""The average step: several checkpoints of one stage in, one checkpoint out."""

from collections.abc import Sequence
from pathlib import Path

from growlm import checkpoint
from growlm.averaging import uniform_average
from growlm.base.errors import CheckpointError
from growlm.checkpoint import Contents, Meta


def average(paths: Sequence[Path], out: Path) -> Meta:
    """Write the uniform average of several checkpoints of one stage.

    It carries the last one's lineage, without optimizer state: there is none to average to.

    Raises:
        CheckpointError: One is damaged, or they are not of one stage and shape.
        StorageError: Something is at ``out`` already, or the disk refused.
    """
    metas = [checkpoint.read_meta(path) for path in paths]
    for path, meta in zip(paths, metas, strict=True):
        checkpoint.verify(path, meta)
    _check_one_stage(metas)
    last_path, last = max(zip(paths, metas, strict=True), key=lambda pair: pair[1].step)
    weights = uniform_average([checkpoint.load_weights(path) for path in paths])
    *older, own = last.lineage
    averaged = own.model_copy(update={"origin": f"{own.origin}, average of {len(paths)}"})
    return checkpoint.save(
        out,
        Contents(
            config=last.gpt_config(),
            stage=last.stage,
            step=last.step,
            lineage=(*older, averaged),
            data=last.data,
            training={**last.training, "averaged": len(paths)},
            end_of_text=last.end_of_text,
            tokenizer=checkpoint.load_tokenizer(last_path),
            tokenizer_files=checkpoint.load_tokenizer_files(last_path, last),
            certificate=last.certificate,
            weights=weights,
            optimizer={},
            random={},
        ),
    )


def _check_one_stage(metas: Sequence[Meta]) -> None:
    stages = sorted({meta.stage for meta in metas})
    if len(stages) > 1:
        raise CheckpointError(
            "checkpoints of one stage", got=", ".join(stages), fix="leaving the others out"
        )
