"""The grow step: a parent checkpoint in, a child checkpoint with its certificate out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import StorageError
from growlm.base.files import digest_of
from growlm.base.seeds import seed_for
from growlm.checkpoint import Ancestor, Contents, Meta
from growlm.growth.apply import child_config, grow_weights
from growlm.growth.certificate import Certificate, check_claim, check_parameters, compare
from growlm.growth.depth import DepthPlan, depth_plan
from growlm.growth.moments import grow_moments
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.gpt import GPT, with_weights
from growlm.pipeline.data import first_windows
from growlm.pipeline.folder import RunFolder, enclosing
from growlm.pipeline.origin import at_context

SEQUENCES = 4
"""Sequences of each source that parent and child are compared on."""

BatchKind = Literal["held-out", "random tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One growth to be done."""

    parent: Path
    child: Path
    operator: str
    layers: int
    optimizer_state: str
    context: int | None
    """The child's training context; the parent's when None."""
    stage: str
    """What the child is called in its lineage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Parent and child side by side, before anything is written."""

    meta: Meta
    depth: DepthPlan
    parent: GPT
    child: GPT


def grow(growth: Growth, *, run: RunFolder | None) -> Certificate:
    """Write the child and its certificate; nothing is left behind where that fails.

    Args:
        growth: What to grow, how, and where to.
        run: The run whose held-out windows parent and child are compared on. When None, the run
            that the parent lies in; random tokens when it lies in none.

    Raises:
        CheckpointError: The parent is damaged or missing.
        GrowthError: The operator cannot grow it, or its child breaks what it claims.
        StorageError: Something is at the child's path already, or the disk refused.
    """
    if growth.child.exists():
        raise StorageError(
            f"no file or folder at {growth.child} yet", got="one", fix="another name for the child"
        )
    pair = _pair(growth)
    batches, kind = _batches(pair.parent.config, run or enclosing(growth.parent))
    certificate = _certify(growth, pair, batches, kind)
    optimizer = checkpoint.load_optimizer(growth.parent)
    checkpoint.save(
        growth.child,
        Contents(
            config=_config(growth, pair.child.config),
            stage=growth.stage,
            step=0,
            lineage=_lineage(growth, pair),
            data=pair.meta.data,
            training={},
            end_of_text=pair.meta.end_of_text,
            tokenizer=checkpoint.load_tokenizer(growth.parent),
            tokenizer_files=checkpoint.load_tokenizer_files(growth.parent, pair.meta),
            certificate=certificate.model_dump(mode="json"),
            weights=dict(pair.child.named_parameters()),
            optimizer=grow_moments(optimizer, pair.depth, mode=growth.optimizer_state),
            random={},
        ),
    )
    return certificate


def _pair(growth: Growth) -> Pair:
    meta = checkpoint.read_meta(growth.parent)
    config = meta.gpt_config()
    depth = depth_plan(growth.operator, parent_layers=config.layers, layers=growth.layers)
    checkpoint.verify(growth.parent, meta)
    weights = checkpoint.load_weights(growth.parent)
    return Pair(
        meta=meta,
        depth=depth,
        parent=with_weights(config, weights),
        child=with_weights(child_config(config, depth), grow_weights(weights, depth)),
    )


def _config(growth: Growth, config: GPTConfig) -> GPTConfig:
    return config if growth.context is None else at_context(config, growth.context)


def _batches(config: GPTConfig, run: RunFolder | None) -> tuple[list[Tensor], BatchKind]:
    """Return what the two are compared on: held-out windows where there are any."""
    windows = first_windows(run, config.context, count=SEQUENCES) if run else []
    if windows:
        return windows, "held-out"
    stream = torch.Generator().manual_seed(seed_for(0, "certificate"))
    shape = (SEQUENCES, config.context + 1)
    return [torch.randint(config.vocab_size, shape, generator=stream)], "random tokens"


def _certify(growth: Growth, pair: Pair, batches: Sequence[Tensor], kind: BatchKind) -> Certificate:
    measured = compare(pair.parent, pair.child, batches)
    check_claim(pair.depth, measured, operator=growth.operator)
    return Certificate(
        operator=growth.operator,
        layers_from=pair.parent.config.layers,
        layers_to=pair.child.config.layers,
        optimizer_state=growth.optimizer_state,
        sources=pair.depth.sources,
        silent=pair.depth.silent,
        claim=pair.depth.claim,
        dtype=str(next(pair.child.parameters()).dtype).removeprefix("torch."),
        batches=kind,
        tokens=measured.tokens,
        max_logit_difference=measured.max_logit_difference,
        loss_before=measured.loss_before,
        loss_after=measured.loss_after,
        parent_parameters=parameters(pair.parent.config),
        child_parameters=check_parameters(pair.child, dict(pair.child.named_parameters())),
        expected_parameters=parameters(pair.child.config),
        plan_sha256=digest_of(asdict(pair.depth)),
        parent_sha256=pair.meta.weights_sha256,
    )


def _lineage(growth: Growth, pair: Pair) -> tuple[Ancestor, ...]:
    *older, last = pair.meta.lineage
    ended = last.model_copy(update={"weights_sha256": pair.meta.weights_sha256})
    own = Ancestor(
        stage=growth.stage,
        origin=f"grown by {growth.operator}",
        layers=growth.layers,
        tokens=0,
        flops=0.0,
        weights_sha256="",
    )
    return (*older, ended, own)
