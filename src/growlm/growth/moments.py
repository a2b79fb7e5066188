"""What becomes of the optimizer's state when a model grows."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from growlm.base.errors import GrowthError, nearest
from growlm.growth.apply import Factors, Grower, child_names
from growlm.growth.plan import GrowthPlan
from growlm.optim.moments import FIRST, SECOND, is_lean, saved_moment
from growlm.optim.muon import MOMENTUM

MODES = ("drop", "copy", "asymmetric", "exact")
"""Every treatment of the optimizer's state, by the name recipes use."""

POWERS = {FIRST: 1, SECOND: 2, MOMENTUM: 1}
"""How often a gradient's factor enters each moment, of AdamW and of Muon."""


def grow_moments(parent: Mapping[str, Tensor], plan: GrowthPlan, *, mode: str) -> dict[str, Tensor]:
    """Return the child's optimizer state, all of it in memory.

    Args:
        parent: As :func:`grown_moments` has it.
        plan: As there.
        mode: As there.

    Raises:
        GrowthError: As there.
    """
    return dict(grown_moments(parent, plan, mode=mode))


def grown_moments(
    parent: Mapping[str, Tensor], plan: GrowthPlan, *, mode: str
) -> Iterator[tuple[str, Tensor]]:
    """Return the child's optimizer state, one tensor after the other by ``KEY.NAME``.

    A child's gradient is gamma times its parent's, so its moments are gamma and gamma squared
    times its parent's; c is the factor of its value. ``drop`` forgets all state. ``copy`` gives
    every copy its scaled moments and its source's step count. ``asymmetric`` gives them to the
    first copy and starts the last from nothing, so that copies part; between the two, the moments
    are those of gradients that grow less from copy to copy. ``exact`` is ``copy`` with what lets
    the child follow its parent step for step: factors c of the learning rate, 1/c of the decay,
    gamma of eps, and in the gradient's norm the weight that makes all copies of an entry count as
    it did, 1 over the sum of their gamma squared. What has no parent, a silent layer included,
    starts from nothing in every mode, with its step at 0 where a whole tensor is new.

    Muon's momentum is a mean of gradients and grows as AdamW's first moment does: wherever
    gradients are gamma times the parent's, the child takes over the momentum that it would have
    gathered itself. Its steps do not follow: Muon makes a matrix's momentum orthogonal, which
    weighs each entry by all the others. Each of k even copies then steps by 1/sqrt(k) of what its
    source would have, not by c, and uneven ones by nothing as simple; so Muon has no ``exact``.

    Moments of fewer bits grow as the numbers that they stand for, and are float32 until the child's
    optimizer takes them up in its own bits. They have no ``exact`` either: each of two copies
    would round by itself.

    Args:
        parent: State by ``KEY.NAME``, as ``optim.adamw.state_tensors`` returns it; AdamW's for
            some parameters and Muon's for others, if so trained.
        plan: Where every coordinate of the child comes from.
        mode: One of ``MODES``.

    Raises:
        GrowthError: There is no such mode, or ``exact`` is asked of a plan that has no exact law,
            of Muon's momentum, or of moments of fewer bits.
    """
    check_mode(mode)
    if mode == "exact":
        check_lawful(plan)
        _check_entrywise(parent)
    grower = Grower(plan)
    names = list(dict.fromkeys(full_name.partition(".")[2] for full_name in parent))
    names = [] if mode == "drop" else names
    return (
        (f"{key}.{name}", tensor)
        for name in child_names(names, plan)
        for key, tensor in _state(grower, name, parent, mode)
    )


def _state(
    grower: Grower, name: str, parent: Mapping[str, Tensor], mode: str
) -> Iterator[tuple[str, Tensor]]:
    factors, source = grower.factors(name), grower.source(name)
    share = factors.seniority if mode == "asymmetric" else torch.ones_like(factors.seniority)
    gamma = factors.gradient * share * factors.kept
    steps = parent.get(f"step.{source}")
    if steps is not None:
        yield "step", steps.clone() if gamma.any() else torch.zeros_like(steps)
    for key, power in POWERS.items():
        moment = saved_moment(parent, key, source)
        if moment is not None:
            yield key, grower.select(name, moment) * (gamma**power).to(moment.dtype)
    if mode == "exact":
        counted = _counted(grower, name, factors, like=parent[f"exp_avg.{source}"])
        for key, factor in _multipliers(factors, counted).items():
            inherited = parent.get(f"{key}.{source}", torch.ones(()))
            inherited = inherited.double().expand(parent[f"exp_avg.{source}"].shape)
            yield key, _compact(factor * grower.select(name, inherited), factors.kept)


def _multipliers(factors: Factors, counted: Tensor) -> dict[str, Tensor]:
    """Return what makes AdamW, and clipping before it, follow the parent."""
    return {
        "lr_scale": factors.value,
        "decay_scale": 1.0 / factors.value,
        "eps_scale": factors.gradient,
        "clip_weight": 1.0 / counted,
    }


def _counted(grower: Grower, name: str, factors: Factors, *, like: Tensor) -> Tensor:
    """Return, for each entry, the sum of gamma squared over all copies of what it came from."""
    source = torch.zeros(like.shape, dtype=torch.float64, requires_grad=True)
    chosen = grower.select(name, source)
    # Selecting hands copies out; what it sends back to a source is the sum over them.
    squares = (factors.gradient**2 * factors.kept).expand(chosen.shape)
    (sums,) = torch.autograd.grad(chosen, source, squares)
    return grower.select(name, sums)


def _compact(factor: Tensor, kept: Tensor) -> Tensor:
    """Return a factor, 1 for what is new and learns as any other; one number where all agree."""
    scale = torch.where(kept, factor, torch.ones((), dtype=torch.float64))
    first = scale.flatten()[0]
    return (first if (scale == first).all() else scale).clone()


def _check_entrywise(state: Mapping[str, Tensor]) -> None:
    fix = "optimizer_state = asymmetric, or copy"
    if is_lean(state):
        raise GrowthError(
            "moments in float32, for optimizer_state = exact",
            got="moments of fewer bits, whose rounding no copy follows",
            fix=fix,
        )
    if any(name.startswith(f"{MOMENTUM}.") for name in state):
        raise GrowthError(
            "an optimizer that steps entry by entry, for optimizer_state = exact",
            got="Muon's momentum, of which it makes a whole matrix orthogonal",
            fix=fix,
        )


def check_mode(mode: str) -> None:
    """Refuse a treatment of the moments that there is none of.

    Raises:
        GrowthError: As said.
    """
    if mode not in MODES:
        raise GrowthError(
            f"an optimizer_state, one of {', '.join(MODES)}",
            got=f"'{mode}'",
            fix=nearest(mode, MODES),
        )


def check_lawful(plan: GrowthPlan) -> None:
    """Refuse a plan for which no exact law of the optimizer's state is known.

    Raises:
        GrowthError: The child is not exact, its residual stream is padded, key/value heads were
            split among their queries, or noise parts copies: there gradients are no multiple of the
            parent's.
    """
    reasons = list(plan.departures)
    if None in plan.resid.sources:
        reasons.append("padding of the residual stream has gradients of its own")
    if plan.kv_heads.size != plan.kv_heads.parent_size and plan.heads.is_identity:
        reasons.append("key/value heads are split among their queries")
    maps = (plan.resid, plan.heads, plan.kv_heads, plan.value, plan.mlp)
    fix = "optimizer_state = asymmetric, or copy"
    if not reasons and any(each.noise for each in maps):
        reasons.append("noise parts copies, whose gradients are then no multiple of the parent's")
        fix = f"units = uneven, or {fix}"
    if reasons:
        raise GrowthError(
            "a growth with an exact law for the optimizer's state", got=reasons[0], fix=fix
        )
