"""Noise that parts copies: drawn fast, and cancelling over the copies of each source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, cast

import torch
from torch import Tensor

from growlm.base.seeds import seed_for

STEP = sqrt(12) / 2**16
"""Of whole numbers of 16 random bits, so that their standard deviation is one."""

WORD = 4
"""Numbers of 16 bits in what the generator draws at once."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A named stream of numbers, one for each axis of each tensor or block of rows."""

    seed: int
    name: str
    dim: int
    row: int | None
    """Where the block begins; None for a whole tensor."""

    def normal(self, shape: tuple[int, ...], *, std: float, like: Tensor) -> Tensor:
        """Return normal numbers, which fresh weights are made of."""
        return (torch.randn(shape, generator=self._stream()) * std).to(like.dtype)

    def uniform(self, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
        """Return uniform numbers of standard deviation one, 16 random bits each.

        They come several times as fast as normal ones, and part copies just as well.
        """
        count = prod(shape)
        words = torch.empty(-(-count // WORD), dtype=torch.int64)
        words.random_(-(2**63), None, generator=self._stream())
        return words.view(torch.int16)[:count].view(shape).to(like.dtype).mul_(STEP)

    def _stream(self) -> torch.Generator:
        names = (self.name, str(self.dim), *([] if self.row is None else [str(self.row)]))
        return torch.Generator().manual_seed(seed_for(self.seed, *names))


def rms(tensor: Tensor) -> float:
    """Return the root of the mean square, which for weights is their standard deviation."""
    return float(cast(Any, torch.linalg).vector_norm(tensor)) / sqrt(max(tensor.numel(), 1))


def contrasts(count: int) -> tuple[tuple[float, ...], ...]:
    """Return for each of some copies its factors of the draws, one fewer than there are copies.

    Helmert's: the factors of each draw add up to zero over the copies, and their squares to one,
    so that the copies' numbers are as if each had its own draw and their mean were then taken away.

    >>> [[round(factor, 3) for factor in copy] for copy in contrasts(2)]
    [[0.707], [-0.707]]
    """
    return tuple(
        tuple(
            (-float(draw) if copy == draw else float(copy < draw)) / sqrt(draw * (draw + 1))
            for draw in range(1, count)
        )
        for copy in range(count)
    )


def stretches(places: Sequence[int | None]) -> Iterator[tuple[int | None, int]]:
    """Yield stretches of places that follow each other, or of none, and how long they are.

    >>> list(stretches((4, 5, None, None, 1)))
    [(4, 2), (None, 2), (1, 1)]
    """
    start = 0
    for at in range(1, len(places) + 1):
        before = places[at - 1]
        expected = None if before is None else before + 1
        if at == len(places) or places[at] != expected:
            yield places[start], at - start
            start = at


def groups(sources: Sequence[int | None]) -> dict[int, tuple[tuple[int, ...], ...]]:
    """Return by a number of copies, from two, where each first copy stands, each second, and so on.

    >>> groups((0, 1, 2, 0, None, 1))
    {2: ((0, 1), (3, 5))}
    """
    places: dict[int, list[int]] = {}
    for at, source in enumerate(sources):
        if source is not None:
            places.setdefault(source, []).append(at)
    by_count: dict[int, list[list[int]]] = {}
    for each in places.values():
        if len(each) > 1:
            by_count.setdefault(len(each), []).append(each)
    return {count: tuple(zip(*each, strict=True)) for count, each in by_count.items()}


def part(
    grown: Tensor,
    sets: dict[int, tuple[tuple[int, ...], ...]],
    *,
    share: float,
    draw: Draw,
) -> None:
    """Add noise to what reads copies, in place; it sums to zero over the copies of each source.

    Of k copies each is read by a k-th of a weight; the noise is a share of that. It is drawn for
    each of the tensor's other coordinates, so that it tells copies among those apart as well.

    Args:
        grown: The weights, already shared out.
        sets: Where the copies stand along the draw's axis, as ``groups`` gives it.
        share: Standard deviation of the noise of a whole weight.
        draw: The stream.
    """
    dim = draw.dim
    for count, copies in sets.items():
        shape = list(grown.shape)
        shape[dim] = len(copies[0])
        # Taking a mean away leaves (k - 1) / k of the variance; a k-th of the share is wanted.
        scale = share / sqrt(count * (count - 1))
        named = Draw(draw.seed, f"{draw.name}/{count}", dim + 4, draw.row)
        drawn = named.uniform((count - 1, *shape), like=grown)
        for places, factors in zip(copies, contrasts(count), strict=True):
            _add(grown, dim, places, [(f * scale, d) for f, d in zip(factors, drawn, strict=True)])


def _add(
    grown: Tensor, dim: int, places: tuple[int, ...], terms: list[tuple[float, Tensor]]
) -> None:
    """Add multiples of tensors in some places along an axis."""
    begin = 0
    for start, length in stretches(places):
        if start is not None:
            at = grown.narrow(dim, start, length)
            for factor, drawn in terms:
                if factor:
                    at.add_(drawn.narrow(dim, begin, length), alpha=factor)
        begin += length
