"""Applying a plan: the parent's weights in, the child's out, one tensor at a time if need be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from growlm.growth.maps import NOISE, SpaceMap
from growlm.growth.noise import Draw, groups, part, rms, stretches
from growlm.growth.plan import GrowthPlan
from growlm.model.init import STD, constant_of, std_of
from growlm.model.spaces import axes, is_layer_output, split_name
from growlm.model.weights import EVERY, VOCABULARY, Read, blocks, held, pieces

FRESH = 6
"""Of the streams of a tensor's name, the one that draws all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What growing does to one tensor; every field broadcasts to the child's shape.

    Where ``kept``, the child's entry is ``value`` times its parent's, and its gradient
    ``gradient`` times its parent's. Elsewhere it has no parent.
    """

    value: Tensor
    gradient: Tensor
    kept: Tensor
    seniority: Tensor
    """1 for the first copy along every axis, 0 for the last along any, and steps between."""


class Grower:
    """A plan, ready to be applied to any number of tensors, in any order."""

    def __init__(self, plan: GrowthPlan) -> None:
        self.plan = plan
        self._axes: dict[str, _Axis] = {}
        self._means: dict[str, Tensor] = {}

    def source(self, name: str) -> str:
        """Return the parent's name of what a tensor of the child comes from."""
        layer, inner = split_name(name)
        return name if layer is None else f"layers.{self.plan.depth.sources[layer]}.{inner}"

    def reader(self, parent: Read) -> Read:
        """Return a reader of the child, which grows what it is asked for and keeps nothing.

        What it reads has the parent's number format, and where nothing changes its storage too.

        Args:
            parent: Reads the parent.
        """

        def read(name: str, rows: slice = EVERY) -> Tensor:
            if name not in VOCABULARY:
                return self._tensor(name, parent)
            if rows == EVERY:
                return torch.cat(list(pieces(read, name, self.plan.child)))
            return self._tensor(name, parent, rows)

        return read

    def _tensor(self, name: str, parent: Read, rows: slice = EVERY) -> Tensor:
        """Return one tensor of the child, or a block of its rows.

        A silent layer's outputs, biases included, are zero. Its other weights are not: two zeros
        in a row would never learn.
        """
        found = self._parent(name, parent, rows)
        if is_silenced(self.plan, name):
            return torch.zeros(self.shape(name, found), dtype=found.dtype)
        if split_name(name)[0] in self.plan.drawn:
            return self._fresh(name, found)
        grown = found
        for dim, (axis, role) in enumerate(self._touched(name)):
            if role != "indexes":
                grown = _grown(grown, axis, role, Draw(self.plan.seed, name, dim, rows.start))
        return self._parted(name, self._scaled(name, grown, rows))

    def _fresh(self, name: str, parent: Tensor) -> Tensor:
        """Return a tensor as ``model.init`` would begin it, whatever the parent has there."""
        shape = self.shape(name, parent)
        if len(shape) < 2:
            return torch.full(shape, constant_of(name), dtype=parent.dtype)
        std = std_of(name, layers=self.plan.child.layers)
        return Draw(self.plan.seed, name, FRESH, None).normal(shape, std=std, like=parent)

    def _parent(self, name: str, parent: Read, rows: slice) -> Tensor:
        """Return what a tensor, or a block of its rows, comes from, before it is widened."""
        plan = self.plan
        if rows == EVERY or not plan.new_tokens:
            return parent(self.source(name), rows)
        old = plan.parent.vocab_size
        known = parent(name, slice(min(rows.start, old), min(rows.stop, old)))
        new = [
            self._new_row(name, parent, plan.new_tokens[row - old])
            for row in range(max(rows.start, old), min(rows.stop, old + len(plan.new_tokens)))
        ]
        found = torch.cat([known, *new])
        missing = rows.stop - rows.start - found.shape[0]
        return torch.cat([found, found.new_zeros(missing, found.shape[1])])

    def _new_row(self, name: str, parent: Read, tokens: tuple[int, ...]) -> Tensor:
        """Return the mean of some tokens' rows, of all of them when none is named."""
        if tokens:
            return torch.cat([parent(name, slice(at, at + 1)) for at in tokens]).mean(
                0, keepdim=True
            )
        if name not in self._means:
            old = self.plan.parent.vocab_size
            total = sum(parent(name, rows).double().sum(0, keepdim=True) for rows in blocks(old))
            self._means[name] = torch.as_tensor(total) / old
        return self._means[name].to(parent(name, slice(0, 1)).dtype)

    def shape(self, name: str, parent: Tensor) -> tuple[int, ...]:
        """Return the shape of a tensor of the child."""
        sizes = [axis.map.size for axis, _ in self._touched(name)]
        return tuple(sizes) if sizes else tuple(parent.shape)

    def select(self, name: str, parent: Tensor) -> Tensor:
        """Return the parent's entries in the child's places, unscaled; zero where there is none."""
        for dim, (axis, _) in enumerate(self._touched(name)):
            if not axis.plain:
                kept = axis.kept.view(-1, *([1] * (parent.dim() - 1 - dim)))
                parent = parent.index_select(dim, axis.index) * kept
        return parent.clone()

    def factors(self, name: str) -> Factors:
        """Return what growing does to a tensor's values and gradients."""
        layer, _ = split_name(name)
        value, gradient = torch.ones((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
        kept = torch.tensor(layer not in {*self.plan.depth.silent, *self.plan.drawn})
        is_first = layer is None or self.plan.depth.is_first_copy(layer)
        seniority = torch.tensor(float(is_first), dtype=torch.float64)
        touched = self._touched(name)
        for dim, (axis, role) in enumerate(touched):
            shape = [-1 if other == dim else 1 for other in range(len(touched))]
            write, read = axis.write.view(shape), axis.read.view(shape)
            value = value * {"writes": write, "reads": read}.get(role, torch.ones_like(write))
            gradient = gradient * {"reads": write, "indexes": torch.ones_like(write)}.get(
                role, read
            )
            kept = kept & axis.kept.view(shape)
            seniority = seniority * axis.seniority.view(shape)
        return Factors(
            value=value * self.scale(name),
            gradient=gradient / self._norm_scale(name),
            kept=kept,
            seniority=seniority,
        )

    def scale(self, name: str) -> float:
        """Return the factor of a whole tensor, beside those along its axes."""
        return self._norm_scale(name) * self._output_scale(name)

    def _touched(self, name: str) -> list[tuple["_Axis", str]]:
        return [(self._axis(each.space), each.role) for each in axes(name)]

    def _axis(self, space: str) -> "_Axis":
        if space not in self._axes:
            self._axes[space] = _axis_of(self.plan.axis(space))
        return self._axes[space]

    def _scaled(self, name: str, grown: Tensor, rows: slice) -> Tensor:
        scale = self.scale(name)
        grown = grown if scale == 1.0 else grown * scale
        plan = self.plan
        if grown.dim() < 2 or (plan.shrink == 1.0 and not plan.noise):
            return grown
        std = plan.output_noise if is_layer_output(name) else plan.noise
        noise = Draw(plan.seed, name, 2, rows.start).normal(grown.shape, std=std, like=grown)
        return plan.shrink * grown + noise

    def _parted(self, name: str, grown: Tensor) -> Tensor:
        """Return a matrix of a silent layer with noise on the rows that copy other rows.

        A silent layer's readers are all zero, so that no split of them tells its copies apart.
        """
        layer, _ = split_name(name)
        if layer not in self.plan.depth.silent or grown.dim() < 2:
            return grown
        axis, _ = self._touched(name)[0]
        copies = (axis.kept & (axis.seniority < 1)).nonzero()[:, 0]
        if not len(copies):
            return grown
        drawn = Draw(self.plan.seed, name, 3, None).uniform(
            (len(copies), *grown.shape[1:]), like=grown
        )
        return grown.index_add_(0, copies, drawn, alpha=NOISE * rms(grown))

    def _norm_scale(self, name: str) -> float:
        """Return the factor of a norm's gain or offset; 1 for everything else."""
        layer, inner = split_name(name)
        final = self.plan.logit_gain if layer is None and inner.startswith("norm.") else 1.0
        at = axes(name)[0]
        is_gain = at.role == "sits" and at.space == "resid" and name.endswith("weight")
        return final * (self.plan.norm_gain if is_gain else 1.0)

    def _output_scale(self, name: str) -> float:
        layer, _ = split_name(name)
        if layer is None or not is_layer_output(name):
            return 1.0
        return self.plan.output_scale[layer]


def is_silenced(plan: GrowthPlan, name: str) -> bool:
    """Return whether a tensor of the child is an output of a layer that nobody hears yet."""
    return split_name(name)[0] in plan.depth.silent and is_layer_output(name)


def child_names(names: Iterator[str] | list[str], plan: GrowthPlan) -> Iterator[str]:
    """Yield the child's names of the parent's tensors, layers in their order."""
    layers: dict[int, list[str]] = {}
    for name in names:
        layer, inner = split_name(name)
        if layer is None:
            yield name
        else:
            layers.setdefault(layer, []).append(inner)
    for place, source in enumerate(plan.depth.sources):
        yield from (f"layers.{place}.{inner}" for inner in layers.get(source, ()))


def grow_weights(parent: Mapping[str, Tensor], plan: GrowthPlan) -> dict[str, Tensor]:
    """Return the child's weights, which share no storage; the same plan gives the same bytes.

    Args:
        parent: Weights by name, as ``GPT.state_dict`` has them.
        plan: Where every coordinate of the child comes from.
    """
    child = Grower(plan).reader(held(parent))
    return {name: child(name).clone() for name in child_names(list(parent), plan)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """A space map as tensors, one entry for each of the child's coordinates."""

    map: SpaceMap
    plain: bool
    """Whether it changes nothing."""
    runs: tuple[tuple[int | None, int], ...]
    """Stretches of sources that follow each other: where each begins, and how long it is; none of a
    plain one."""
    groups: dict[int, tuple[tuple[int, ...], ...]]
    """Where copies stand, by how many of a source there are."""
    index: Tensor
    kept: Tensor
    seniority: Tensor
    write: Tensor
    read: Tensor


def _axis_of(map_: SpaceMap) -> _Axis:
    plain = map_.is_identity
    sources = [0 if source is None else source for source in map_.sources]
    # A vocabulary is long, and mostly changes nothing.
    seniority = (1.0,) * map_.size if plain else map_.seniority
    return _Axis(
        map=map_,
        plain=plain,
        runs=() if plain else tuple(stretches(map_.sources)),
        groups=groups(map_.sources) if map_.noise else {},
        index=torch.tensor(sources),
        kept=torch.tensor([source is not None for source in map_.sources]),
        seniority=torch.tensor(seniority, dtype=torch.float64),
        write=torch.tensor(map_.writes, dtype=torch.float64),
        read=torch.tensor(map_.reads, dtype=torch.float64),
    )


def _grown(tensor: Tensor, axis: _Axis, role: str, draw: Draw) -> Tensor:
    """Return a tensor grown along one axis."""
    if axis.plain:
        return tensor
    dim = draw.dim
    grown = _placed(tensor, axis, role, draw)
    factor = {"writes": axis.write, "reads": axis.read}.get(role)
    # What fills a place without a source is already as large as it should be.
    factor = None if factor is None else torch.where(axis.kept, factor, 1.0).to(grown.dtype)
    if factor is not None and not factor.eq(1.0).all():
        grown *= factor.view([-1 if other == dim else 1 for other in range(tensor.dim())])
    if role == "reads" and axis.map.noise:
        part(grown, axis.groups, share=axis.map.noise * rms(tensor), draw=draw)
    return grown


def _placed(tensor: Tensor, axis: _Axis, role: str, draw: Draw) -> Tensor:
    """Return a tensor with every source in its places, and the other places filled."""
    dim, missing = draw.dim, axis.map.sources.count(None)
    filling = _filling(tensor, axis, role, draw, missing) if missing else tensor
    parts: list[Tensor] = []
    filled = 0
    for source, length in axis.runs:
        if source is None:
            parts.append(filling.narrow(dim, filled, length))
            filled += length
        else:
            parts.append(tensor.narrow(dim, source, length))
    return torch.cat(parts, dim)


_DRAWN = {("writes", "new"), ("reads", "mean"), ("reads", "zero")} | {
    (role, "random") for role in ("writes", "reads")
}
"""Which side of a coordinate without a source is drawn, by its fill."""


def _filling(  # noqa: PLR0917 - one caller, above
    tensor: Tensor, axis: _Axis, role: str, draw: Draw, count: int
) -> Tensor:
    """Return what the coordinates without a source hold."""
    fill, dim = axis.map.fill, draw.dim
    shape = tuple(count if other == dim else size for other, size in enumerate(tensor.shape))
    if role == "sits":
        return torch.full(shape, 1.0 if draw.name.endswith("weight") else 0.0, dtype=tensor.dtype)
    if role == "writes" and fill == "mean":
        return tensor.mean(dim, keepdim=True).expand(shape)
    if tensor.dim() < 2 or (role, fill) not in _DRAWN:
        return torch.zeros(shape, dtype=tensor.dtype)
    std = float(tensor.std()) if fill == "random" else STD
    std *= float(axis.read[-1]) if fill == "random" and role == "reads" else 1.0
    if role == "reads" and fill in {"mean", "zero"}:
        # What reads padding is free, so it is drawn the fast way.
        return draw.uniform(shape, like=tensor).mul_(std)
    return draw.normal(shape, std=std, like=tensor)
