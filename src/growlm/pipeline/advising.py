"""The advise step: what is known of a parent and a target in, answers out; nothing is written."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from growlm import checkpoint
from growlm.base.errors import GrowlmError, GrowthError, RecipeError
from growlm.checkpoint import Ancestor, Meta
from growlm.growth.advise import (
    BreakEven,
    LayerNorms,
    base_tokens,
    break_even,
    is_annealed,
    layer_norms,
)
from growlm.growth.answers import (
    Answer,
    Order,
    Seen,
    annealing,
    exactness,
    order,
    payment,
    profile,
    stopping,
    worth,
)
from growlm.growth.certificate import adjacency, changed_sizes
from growlm.growth.depth import EXPLICIT, Claim
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Operators, Target, growth_plan
from growlm.model.config import GPTConfig
from growlm.model.cost import non_embedding_parameters, parameters, training_flops_per_token
from growlm.model.gpt import weight_shapes
from growlm.pipeline.averaging import MOVING
from growlm.pipeline.keeping import step_checkpoints
from growlm.pipeline.models import open_model
from growlm.pipeline.origin import at_context

ANY = "any operator"
"""What the depth operator is called where no layer is added: all of them do the same."""

AVERAGE = re.compile(r"average of (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A child that somebody thinks of.

    Raises:
        RecipeError: It has no size, or a layer map that no operator reads.
    """

    target: Target
    depths: tuple[str, ...]
    """Depth operators to look at beside the usual ones."""
    operators: Operators
    """All but the depth operator; the layer map is that of ``explicit``."""
    context: int | None
    """The child's training context; the parent's when None."""
    tokens: int
    """Tokens that a scratch run of the child's shape would get."""
    parent_tokens: int | None
    """What the parent was trained on before it came here, if somebody knows."""

    def __post_init__(self) -> None:
        """Refuse a wish for nothing, and one that would not be heard."""
        if self.target == Target():
            raise RecipeError("a size of the child", got="none", fix="--layers 12")
        if self.operators.layer_map is not None and "explicit" not in self.depths:
            depths = ",".join(self.depths) or "none"
            raise RecipeError(
                "--depth explicit with --layer-map", got=depths, fix="--depth explicit"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """All that advice asks of a parent."""

    path: Path
    config: GPTConfig
    context: int
    """Its training context."""
    meta: Meta | None
    """None for a Hugging Face folder."""
    lr_share_of_peak: float | None
    plateau: Path | None
    """An earlier checkpoint of its stage whose learning rate had not run down."""
    norms: LayerNorms

    @property
    def lineage(self) -> tuple[Ancestor, ...]:
        """The stretches of its life; none for a Hugging Face folder."""
        return self.meta.lineage if self.meta else ()

    @property
    def averaged(self) -> int | None:
        """Checkpoints that it is the average of, if it is one."""
        match = AVERAGE.search(self.lineage[-1].origin) if self.lineage else None
        return int(match[1]) if match else None

    @property
    def average(self) -> str | None:
        """What average it is, in words, if it is one."""
        if self.averaged is not None:
            return f"the average of {self.averaged} checkpoints"
        moving = self.lineage and self.lineage[-1].origin.endswith(MOVING)
        return "a moving average of weights" if moving else None

    @property
    def untold_layers(self) -> int | None:
        """Layers it had while it was trained elsewhere, if it was."""
        if not self.lineage:
            return self.config.layers
        first = self.lineage[0]
        return first.layers if first.origin.startswith("imported") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a parent and all it descends from took; None where nobody knows."""

    tokens: float | None
    flops: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to the child."""

    operator: str
    claim: Claim
    departures: tuple[str, ...]
    norm_cliff: float | None
    """None where the parent's layers do not differ, so that there is nothing to compare with."""
    adjacency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """All answers, and the numbers that they were made of."""

    parent: str
    sizes: Mapping[str, tuple[int, int]]
    """Every size that changes, before and after."""
    parent_parameters: int
    child_parameters: int
    child_non_embedding_parameters: int
    context: int
    flops_per_token: float
    """Of the child, in training."""
    scratch_tokens: int
    tokens_seen: float | None
    tokens_per_parameter: float | None
    lr_share_of_peak: float | None
    averaged: int | None
    layer_norms: tuple[float, ...]
    order: str | None
    """The depth operator to take; None where no layer is added."""
    break_even: BreakEven
    base_tokens: float | None
    candidates: tuple[Candidate, ...]
    answers: tuple[Answer, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the advice for JSON."""
        return asdict(self)


def parent_of(path: Path) -> Parent:
    """Read what advice asks of a parent: a checkpoint, or a Hugging Face folder.

    Raises:
        CheckpointError: It is neither, or damaged.
        GrowthError: Its weights are not finite.
    """
    model = open_model(path)
    model.verify()
    config, meta = model.config, model.meta
    return Parent(
        path=path,
        config=config,
        context=int(meta.training.get("context", config.context)) if meta else config.context,
        meta=meta,
        lr_share_of_peak=_lr_share(meta) if meta else None,
        plateau=_plateau(path) if meta else None,
        norms=layer_norms(
            ((name, model.read(name)) for name in weight_shapes(config)), layers=config.layers
        ),
    )


def _lr_share(meta: Meta) -> float | None:
    share = meta.training.get("lr_share_of_peak")
    return None if share is None else float(share)


def _plateau(path: Path) -> Path | None:
    """Return the last checkpoint of the same stage whose rate had not run down, if one is left."""
    near = {**step_checkpoints(path.parent / "training"), **step_checkpoints(path.parent)}
    for step in sorted(near, reverse=True):
        try:
            share = _lr_share(checkpoint.read_meta(near[step]))
        except GrowlmError:  # a damaged neighbour is none
            continue
        if share is not None and not is_annealed(share):
            return near[step]
    return None


def advise(parent: Parent, wish: Wish) -> Advice:
    """Return what is known, reported or guessed of growing a parent into a child.

    Raises:
        GrowthError: No operator makes this child of this parent.
        RecipeError: The context does not fit, or tokens were given for a parent that knows its own.
    """
    plans = plans_of(parent.config, wish)
    spent = _spent(parent, wish.parent_tokens)
    child = next(iter(plans.values())).child
    context = parent.context if wish.context is None else wish.context
    flops_per_token = training_flops_per_token(at_context(child, context), context=context)
    ledgers = break_even(
        scratch_tokens=float(wish.tokens),
        parent_flops=spent.flops,
        child_flops_per_token=flops_per_token,
    )
    seen = Seen(tokens=spent.tokens, parameters=non_embedding_parameters(parent.config))
    advised = _order(parent, plans, seen)
    return Advice(
        parent=str(parent.path),
        sizes=changed_sizes(next(iter(plans.values()))),
        parent_parameters=parameters(parent.config),
        child_parameters=parameters(child),
        child_non_embedding_parameters=non_embedding_parameters(child),
        context=context,
        flops_per_token=flops_per_token,
        scratch_tokens=wish.tokens,
        tokens_seen=spent.tokens,
        tokens_per_parameter=seen.per_parameter,
        lr_share_of_peak=parent.lr_share_of_peak,
        averaged=parent.averaged,
        layer_norms=parent.norms.whole,
        order=advised.operator if advised else None,
        break_even=ledgers,
        base_tokens=base_tokens(parameters=float(parameters(child)), tokens=float(wish.tokens)),
        candidates=tuple(_candidate(parent, name, plan) for name, plan in plans.items()),
        answers=(
            worth(seen),
            annealing(
                lr_share_of_peak=parent.lr_share_of_peak,
                average=parent.average,
                plateau=None if parent.plateau is None else str(parent.plateau),
            ),
            profile(parent.norms),
            *([advised.answer] if advised else []),
            exactness(plans),
            payment(ledgers, parent_flops=spent.flops, flops_per_token=flops_per_token),
            stopping(parameters=parameters(child), tokens=float(wish.tokens), seen=spent.tokens),
        ),
    )


def plans_of(config: GPTConfig, wish: Wish, *, seed: int = 0) -> dict[str, GrowthPlan]:
    """Return the plan of each candidate, by its name.

    Raises:
        GrowthError: One cannot get there, or the child is as large as its parent.
    """
    layers = wish.target.layers or config.layers
    stack = ("stack",) if layers % config.layers == 0 else ()
    names = ("interleave", *stack, "insert", *wish.depths)
    named = {name: name for name in names} if layers != config.layers else {ANY: "insert"}
    plans = {
        label: growth_plan(config, wish.target, _operators(wish, depth), seed=seed)
        for label, depth in named.items()
    }
    if all(plan.child == config for plan in plans.values()):
        raise GrowthError(
            "a child that is larger than its parent",
            got="the same sizes",
            fix=f"--layers {2 * config.layers}",
        )
    return plans


def _operators(wish: Wish, depth: str) -> Operators:
    layer_map = wish.operators.layer_map if depth == EXPLICIT else None
    return replace(wish.operators, depth=depth, layer_map=layer_map)


def _spent(parent: Parent, told: int | None) -> Spent:
    tokens = sum(ancestor.tokens for ancestor in parent.lineage)
    flops = sum(ancestor.flops for ancestor in parent.lineage)
    if parent.untold_layers is None:
        if told is not None:
            raise RecipeError(
                "--parent-tokens for a parent that was trained elsewhere",
                got=f"one whose lineage holds {tokens:,} tokens",
                fix="leaving it out",
            )
        return Spent(tokens=float(tokens), flops=float(flops))
    if told is None:
        return Spent(tokens=None, flops=None)
    then = replace(parent.config, layers=parent.untold_layers)
    before = told * training_flops_per_token(then, context=parent.context)
    return Spent(tokens=float(told + tokens), flops=before + flops)


def _order(parent: Parent, plans: Mapping[str, GrowthPlan], seen: Seen) -> Order | None:
    if ANY in plans:
        return None
    layers = next(iter(plans.values())).depth.layers
    return order(
        tokens_per_parameter=seen.per_parameter,
        factor=layers / parent.config.layers,
        seam=_cliff(parent, plans["stack"]) if "stack" in plans else None,
        steepest=parent.norms.steepest,
    )


def _candidate(parent: Parent, name: str, plan: GrowthPlan) -> Candidate:
    return Candidate(
        operator=name,
        claim=plan.claim,
        departures=plan.departures,
        norm_cliff=_cliff(parent, plan),
        adjacency=adjacency(plan.depth.sources, plan.depth.silent),
    )


def _cliff(parent: Parent, plan: GrowthPlan) -> float | None:
    return parent.norms.cliff(plan.depth) if parent.norms.mean_step else None
