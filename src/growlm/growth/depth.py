"""Depth plans: which parent layer each layer of the child comes from, and which are silent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from growlm.base.errors import GrowthError, nearest

Claim = Literal["exact", "approximate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPlan:
    """Where a child's layers come from.

    ``sources[i]`` is the parent layer that child layer i copies; ``silent`` lists the child layers
    whose outputs are zero at first, so that they add nothing to the residual stream.
    """

    parent_layers: int
    sources: tuple[int, ...]
    silent: tuple[int, ...]

    @property
    def layers(self) -> int:
        """Layers of the child."""
        return len(self.sources)

    @property
    def claim(self) -> Claim:
        """Exact if, without its silent layers, the child is the parent, layer for layer."""
        heard = tuple(
            source for layer, source in enumerate(self.sources) if layer not in self.silent
        )
        return "exact" if heard == tuple(range(self.parent_layers)) else "approximate"

    def is_first_copy(self, layer: int) -> bool:
        """Return whether a child layer is the first that is heard of its source."""
        earlier = (self.sources[other] for other in range(layer) if other not in self.silent)
        return layer not in self.silent and self.sources[layer] not in earlier


def interleave(parent_layers: int, layers: int) -> DepthPlan:
    """Spread the parent's layers evenly: child layer i copies ``floor(i L / L')``.

    AABBCC for a doubling. Rae et al., arXiv:2112.11446, appendix G.3.3, as later logs quote it.
    Integer arithmetic only: rounding or floating point picks wrong layers for some sizes.

    >>> interleave(3, 6).sources, interleave(3, 4).sources
    ((0, 0, 1, 1, 2, 2), (0, 0, 1, 2))
    """
    return DepthPlan(
        parent_layers=parent_layers,
        sources=tuple(layer * parent_layers // layers for layer in range(layers)),
        silent=(),
    )


def stack(parent_layers: int, layers: int) -> DepthPlan:
    """Put copies of the parent on top of each other: child layer i copies ``i mod L``.

    ABCABC for a doubling. Gong et al., ICML 2019; Du et al., arXiv:2405.15319.

    >>> stack(3, 6).sources
    (0, 1, 2, 0, 1, 2)
    """
    return DepthPlan(
        parent_layers=parent_layers,
        sources=tuple(layer % parent_layers for layer in range(layers)),
        silent=(),
    )


def insert(parent_layers: int, layers: int) -> DepthPlan:
    """Put silent copies between the parent's layers, evenly: the child computes what it did.

    Of the copies of each source under ``interleave``, all but the first are silent. Wu et al.,
    arXiv:2401.02415, section 3, for any number of layers.

    >>> insert(3, 5).sources, insert(3, 5).silent
    ((0, 0, 1, 1, 2), (1, 3))
    """
    sources = interleave(parent_layers, layers).sources
    silent = tuple(layer for layer in range(1, layers) if sources[layer] == sources[layer - 1])
    return DepthPlan(parent_layers=parent_layers, sources=sources, silent=silent)


def solar(parent_layers: int, layers: int) -> DepthPlan:
    """Put two copies of the parent together, less their inner ends.

    ``[0, L - m) ++ [m, L)`` with ``m = L - L' / 2``. Kim et al., SOLAR, arXiv:2312.15166.

    >>> solar(6, 8).sources
    (0, 1, 2, 3, 2, 3, 4, 5)

    Raises:
        GrowthError: L' is odd, or more than 2 L.
    """
    if layers == parent_layers:
        return _heard(parent_layers, range(layers))
    if layers % 2 or layers > 2 * parent_layers:
        raise GrowthError(
            f"an even number of layers, at most {2 * parent_layers}, for 'solar'",
            got=f"{parent_layers} -> {layers}",
            fix=f"--layers {min(layers + layers % 2, 2 * parent_layers)}, or interleave",
        )
    half = layers // 2
    return _heard(parent_layers, (*range(half), *range(parent_layers - half, parent_layers)))


def middle(parent_layers: int, layers: int) -> DepthPlan:
    """Repeat the parent's middle block once: MIDAS, one stage of it (arXiv:2409.19044).

    Blocks have as many layers as are added; block ``ceil(n / 2)`` of n is copied behind itself.

    >>> middle(12, 16).sources[4:12], middle(9, 12).sources
    ((4, 5, 6, 7, 4, 5, 6, 7), (0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8))

    Raises:
        GrowthError: The added layers do not divide the parent's.
    """
    added = layers - parent_layers
    if added and parent_layers % added:
        divisors = [size for size in range(1, parent_layers + 1) if parent_layers % size == 0]
        nearby = min(divisors, key=lambda size: abs(size - added))
        raise GrowthError(
            "as many new layers as one block of the parent, for 'middle'",
            got=f"{parent_layers} -> {layers}",
            fix=f"--layers {parent_layers + nearby}",
        )
    end = -(-(parent_layers // added) // 2) * added if added else parent_layers
    return _repeated(parent_layers, end - added, end)


def middle_layerwise(parent_layers: int, layers: int) -> DepthPlan:
    """Repeat the layers around the parent's middle once: LIDAS (arXiv:2512.08819), experimental.

    Which layers it copies is from an abstract-level reading; that they follow themselves is ours.

    >>> middle_layerwise(8, 12).sources
    (0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6, 7)

    Raises:
        GrowthError: More layers are added than there are, or the middle falls inside a layer.
    """
    added = layers - parent_layers
    if added and (added > parent_layers or (parent_layers - added) % 2):
        raise GrowthError(
            "new layers, as many as lie evenly around the middle, for 'middle-layerwise'",
            got=f"{parent_layers} -> {layers}",
            fix=f"--layers {min(layers + 1, 2 * parent_layers)}",
        )
    start = (parent_layers - added) // 2
    return _repeated(parent_layers, start, start + added)


def append(parent_layers: int, layers: int) -> DepthPlan:
    """Put silent layers on top, which begin as copies of the last ones: exact.

    >>> append(3, 5).sources, append(3, 5).silent
    ((0, 1, 2, 1, 2), (3, 4))
    """
    added = layers - parent_layers
    last = [parent_layers - 1 - back % parent_layers for back in range(added)]
    return DepthPlan(
        parent_layers=parent_layers,
        sources=(*range(parent_layers), *reversed(last)),
        silent=tuple(range(parent_layers, layers)),
    )


def explicit(parent_layers: int, layer_map: Sequence[int]) -> DepthPlan:
    """Return the plan of a written layer map; ``~i`` is a silent copy of layer i.

    >>> explicit(3, (0, 1, ~1, 2)).silent
    (2,)

    Raises:
        GrowthError: A layer that the parent has not, or one of its layers that nobody copies.
    """
    sources = tuple(layer if layer >= 0 else ~layer for layer in layer_map)
    beyond = [layer for layer in sources if layer >= parent_layers]
    missing = sorted(set(range(parent_layers)) - set(sources))
    if beyond or missing:
        odd = f"layer {beyond[0]}" if beyond else f"no copy of layer {missing[0]}"
        raise GrowthError(
            f"a layer map that uses each of the parent's layers 0 to {parent_layers - 1}",
            got=odd,
            fix="a map such as "
            + ",".join(map(str, interleave(parent_layers, len(sources)).sources)),
        )
    silent = tuple(place for place, layer in enumerate(layer_map) if layer < 0)
    return DepthPlan(parent_layers=parent_layers, sources=sources, silent=silent)


def _heard(parent_layers: int, sources: Sequence[int]) -> DepthPlan:
    return DepthPlan(parent_layers=parent_layers, sources=tuple(sources), silent=())


def _repeated(parent_layers: int, start: int, end: int) -> DepthPlan:
    return _heard(parent_layers, (*range(end), *range(start, end), *range(end, parent_layers)))


OPERATORS: dict[str, Callable[[int, int], DepthPlan]] = {
    "interleave": interleave,
    "stack": stack,
    "insert": insert,
    "solar": solar,
    "middle": middle,
    "middle-layerwise": middle_layerwise,
    "append": append,
}
"""Every depth operator, by the name recipes use; one contract test runs over all of them."""

EXPLICIT = "explicit"
"""The operator whose layer map is written out."""


def depth_plan(
    operator: str, *, parent_layers: int, layers: int, explicit_map: Sequence[int] | None = None
) -> DepthPlan:
    """Return an operator's plan from L to L' layers.

    Raises:
        GrowthError: There is no such operator, it cannot get there, or the child has fewer layers
            than its parent.
    """
    if operator == EXPLICIT or explicit_map is not None:
        return _written(parent_layers, layers, operator, explicit_map)
    if operator not in OPERATORS:
        names = (*OPERATORS, EXPLICIT)
        raise GrowthError(
            f"a depth operator, one of {', '.join(names)}",
            got=f"'{operator}'",
            fix=nearest(operator, names),
        )
    if layers < parent_layers:
        raise GrowthError(
            "a child with at least its parent's layers",
            got=f"{parent_layers} -> {layers}",
            fix=f"layers={2 * parent_layers}",
        )
    return OPERATORS[operator](parent_layers, layers)


def _written(
    parent_layers: int, layers: int, operator: str, layer_map: Sequence[int] | None
) -> DepthPlan:
    if layer_map is None or operator != EXPLICIT or len(layer_map) != layers:
        raise GrowthError(
            f"'{EXPLICIT}' with a layer map of {layers} entries",
            got="no map" if layer_map is None else f"'{operator}', {len(layer_map)} entries",
            fix="--depth explicit --layer-map 0,0,1,1",
        )
    return explicit(parent_layers, layer_map)
