"""Width operators: maps for the residual stream, the heads, their width, and the MLP units."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from growlm.base.errors import GrowthError, nearest
from growlm.growth.maps import SpaceMap, clones, extended, identity, noised, placed, product
from growlm.model.attention import alibi_slopes
from growlm.model.config import GPTConfig

UNEVEN = 0.35
"""Share of the first of two copies in an uneven split."""

UNITS = ("new", "even", "uneven", "noised")
"""Every way to add units to a space, by the name recipes use.

``new``: fresh ones behind the old, their readers at zero (arXiv:2308.06103). ``even``: copies in
turn, whose readers share alike (Net2Net, arXiv:1511.05641). ``uneven``: the same, but the first
copy is read least and each further one more, so that they part. ``noised``: as ``even``, with noise
on what reads them that cancels over the copies of each source, in the residual stream too
(HyperCloning, arXiv:2409.12903).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How the residual stream grows."""

    resid: SpaceMap
    norm_gain: float
    """Factor of every norm's gain."""
    eps_gain: float
    """Factor of every norm's eps."""
    logit_gain: float
    """Further factor of the final norm."""


def lemon(parent: GPTConfig, width: int) -> Residual:
    """Copy every coordinate as often as fits, and pad so that the norms notice nothing.

    With n copies and r coordinates of padding, which hold the mean of the others under LayerNorm
    and zero under RMSNorm, the variance becomes s = n D / D' of what it was; gains take sqrt(s)
    and eps takes s. Readers of the copies share evenly, readers of the padding are free. A
    multiple of the width is a plain clone (HyperCloning, arXiv:2409.12903). Exact.
    Wang et al., LEMON, arXiv:2310.07999.
    """
    times, padding = divmod(width, parent.width)
    kept = times * parent.width / width
    sources = (*(list(range(parent.width)) * times), *([None] * padding))
    resid = SpaceMap(
        parent_size=parent.width,
        sources=sources,
        writes=tuple(0.0 if source is None else 1.0 for source in sources),
        reads=tuple(0.0 if source is None else 1.0 / times for source in sources),
        fill="mean" if parent.norm == "layernorm" else "zero",
    )
    return Residual(
        resid=resid,
        norm_gain=math.sqrt(kept),
        eps_gain=kept,
        logit_gain=1.0 / times if parent.tied else 1.0,
    )


def sparkling(parent: GPTConfig, width: int) -> Residual:
    """Add random coordinates, and scale the readers so that every layer's RMS stays.

    Readers take sqrt(D / D'), a tied head by way of the final norm. Not exact.
    SPARKLING, arXiv:2602.02472, the case of random new columns.
    """
    return Residual(
        resid=rms_preserving(parent.width, to=width),
        norm_gain=1.0,
        eps_gain=1.0,
        logit_gain=math.sqrt(parent.width / width) if parent.tied else 1.0,
    )


def pad(parent: GPTConfig, width: int) -> Residual:
    """Add coordinates that nothing writes or reads yet; noise on all weights fills them.

    Mallik et al., arXiv:2411.07340. Not exact.
    """
    return Residual(
        resid=silent(parent.width, to=width), norm_gain=1.0, eps_gain=1.0, logit_gain=1.0
    )


RESIDUAL: dict[str, Callable[[GPTConfig, int], Residual]] = {
    "lemon": lemon,
    "sparkling": sparkling,
    "shrink-pad-perturb": pad,
}
"""Every operator on the residual stream, by the name recipes use."""


def rms_preserving(size: int, *, to: int) -> SpaceMap:
    """Return a map to random new coordinates whose readers are scaled by sqrt(size / to)."""
    return SpaceMap(
        parent_size=size,
        sources=(*range(size), *([None] * (to - size))),
        writes=(1.0,) * to,
        reads=(math.sqrt(size / to),) * to,
        fill="random",
    )


def silent(size: int, *, to: int) -> SpaceMap:
    """Return a map to new coordinates that nothing writes and nothing reads."""
    sources = (*range(size), *([None] * (to - size)))
    ones = tuple(0.0 if source is None else 1.0 for source in sources)
    return SpaceMap(parent_size=size, sources=sources, writes=ones, reads=ones, fill="silent")


def split(sources: tuple[int, ...], *, parent_size: int, units: str) -> SpaceMap:
    """Return a map of copies that share their source's readers as ``units`` says."""
    share = UNEVEN if units == "uneven" else 0.5
    copies = clones(sources, parent_size=parent_size, uneven=share)
    return noised(copies) if units == "noised" else copies


def mlp_map(units: str, size: int, *, to: int) -> SpaceMap:
    """Return the map of MLP units; ``Σ reads = 1`` over the copies of each, so it is exact."""
    if known(units, UNITS, "a way to add units") == "new":
        return extended(size, to=to)
    return split(tuple(unit % size for unit in range(to)), parent_size=size, units=units)


def known(name: str, names: Iterable[str], what: str) -> str:
    """Return a name that is in a table.

    Raises:
        GrowthError: It is not; the nearest one is named.
    """
    if name not in names:
        raise GrowthError(
            f"{what}, one of {', '.join(names)}", got=f"'{name}'", fix=nearest(name, names)
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """How query heads and key/value heads grow together."""

    heads: SpaceMap
    kv_heads: SpaceMap


def head_maps(parent: GPTConfig, *, heads: int, kv_heads: int, units: str) -> Heads:
    """Return exact maps to more heads of the same width.

    Under ALiBi each head goes to the slot of its own slope, and the free slots get new heads.
    Elsewhere heads are interchangeable: new ones come behind the old ones, inside each group when
    the key/value heads stay, with groups of their own when these grow along; ``even`` and
    ``uneven`` clone heads instead where their number is a multiple.

    Raises:
        GrowthError: No placement leaves every query head with its slope and its key/value head.
    """
    if (heads, kv_heads) == (parent.heads, parent.kv_heads):
        return Heads(heads=identity(heads), kv_heads=identity(kv_heads))
    _check_groups(parent, heads=heads, kv_heads=kv_heads)
    if heads == parent.heads:
        return Heads(heads=identity(heads), kv_heads=_repeated(parent.kv_heads, to=kv_heads))
    if parent.positions == "alibi":
        return _by_slope(parent, heads=heads, kv_heads=kv_heads)
    if units != "new" and not heads % parent.heads:
        return _cloned(parent, heads=heads, kv_heads=kv_heads, units=units)
    if kv_heads == parent.kv_heads:
        before, after = parent.heads // kv_heads, heads // kv_heads
        slots = tuple(h // before * after + h % before for h in range(parent.heads))
        return Heads(heads=placed(slots, size=heads), kv_heads=identity(kv_heads))
    _check_whole_groups(parent, heads=heads, kv_heads=kv_heads)
    return Heads(
        heads=extended(parent.heads, to=heads), kv_heads=extended(parent.kv_heads, to=kv_heads)
    )


def _check_groups(parent: GPTConfig, *, heads: int, kv_heads: int) -> None:
    if heads % kv_heads:
        raise GrowthError(
            "heads to be a multiple of kv_heads",
            got=f"heads={heads}, kv_heads={kv_heads}",
            fix=f"kv_heads={parent.kv_heads}, or heads={heads // kv_heads * kv_heads + kv_heads}",
        )


def _check_whole_groups(parent: GPTConfig, *, heads: int, kv_heads: int) -> None:
    group = parent.heads // parent.kv_heads
    if heads // kv_heads != group:
        raise GrowthError(
            f"as many query heads for each key/value head as before ({group}), or the old kv_heads",
            got=f"heads={heads}, kv_heads={kv_heads}",
            fix=f"kv_heads={parent.kv_heads}, or heads={kv_heads * group}",
        )


def _repeated(size: int, *, to: int) -> SpaceMap:
    """Return key/value heads of which each is repeated for a part of its query heads."""
    if to % size:
        raise GrowthError(
            "kv_heads to be a multiple of the parent's while heads stay",
            got=f"{size} -> {to}",
            fix=f"kv_heads={to // size * size or size}",
        )
    times = to // size
    return clones(tuple(head // times for head in range(to)), parent_size=size)


def _cloned(parent: GPTConfig, *, heads: int, kv_heads: int, units: str) -> Heads:
    times = heads // parent.heads
    if kv_heads == parent.kv_heads and parent.heads != parent.kv_heads:
        sources = tuple(head // times for head in range(heads))
        kv_map = identity(kv_heads)
    else:
        _check_whole_groups(parent, heads=heads, kv_heads=kv_heads)
        sources = tuple(head % parent.heads for head in range(heads))
        kv_sources = tuple(head % parent.kv_heads for head in range(kv_heads))
        kv_map = split(kv_sources, parent_size=parent.kv_heads, units=units)
    return Heads(heads=split(sources, parent_size=parent.heads, units=units), kv_heads=kv_map)


def _by_slope(parent: GPTConfig, *, heads: int, kv_heads: int) -> Heads:
    new = [float(slope) for slope in alibi_slopes(heads)]
    slots = tuple(new.index(float(slope)) for slope in alibi_slopes(parent.heads))
    map_ = placed(slots, size=heads)
    if parent.heads == parent.kv_heads and heads == kv_heads:
        return Heads(heads=map_, kv_heads=map_)
    if kv_heads == parent.kv_heads == 1:
        return Heads(heads=map_, kv_heads=identity(1))
    raise GrowthError(
        "heads that each keep their ALiBi slope and their key/value head",
        got=f"{parent.heads} heads on {parent.kv_heads} key/value heads -> {heads} on {kv_heads}: "
        "the slot of a slope lies in another group",
        fix="the parent's heads, with a larger head_width",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWidth:
    """How the coordinates inside every head grow."""

    query: SpaceMap
    key: SpaceMap
    value: SpaceMap


def head_width_maps(parent: GPTConfig, head_width: int, *, units: str) -> HeadWidth:
    """Return exact maps to wider heads.

    Scores are divided by the root of the head width, so queries and keys share a factor that makes
    up for it: of k copies that share a score evenly each takes k^(-1/4) on both sides. Where the
    width is no multiple, or ``units`` are new, old coordinates take (K'/K)^(1/4) and new keys are
    zero. Gesmundo and Maile, arXiv:2308.06103.

    Raises:
        GrowthError: Rotary positions or norms on queries and keys, which see the head's width.
    """
    same = identity(parent.head_width)
    if head_width == parent.head_width:
        return HeadWidth(query=same, key=same, value=same)
    _check_head_width(parent, head_width)
    if units != "new" and not head_width % parent.head_width:
        return _tiled(parent.head_width, times=head_width // parent.head_width, units=units)
    scale = (head_width / parent.head_width) ** 0.25
    value = extended(parent.head_width, to=head_width)
    query = replace(
        value,
        writes=(scale,) * head_width,
        reads=tuple(read / scale for read in value.reads),
    )
    return HeadWidth(query=query, key=replace(query, fill="zero"), value=value)


def _check_head_width(parent: GPTConfig, head_width: int) -> None:
    got = f"head_width {parent.head_width} -> {head_width}"
    if parent.positions == "rotary":
        raise GrowthError(
            "heads of the parent's width, whose rotary angles depend on it",
            got=got,
            fix=f"more heads with head_width={parent.head_width}",
        )
    if parent.qk_norm:
        raise GrowthError(
            "heads of the parent's width, since a norm on queries and keys undoes any scaling",
            got=got,
            fix=f"more heads with head_width={parent.head_width}",
        )


def _tiled(size: int, *, times: int, units: str) -> HeadWidth:
    """Return maps to k copies of each coordinate, which share values and scores.

    A copy with share r of a score takes the root of r sqrt(k) on queries and on keys. No matrix
    reads these, so that there is no place for noise: an uneven split parts them instead.
    """
    value, scored = (
        product(split((0,) * times, parent_size=1, units=each), identity(size))
        for each in (units, "uneven" if units == "noised" else units)
    )
    root = math.sqrt(times)
    scored = replace(
        scored,
        writes=tuple(math.sqrt(share * root) for share in scored.reads),
        reads=tuple(math.sqrt(share / root) for share in scored.reads),
    )
    return HeadWidth(query=scored, key=scored, value=value)
