"""Symmetry: which copies would stay copies for ever, and how far apart they have moved."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growlm.growth.depth import DepthPlan
from growlm.growth.maps import SpaceMap
from growlm.growth.plan import GrowthPlan
from growlm.model.spaces import axes, split_name

ROUNDING = 1e-4
"""Share of a copy's largest weight below which a difference is what kernels round apart.

Copies at other places may be summed in another order. In fp32 that came to 1e-6 after 1,500 steps;
copies that learn apart are at 1e-2 after 30.
"""

SPACES = ("width", "heads", "kv_heads", "head_width", "mlp")
"""The spaces whose coordinates may be copies, by the sizes that name them."""

_PARTS = {
    "resid": (("width", "resid"),),
    "query": (("heads", "heads"), ("head_width", "query")),
    "key": (("kv_heads", "kv_heads"), ("head_width", "key")),
    "value": (("kv_heads", "kv_heads"), ("head_width", "value")),
    "mlp": (("mlp", "mlp"),),
}
"""What each written space is made of, outer first: the size's name, and the plan's map."""


def locked(plan: GrowthPlan, mode: str) -> tuple[str, ...]:
    """Return the spaces, by the sizes that name them, some of whose copies would never part.

    Copies part if they are read unequally, if they differ in weights that are drawn (noise, and
    what is read from padding), or if their moments differ; under ``exact`` none of these does,
    for the child follows its parent. Dropout is not relied on: it is slow, and may be none.

    Args:
        plan: What grows the child.
        mode: What becomes of the optimizer's state; ``drop`` where the parent has none.
    """
    if mode == "exact":
        return tuple(space for space in SPACES if any(map(_pairs, _maps(plan)[space])))
    alike = _alike(plan)
    if mode == "asymmetric":
        # The first copy of a layer shares its moments out among copies; the others have none.
        depth = plan.depth
        heard = [layer for layer in range(depth.layers) if layer not in depth.silent]
        alike["width"] = False
        if all(map(depth.is_first_copy, heard)):
            return ()
    return tuple(space for space in SPACES if alike[space])


def _maps(plan: GrowthPlan) -> dict[str, tuple[SpaceMap, ...]]:
    return {
        "width": (plan.resid,),
        "heads": (plan.heads,),
        "kv_heads": (plan.kv_heads,),
        "head_width": (plan.query, plan.value),
        "mlp": (plan.mlp,),
    }


def _alike(plan: GrowthPlan) -> dict[str, bool]:
    """Return for each space whether it has copies that no weight tells apart.

    What is drawn in a matrix is drawn for each of the child's rows, so that noise on its columns
    tells copies of its rows apart as well.
    """
    attended = bool(plan.heads.noise or plan.value.noise)
    drawn = bool(plan.noise or plan.resid.noise or None in plan.resid.sources)
    wider = None in plan.query.sources  # each head draws new coordinates of its own
    return {
        "width": _read_alike(plan.resid) and not (plan.noise or attended or plan.mlp.noise),
        "heads": _read_alike(plan.heads) and not (drawn or attended or wider),
        "kv_heads": _asked_alike(plan) and not (drawn or attended or wider),
        "head_width": not drawn
        and (_scored_alike(plan) or (_read_alike(plan.value) and not attended)),
        "mlp": _read_alike(plan.mlp) and not drawn,
    }


def _read_alike(map_: SpaceMap) -> bool:
    """Return whether two copies of a source are read with the same factor, and no noise."""
    return not map_.noise and _repeats(map_, map_.reads)


def _scored_alike(plan: GrowthPlan) -> bool:
    """Return whether two copies of a coordinate take the same part in scores."""
    return _repeats(plan.query, plan.query.writes)


def _asked_alike(plan: GrowthPlan) -> bool:
    """Return whether two copies of a key/value head serve the same queries, read alike."""
    heads = list(zip(plan.heads.sources, plan.heads.reads, strict=True))
    group = len(heads) // plan.kv_heads.size
    served = [tuple(heads[start : start + group]) for start in range(0, len(heads), group)]
    return _repeats(plan.kv_heads, served)


def _repeats(map_: SpaceMap, what: Sequence[object]) -> bool:
    """Return whether two copies of one source have the same of something."""
    return any(what[early] == what[late] for early, late in _pairs(map_))


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """How far the copies in one space have moved apart."""

    copies: int
    """Copies beside the first of each source, in all layers."""
    equal: int
    """How many of them still equal an earlier copy of their source, up to rounding."""
    largest: float
    """Largest absolute difference of two copies' weights; exactly 0 where none has ever parted."""
    relative: float
    """Mean of |copy - first| / |first| over the matrices that write the space."""


@torch.no_grad()
def unit_distances(weights: Mapping[str, Tensor], plan: GrowthPlan) -> dict[str, Apart]:
    """Return how far copied units have moved apart, for every space that has copies.

    Copies of layers are not among them: ``depth_distance`` measures those. Each copy is compared
    with every other copy of its source, in all matrices that write it. Biases are left out: a
    key's has no gradient but rounding, which AdamW makes whole steps of, and no other parts from
    its copy before a matrix does.

    Args:
        weights: The child's, by name.
        plan: What grew it.
    """
    found: dict[str, list[_Gaps]] = {space: [] for space in SPACES}
    for name, tensor in weights.items():
        if tensor.dim() > 1:
            for gaps in _gaps(name, tensor, plan):
                found[gaps.space].append(gaps)
    return {space: _apart(gaps) for space, gaps in found.items() if gaps}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gaps:
    """What one matrix shows of the copies along one of its axes, pair by pair."""

    space: str
    units: tuple[int | None, str]
    """Matrices that agree in these write the same units."""
    late: Tensor
    """Place of each pair's later copy."""
    largest: Tensor
    """Largest difference of each pair."""
    size: Tensor
    """Largest weight of each pair's earlier copy."""
    relative: float
    """Distance of all copies from the first of their source, over the first ones' norm."""


def _gaps(name: str, tensor: Tensor, plan: GrowthPlan) -> Iterator[_Gaps]:
    for dim, axis in enumerate(axes(name)):
        parts = _PARTS.get(axis.space, ()) if axis.role == "writes" else ()
        maps: list[SpaceMap] = [getattr(plan, map_name) for _, map_name in parts]
        for at, ((space, map_name), map_) in enumerate(zip(parts, maps, strict=True)):
            pairs = _pairs(map_)
            if not pairs:
                continue
            sizes = [each.size for each in maps]
            rows = tensor.view(*tensor.shape[:dim], *sizes, *tensor.shape[dim + 1 :])
            rows = rows.movedim(dim + at, 0)
            early, late = (_copies(rows, map_, [pair[side] for pair in pairs]) for side in (0, 1))
            is_first = map_.is_first_copy
            first = torch.tensor([is_first[place] for place, _ in pairs], device=tensor.device)
            yield _Gaps(
                space=space,
                units=_units(name, map_name),
                late=torch.tensor([place for _, place in pairs], device=tensor.device),
                largest=(late - early).abs().amax(1),
                size=early.abs().amax(1),
                relative=_norm((late - early)[first]) / max(_norm(early[first]), 1e-30),
            )


def _units(name: str, map_name: str) -> tuple[int | None, str]:
    """Return what tells the units that a matrix writes from others of their space.

    One residual stream runs through all layers; the others have units of their own. Queries and
    keys meet coordinate by coordinate.
    """
    layer = None if map_name == "resid" else split_name(name)[0]
    return layer, "query" if map_name == "key" else map_name


def _pairs(map_: SpaceMap) -> list[tuple[int, int]]:
    """Return every pair of coordinates that copy the same source, the earlier one first."""
    places: dict[int, list[int]] = defaultdict(list)
    pairs: list[tuple[int, int]] = []
    for place, source in enumerate(map_.sources):
        if source is not None:
            pairs += [(other, place) for other in places[source]]
            places[source].append(place)
    return pairs


def _copies(rows: Tensor, map_: SpaceMap, places: list[int]) -> Tensor:
    """Return some coordinates' weights without the factors that growing gave them."""
    found = rows[torch.tensor(places, device=rows.device)].flatten(1)
    if len(set(map_.writes)) == 1:
        return found
    factors = [map_.writes[place] for place in places]
    return found / torch.tensor(factors, dtype=rows.dtype, device=rows.device)[:, None]


def _apart(found: list[_Gaps]) -> Apart:
    copies = equal = 0
    units: dict[tuple[int | None, str], list[_Gaps]] = defaultdict(list)
    for gaps in found:
        units[gaps.units].append(gaps)
    for same in units.values():
        largest = torch.stack([each.largest for each in same]).amax(0)
        size = torch.stack([each.size for each in same]).amax(0)
        late = same[0].late
        copies += _different(late)
        equal += _different(late[largest <= ROUNDING * size])
    return Apart(
        copies=copies,
        equal=equal,
        largest=float(torch.cat([each.largest for each in found]).max()),
        relative=sum(each.relative for each in found) / len(found),
    )


def _different(places: Tensor) -> int:
    return int((torch.bincount(places) > 0).sum())


@torch.no_grad()
def depth_distance(weights: Mapping[str, Tensor], depth: DepthPlan) -> float | None:
    """Return the mean relative distance of heard copies from the first copy of their source.

    ``|W_copy - W_first| / |W_first|`` over the matrices of each pair of layers; 0 for layers that
    are still the same, about 1.4 for layers that have nothing in common. None without copies.

    Args:
        weights: The child's, by name.
        depth: Where its layers came from.
    """
    first: dict[int, int] = {}
    distances: list[float] = []
    for layer, source in enumerate(depth.sources):
        if layer in depth.silent:
            continue
        if source in first:
            distances += _between(weights, first[source], layer)
        else:
            first[source] = layer
    return sum(distances) / len(distances) if distances else None


def _between(weights: Mapping[str, Tensor], one: int, other: int) -> list[float]:
    found: list[float] = []
    prefix = f"layers.{one}."
    for name, tensor in weights.items():
        if name.startswith(prefix) and tensor.dim() > 1:
            twin = weights[f"layers.{other}.{name.removeprefix(prefix)}"]
            found.append(_norm(twin - tensor) / max(_norm(tensor), 1e-30))
    return found


def _norm(tensor: Tensor) -> float:
    return float(tensor.double().square().sum()) ** 0.5
