"""One call: a parent's shape, the child's sizes, and the operators in; one plan out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from growlm.base.errors import GrowthError, nearest
from growlm.growth.depth import DepthPlan, depth_plan
from growlm.growth.maps import SpaceMap, identity, noised
from growlm.growth.plan import GrowthPlan
from growlm.growth.width import (
    RESIDUAL,
    HeadWidth,
    Residual,
    head_maps,
    head_width_maps,
    known,
    mlp_map,
    rms_preserving,
    silent,
)
from growlm.model.config import GPTConfig, padded

COPIES = ("plain", "scaled", "noised", "random")
"""Every treatment of copied layers, by the name recipes use."""

NOISE_SHARE = 0.2
"""Share of noise in the weights of ``noised`` (arXiv:2405.15319)."""
SHRINK = 0.4
"""Factor of every matrix under shrink-pad-perturb (arXiv:2411.07340)."""
PERTURB_STD = 0.02
"""Standard deviation of its noise: that of fresh weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The child's sizes; what is None stays the parent's."""

    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_width: int | None = None
    width: int | None = None
    mlp: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """Which operator grows which space, by the names recipes use."""

    depth: str
    layer_map: tuple[int, ...] | None
    """The map of the depth operator ``explicit``."""
    widen: str
    """Of the residual stream; the approximate ones take all spaces along."""
    units: str
    """How MLP units are added, heads where positions let them be cloned, and head width.

    ``noised`` holds for copies in the residual stream too.
    """
    copies: str
    """How copied layers are treated: plain, scaled, noised, or drawn at random instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a growth was asked for: with its parent's shape, all that its plan follows from."""

    target: Target
    operators: Operators
    new_tokens: tuple[tuple[int, ...], ...] = ()
    """For each new token, the old ones whose mean it begins as; none stands for all of them."""
    seed: int

    def plan(self, parent: GPTConfig) -> GrowthPlan:
        """Return the plan for a parent of this shape.

        Raises:
            GrowthError: An operator cannot grow it.
        """
        return growth_plan(
            parent, self.target, self.operators, new_tokens=self.new_tokens, seed=self.seed
        )


def growth_plan(
    parent: GPTConfig,
    target: Target,
    operators: Operators,
    *,
    new_tokens: Sequence[Sequence[int]] = (),
    seed: int,
) -> GrowthPlan:
    """Return the plan of one growth in depth and width together.

    Every part is exact where its operator is, so the whole is exact where all parts are.

    Args:
        parent: The parent's shape.
        target: The child's sizes.
        operators: How to get there.
        new_tokens: For each new token, the old ones whose mean it begins as.
        seed: Of what is drawn.

    Raises:
        GrowthError: A size below the parent's, or an operator that cannot get there.
    """
    _check_sizes(parent, target)
    known(operators.widen, RESIDUAL, "a width operator")
    depth = depth_plan(
        operators.depth,
        parent_layers=parent.layers,
        layers=_size(target.layers, parent.layers),
        explicit_map=operators.layer_map,
    )
    residual = _residual(parent, target, operators)
    maps = _maps(parent, target, operators)
    perturbed = _perturbation(parent, depth.layers, operators)
    return GrowthPlan(
        parent=parent,
        child=_child(parent, depth, residual, maps, tokens=len(new_tokens)),
        depth=depth,
        resid=residual.resid,
        heads=maps.heads,
        kv_heads=maps.kv_heads,
        query=maps.inside.query,
        key=maps.inside.key,
        value=maps.inside.value,
        mlp=maps.mlp,
        new_tokens=tuple(tuple(pieces) for pieces in new_tokens),
        norm_gain=residual.norm_gain,
        logit_gain=residual.logit_gain,
        shrink=perturbed.shrink,
        noise=perturbed.noise,
        output_noise=perturbed.output_noise,
        scaled=operators.copies == "scaled",
        drawn=_drawn(depth) if operators.copies == "random" else (),
        seed=seed,
    )


def _drawn(depth: DepthPlan) -> tuple[int, ...]:
    """Return the layers that copy a layer which another one copies already, or that are silent."""
    return tuple(layer for layer in range(depth.layers) if not depth.is_first_copy(layer))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Perturbation:
    """What happens to every matrix."""

    shrink: float
    noise: float
    output_noise: float


def _perturbation(parent: GPTConfig, layers: int, operators: Operators) -> _Perturbation:
    """Return the noise; that of ``noised`` is G_stack's: variance 2/(5 D), 1/(D L^2) at outputs."""
    if operators.copies not in COPIES:
        raise GrowthError(
            f"a treatment of copies, one of {', '.join(COPIES)}",
            got=f"'{operators.copies}'",
            fix=nearest(operators.copies, COPIES),
        )
    if operators.widen == "shrink-pad-perturb":
        return _Perturbation(shrink=SHRINK, noise=PERTURB_STD, output_noise=PERTURB_STD)
    if operators.copies != "noised":
        return _Perturbation(shrink=1.0, noise=0.0, output_noise=0.0)
    return _Perturbation(
        shrink=1.0 - NOISE_SHARE,
        noise=NOISE_SHARE * math.sqrt(2 / (5 * parent.width)),
        output_noise=NOISE_SHARE * math.sqrt(1 / (parent.width * layers**2)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inner:
    """The maps inside the layers."""

    heads: SpaceMap
    kv_heads: SpaceMap
    inside: HeadWidth
    mlp: SpaceMap


APPROXIMATE: dict[str, Callable[..., SpaceMap]] = {
    "sparkling": rms_preserving,
    "shrink-pad-perturb": silent,
}
"""Width operators that grow every space inside the layers by their own kind of map too."""


def _residual(parent: GPTConfig, target: Target, operators: Operators) -> Residual:
    width = _size(target.width, parent.width)
    if width == parent.width:
        same = identity(width)
        return Residual(resid=same, norm_gain=1.0, eps_gain=1.0, logit_gain=1.0)
    found = RESIDUAL[operators.widen](parent, width)
    return replace(found, resid=noised(found.resid)) if operators.units == "noised" else found


def _maps(parent: GPTConfig, target: Target, operators: Operators) -> _Inner:
    heads = _size(target.heads, parent.heads)
    inside = head_width_maps(
        parent, _size(target.head_width, parent.head_width), units=operators.units
    )
    mlp = _size(target.mlp, parent.mlp)
    approximate = APPROXIMATE.get(operators.widen)
    if approximate is not None:
        kv_heads = _size(target.kv_heads, _kv_heads(parent, heads))
        return _Inner(
            heads=approximate(parent.heads, to=heads),
            kv_heads=approximate(parent.kv_heads, to=kv_heads),
            inside=inside,
            mlp=approximate(parent.mlp, to=mlp),
        )
    found = head_maps(
        parent,
        heads=heads,
        kv_heads=_size(target.kv_heads, _kv_heads(parent, heads)),
        units=operators.units,
    )
    return _Inner(
        heads=found.heads,
        kv_heads=found.kv_heads,
        inside=inside,
        mlp=mlp_map(operators.units, parent.mlp, to=mlp),
    )


def _kv_heads(parent: GPTConfig, heads: int) -> int:
    """Return the key/value heads that go with more query heads when nobody says."""
    return heads if parent.kv_heads == parent.heads else parent.kv_heads


def _child(
    parent: GPTConfig, depth: DepthPlan, residual: Residual, maps: _Inner, *, tokens: int
) -> GPTConfig:
    vocab_size = parent.vocab_size + tokens
    rows = max(parent.padded_vocab_size, padded(vocab_size)) if tokens else parent.padded_vocab_size
    return replace(
        parent,
        layers=depth.layers,
        width=residual.resid.size,
        heads=maps.heads.size,
        kv_heads=maps.kv_heads.size,
        head_width=maps.inside.query.size,
        mlp=maps.mlp.size,
        vocab_size=vocab_size,
        padded_vocab_size=rows,
        norm_eps=parent.norm_eps * residual.eps_gain,
    )


def _size(wanted: int | None, parent: int) -> int:
    return parent if wanted is None else wanted


def _check_sizes(parent: GPTConfig, target: Target) -> None:
    for field in fields(target):
        wanted, size = getattr(target, field.name), getattr(parent, field.name)
        if field.name != "layers" and wanted is not None and wanted < size:
            raise GrowthError(
                f"a child with at least its parent's {field.name}",
                got=f"{size} -> {wanted}",
                fix=f"{field.name} = {size} or more",
            )
