"""The shrink step: from a child that was grown exactly back to its parent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import GrowthError
from growlm.checkpoint import Ancestor, Contents, Meta
from growlm.growth.apply import grow_weights
from growlm.growth.inverse import shrink_weights
from growlm.growth.plan import GrowthPlan
from growlm.model.cost import parameters
from growlm.pipeline.certifying import stored_certificate
from growlm.pipeline.models import open_model
from growlm.pipeline.origin import at_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """What came of it."""

    child_parameters: int
    parent_parameters: int
    child_tokens: int
    """Tokens that the child was trained for after it was grown."""
    largest_change: float
    """Largest difference between the child's weights and those of its parent grown again."""


def shrink(child: Path, parent: Path) -> Shrunk:
    """Write the parent that a child was grown from.

    Args:
        child: A checkpoint of ours with the certificate of an exact growth.
        parent: Where to.

    Raises:
        CheckpointError: There is no checkpoint, or it is damaged.
        GrowthError: It was not grown, or not exactly: there is no way back.
        StorageError: Something is at ``parent`` already, or the disk refused.
    """
    model = open_model(child)
    if model.meta is None:
        raise GrowthError(
            "a checkpoint of ours that was grown, with its certificate inside",
            got=f"{child}, a Hugging Face folder",
            fix="the parent's own folder",
        )
    meta = model.meta
    certificate = stored_certificate(model)
    if certificate is None:
        raise GrowthError(
            "a checkpoint that was grown, with its certificate",
            got=f"{child}, which has none",
            fix="the parent's own checkpoint",
        )
    model.verify()
    plan, grown = certificate.plan, checkpoint.load_weights(child)
    weights = shrink_weights(grown, plan)
    checkpoint.save(
        parent,
        Contents(
            config=at_context(plan.parent, meta.gpt_config().context),
            stage=parent.name,
            step=0,
            lineage=_lineage(meta, plan, parent.name),
            data=meta.data,
            training={},
            end_of_text=meta.end_of_text,
            tokenizer=checkpoint.load_tokenizer(child),
            tokenizer_files=checkpoint.load_tokenizer_files(child, meta),
            certificate=None,
            weights=weights,
            optimizer={},
            random={},
            exposure=checkpoint.load_exposure(child, meta),
        ),
    )
    return Shrunk(
        child_parameters=parameters(plan.child),
        parent_parameters=parameters(plan.parent),
        child_tokens=meta.lineage[-1].tokens,
        largest_change=_largest_change(grown, grow_weights(weights, plan)),
    )


def _lineage(meta: Meta, plan: GrowthPlan, name: str) -> tuple[Ancestor, ...]:
    *older, last = meta.lineage
    ended = last.model_copy(update={"weights_sha256": meta.weights_sha256})
    own = Ancestor(
        stage=name,
        origin=f"shrunk from {last.stage}",
        layers=plan.parent.layers,
        tokens=0,
        flops=0.0,
        weights_sha256="",
    )
    return (*older, ended, own)


def _largest_change(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    return max(float((before[name] - after[name]).abs().max()) for name in before)
