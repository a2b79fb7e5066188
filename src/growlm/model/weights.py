"""Weights by name, read when they are asked for: whole, or the vocabulary's rows in blocks."""

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from growlm.model.config import GPTConfig

VOCABULARY = ("embedding.weight", "head.weight")
"""Weights with a row for each token: the largest of a model, and so read block by block."""

ROWS = 1024
"""Rows in a block, at most."""

EVERY = slice(None)
"""All rows of a weight."""


@runtime_checkable  # the shape hook asks
class Read(Protocol):
    """One of a model's weights by its name, whole or a block of its rows.

    Wherever they lie: in memory, in a file, or in the weights of a parent that is growing.
    """

    def __call__(self, name: str, rows: slice = EVERY, /) -> Tensor:
        """Return the weight."""
        ...


def held(weights: Mapping[str, Tensor]) -> Read:
    """Return a reader of weights that are in memory; it copies nothing."""

    def read(name: str, rows: slice = EVERY) -> Tensor:
        return weights[name].detach()[rows]

    return read


def cast(read: Read, dtype: torch.dtype) -> Read:
    """Return a reader of the same weights in another number format."""

    def wide(name: str, rows: slice = EVERY) -> Tensor:
        return read(name, rows).to(dtype)

    return wide


def blocks(rows: int) -> Iterator[slice]:
    """Yield the blocks of so many rows, in their order.

    >>> [(block.start, block.stop) for block in blocks(1500)]
    [(0, 1024), (1024, 1500)]
    """
    for start in range(0, rows, ROWS):
        yield slice(start, min(start + ROWS, rows))


def pieces(read: Read, name: str, config: GPTConfig) -> Iterator[Tensor]:
    """Yield a weight in pieces that follow each other along the first axis; most have one."""
    if name not in VOCABULARY:
        yield read(name)
        return
    for rows in blocks(config.padded_vocab_size):
        yield read(name, rows)
