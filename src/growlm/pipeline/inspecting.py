"""What a checkpoint says of itself: shape, tokens, lineage, certificate, hashes."""

from pathlib import Path
from typing import Any

from growlm import checkpoint
from growlm.model.cost import non_embedding_parameters, parameters


def inspect(path: Path) -> dict[str, Any]:
    """Return all that a checkpoint records, once its files have proved whole.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    meta = checkpoint.read_meta(path)
    checkpoint.verify(path, meta)
    config = meta.gpt_config()
    return {
        "path": str(path),
        "stage": meta.stage,
        "step": meta.step,
        "tokens": meta.tokens,
        "flops": sum(ancestor.flops for ancestor in meta.lineage),
        "parameters": parameters(config),
        "non_embedding_parameters": non_embedding_parameters(config),
        "shape": config.as_dict(),
        "lineage": [ancestor.model_dump() for ancestor in meta.lineage],
        "certificate": meta.certificate,
        "training": dict(meta.training),
        "data": meta.data.model_dump() if meta.data else None,
        "files": dict(meta.files),
    }
