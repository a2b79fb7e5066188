"""Depth plans: which parent layer each layer of the child comes from, and which are silent."""

from collections.abc import Callable
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


OPERATORS: dict[str, Callable[[int, int], DepthPlan]] = {
    "interleave": interleave,
    "stack": stack,
    "insert": insert,
}
"""Every depth operator, by the name recipes use; one contract test runs over all of them."""


def depth_plan(operator: str, *, parent_layers: int, layers: int) -> DepthPlan:
    """Return an operator's plan from L to L' layers.

    Raises:
        GrowthError: There is no such operator, or the child has fewer layers than its parent.
    """
    if operator not in OPERATORS:
        raise GrowthError(
            f"a depth operator, one of {', '.join(OPERATORS)}",
            got=f"'{operator}'",
            fix=nearest(operator, OPERATORS),
        )
    if layers < parent_layers:
        raise GrowthError(
            "a child with at least its parent's layers",
            got=f"{parent_layers} -> {layers}",
            fix=f"layers={2 * parent_layers}",
        )
    return OPERATORS[operator](parent_layers, layers)
