"""Space maps: where each coordinate of a grown space comes from, and how it is shared out."""

from collections import Counter
from dataclasses import dataclass, replace
from math import isclose
from typing import Literal

Fill = Literal["new", "mean", "zero", "random", "silent"]
"""What a coordinate without a source is.

``new``: a fresh unit; what writes it is drawn, what reads it is zero (arXiv:2308.06103).
``mean``, ``zero``: padding that LayerNorm, or RMSNorm, does not notice; what writes it gives the
mean of all old coordinates, or nothing, and what reads it is drawn (arXiv:2310.07999).
``random``: both sides are drawn, as wide as the old weights. ``silent``: both sides are zero.
"""

NOISE = 0.2
"""Standard deviation of noise that parts copies, as a share of that of the weights it is added to.

So much makes weights 2% larger, which no rate and no decay notices, and is far above what kernels
round apart. Du et al., arXiv:2405.15319, report that noise of this share helps in width;
HyperCloning, arXiv:2409.12903, offers 0.3 (10 dB).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceMap:
    """Each new coordinate's source, and the factors of those that write and read it.

    For a matrix stored ``[out, in]``, ``child[j, i] = writes[j] reads[i] parent[source j,
    source i]``. The child's gradient is then ``reads[j] writes[i]`` times the parent's: what one
    side multiplies, the other side's gradient carries.
    """

    parent_size: int
    """Coordinates before."""
    sources: tuple[int | None, ...]
    """For each coordinate after, the one before that it copies; None for a filled one."""
    writes: tuple[float, ...]
    """Factor of what is written to each coordinate."""
    reads: tuple[float, ...]
    """Factor of what is read from each coordinate."""
    fill: Fill
    noise: float = 0.0
    """Of what reads copies, noise that cancels over those of each source: its standard deviation
    as a share of that of the weights."""

    @property
    def size(self) -> int:
        """Coordinates after."""
        return len(self.sources)

    @property
    def is_identity(self) -> bool:
        """Return whether nothing changes."""
        return self == identity(self.parent_size)

    @property
    def copies(self) -> Counter[int]:
        """Return how many coordinates stand in each source's place."""
        return Counter(source for source in self.sources if source is not None)

    @property
    def whole(self) -> bool:
        """Return whether each source is read as it was: its copies' factors add up to one."""
        sums = [0.0] * self.parent_size
        for source, write, read in zip(self.sources, self.writes, self.reads, strict=True):
            if source is not None:
                sums[source] += write * read
        return all(isclose(total, 1.0, rel_tol=1e-12) for total in sums)

    @property
    def is_first_copy(self) -> tuple[bool, ...]:
        """Return for each coordinate whether it is the first to stand in its source's place."""
        seen: set[int] = set()
        first: list[bool] = []
        for source in self.sources:
            first.append(source is not None and source not in seen)
            seen |= {source} if source is not None else set()
        return tuple(first)

    @property
    def seniority(self) -> tuple[float, ...]:
        """Return 1 for the first copy of each source, 0 for the last, even steps between them.

        0 also where there is no source.
        """
        copies, seen = self.copies, Counter[int]()
        ranks: list[float] = []
        for source in self.sources:
            if source is None:
                ranks.append(0.0)
                continue
            ranks.append(1.0 - seen[source] / max(copies[source] - 1, 1))
            seen[source] += 1
        return tuple(ranks)


def identity(size: int) -> SpaceMap:
    """Return the map that changes nothing."""
    return SpaceMap(
        parent_size=size,
        sources=tuple(range(size)),
        writes=(1.0,) * size,
        reads=(1.0,) * size,
        fill="new",
    )


def clones(sources: tuple[int, ...], *, parent_size: int, uneven: float = 0.5) -> SpaceMap:
    """Return a map of copies that share their source's readers (Net2Net, arXiv:1511.05641).

    Args:
        sources: The source of each coordinate; every source at least once.
        parent_size: Coordinates before.
        uneven: Of a source with several copies, the first is read by this factor times two over
            their number, and each further one by as much more, so that no two are read alike; 0.5
            is an even split.

    >>> clones((0, 1, 0), parent_size=2).reads
    (0.5, 1.0, 0.5)
    """
    counts, seen = Counter(sources), Counter[int]()
    reads: list[float] = []
    for source in sources:
        count = counts[source]
        further = (1.0 - 2.0 * uneven) * seen[source] / max(count - 1, 1)
        reads.append(2.0 * (uneven + further) / count if count > 1 else 1.0)
        seen[source] += 1
    return SpaceMap(
        parent_size=parent_size,
        sources=sources,
        writes=(1.0,) * len(sources),
        reads=tuple(reads),
        fill="new",
    )


def noised(map_: SpaceMap) -> SpaceMap:
    """Return a map whose copies are read with noise that cancels, if it has copies.

    The copies of a source must be read alike. HyperCloning, arXiv:2409.12903.
    """
    return replace(map_, noise=NOISE) if max(map_.copies.values()) > 1 else map_


def extended(size: int, *, to: int) -> SpaceMap:
    """Return a map that keeps what there is and adds new coordinates behind it."""
    return placed(tuple(range(size)), size=to)


def placed(slots: tuple[int, ...], *, size: int) -> SpaceMap:
    """Return a map that puts source i into slot ``slots[i]``; the other slots are new.

    >>> placed((1, 0), size=3).sources
    (1, 0, None)
    """
    sources: list[int | None] = [None] * size
    for source, slot in enumerate(slots):
        sources[slot] = source
    return SpaceMap(
        parent_size=len(slots),
        sources=tuple(sources),
        writes=(1.0,) * size,
        reads=tuple(0.0 if source is None else 1.0 for source in sources),
        fill="new",
    )


def product(outer: SpaceMap, inner: SpaceMap) -> SpaceMap:
    """Return the map of pairs, as heads times head width: outer coordinates change slowest."""
    pairs = [(o, i) for o in range(outer.size) for i in range(inner.size)]
    fill = inner.fill if None in inner.sources else outer.fill
    return SpaceMap(
        parent_size=outer.parent_size * inner.parent_size,
        sources=tuple(_pair(outer.sources[o], inner.sources[i], inner) for o, i in pairs),
        writes=tuple(outer.writes[o] * inner.writes[i] for o, i in pairs),
        reads=tuple(outer.reads[o] * inner.reads[i] for o, i in pairs),
        fill=fill,
        noise=max(outer.noise, inner.noise),
    )


def _pair(outer: int | None, inner: int | None, inner_map: SpaceMap) -> int | None:
    if outer is None or inner is None:
        return None
    return outer * inner_map.parent_size + inner
