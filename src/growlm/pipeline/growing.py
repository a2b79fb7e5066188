"""The grow step: a parent checkpoint in, a child checkpoint with its certificate out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import CorpusError, StorageError
from growlm.base.files import digest_of
from growlm.base.seeds import seed_for
from growlm.checkpoint import Ancestor, Contents, Meta
from growlm.growth.apply import grow_weights
from growlm.growth.certificate import (
    Certificate,
    adjacency,
    changed_sizes,
    check_claim,
    check_parameters,
    layer_norms,
    measure,
    norm_cliff,
)
from growlm.growth.moments import check_lawful, check_mode, grow_moments
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Operators, Target, growth_plan
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.gpt import GPT, with_weights
from growlm.pipeline.data import first_windows, held_out_tokenizers
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
    target: Target
    operators: Operators
    optimizer_state: str
    seed: int
    """Of what the growth draws."""
    context: int | None
    """The child's training context; the parent's when None."""
    stage: str
    """What the child is called in its lineage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Parent and child side by side, before anything is written."""

    meta: Meta
    plan: GrowthPlan
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
        CorpusError: The run's texts are not in the parent's tokens.
        GrowthError: The operator cannot grow it, or its child breaks what it claims.
        StorageError: Something is at the child's path already, or the disk refused.
    """
    if growth.child.exists():
        raise StorageError(
            f"no file or folder at {growth.child} yet", got="one", fix="another name for the child"
        )
    check_mode(growth.optimizer_state)
    pair = _pair(growth)
    if run is not None:
        _check_tokenizer(growth.parent, pair, run)
    batches, kind = _batches(pair, run or enclosing(growth.parent))
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
            optimizer=grow_moments(optimizer, pair.plan, mode=growth.optimizer_state),
            random={},
        ),
    )
    return certificate


def _pair(growth: Growth) -> Pair:
    meta = checkpoint.read_meta(growth.parent)
    config = meta.gpt_config()
    plan = growth_plan(config, growth.target, growth.operators, seed=growth.seed)
    if growth.optimizer_state == "exact":
        check_lawful(plan)
    checkpoint.verify(growth.parent, meta)
    weights = checkpoint.load_weights(growth.parent)
    return Pair(
        meta=meta,
        plan=plan,
        parent=with_weights(config, weights),
        child=with_weights(plan.child, grow_weights(weights, plan)),
    )


def _config(growth: Growth, config: GPTConfig) -> GPTConfig:
    return config if growth.context is None else at_context(config, growth.context)


def _check_tokenizer(parent: Path, pair: Pair, run: RunFolder) -> None:
    if pair.meta.files[checkpoint.TOKENIZER] not in held_out_tokenizers(run):
        raise CorpusError(
            f"run {run.path} to hold texts in the tokens of {parent}",
            got="texts in those of another tokenizer, or none",
            fix="leaving --run out",
        )


def _batches(pair: Pair, run: RunFolder | None) -> tuple[list[list[Tensor]], BatchKind]:
    """Return what the two are compared on, at the parent's context and at half of it."""
    config, tokenizer = pair.parent.config, pair.meta.files[checkpoint.TOKENIZER]
    contexts = dict.fromkeys((config.context, max(config.context // 2, 1)))
    if run is not None:
        windows = [
            first_windows(run, context, count=SEQUENCES, tokenizer_sha256=tokenizer)
            for context in contexts
        ]
        if all(windows):
            return windows, "held-out"
    stream = torch.Generator().manual_seed(seed_for(0, "certificate"))
    shapes = [(SEQUENCES, context + 1) for context in contexts]
    drawn = [[torch.randint(config.vocab_size, shape, generator=stream)] for shape in shapes]
    return drawn, "random tokens"


def _certify(
    growth: Growth, pair: Pair, batches: Sequence[Sequence[Tensor]], kind: BatchKind
) -> Certificate:
    plan = pair.plan
    measurements = measure(plan, pair.parent, pair.child, batches)
    for measured in measurements:
        check_claim(plan, measured)
    return Certificate(
        operator=growth.operators.depth,
        sizes=changed_sizes(plan),
        optimizer_state=growth.optimizer_state,
        sources=plan.depth.sources,
        silent=plan.depth.silent,
        claim=plan.claim,
        departures=plan.departures,
        batches=kind,
        measurements=measurements,
        norm_cliff=norm_cliff(layer_norms(pair.parent), layer_norms(pair.child)),
        adjacency=adjacency(plan.depth.sources, plan.depth.silent),
        parent_parameters=parameters(pair.parent.config),
        child_parameters=check_parameters(pair.child, dict(pair.child.named_parameters())),
        expected_parameters=parameters(pair.child.config),
        plan_sha256=digest_of(plan.as_dict()),
        parent_sha256=pair.meta.weights_sha256,
    )


def changes(found: Certificate) -> str:
    """Return what a growth did, as ``3 -> 6 layers by insert, 96 -> 128 width (exact)``."""
    sizes = ", ".join(
        f"{before} -> {after} {size}" + (f" by {found.operator}" if size == "layers" else "")
        for size, (before, after) in found.sizes.items()
    )
    return f"{sizes or 'nothing'} ({found.claim})"


def comparison(found: Certificate) -> str:
    """Return what was measured of a growth, in fp32 at the longest context."""
    measured, kind = found.main, found.batches.removesuffix(" tokens")
    return (
        f"on {measured.tokens:,} {kind} tokens: largest logit difference "
        f"{measured.max_logit_difference:.3g}, loss {measured.loss_before:.4f} -> "
        f"{measured.loss_after:.4f}"
    )


def _lineage(growth: Growth, pair: Pair) -> tuple[Ancestor, ...]:
    *older, last = pair.meta.lineage
    ended = last.model_copy(update={"weights_sha256": pair.meta.weights_sha256})
    own = Ancestor(
        stage=growth.stage,
        origin=f"grown by {growth.operators.depth}",
        layers=pair.plan.depth.layers,
        tokens=0,
        flops=0.0,
        weights_sha256="",
    )
    return (*older, ended, own)
