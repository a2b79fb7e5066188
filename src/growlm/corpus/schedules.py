"""What a mixture is made of: sources, weights from a draw on, contexts from a draw on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from growlm.base.errors import CorpusError
from growlm.corpus.weights import quantize

RESERVED = "blk"
"""The name that the permutation of draws has among its keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A source as the mixture sees it: a stream of tokens, cut into slots."""

    name: str
    tokens: int

    def slots(self, slot: int) -> int:
        """Return the slots of one epoch, whatever its offset, with a target after the last."""
        return (self.tokens - slot) // slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """The weights from a draw on, until the next weighting."""

    start_draw: int
    """A multiple of the block."""

    weights: tuple[float, ...]
    """One for each source, relative to the others."""

    @property
    def units(self) -> tuple[int, ...]:
        """The weights as whole numbers."""
        return _units(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The context from a draw on, until the next phase."""

    start_draw: int
    """A multiple of the block."""

    context: int
    """Tokens in a sample; it divides the slot."""


def check_sources(sources: Sequence[Layout]) -> None:
    """Refuse two sources of one name, or one of the name that draws use.

    Raises:
        CorpusError: As said.
    """
    names = [source.name for source in sources]
    if len(set(names)) != len(names) or RESERVED in names:
        raise CorpusError(
            f"sources with names of their own, none of them '{RESERVED}'",
            got=", ".join(names),
            fix="other names",
        )


def check_block(block: int) -> None:
    """Refuse a block that is no power of two.

    Raises:
        CorpusError: As said.
    """
    if block < 1 or block & (block - 1):
        raise CorpusError(
            "a block that is a power of two", got=str(block), fix=str(1 << block.bit_length())
        )


def check_starts(starts: Sequence[int], *, block: int) -> None:
    """Refuse changes out of order or off the grid of blocks.

    Raises:
        CorpusError: As said.
    """
    for start in starts:
        if start % block:
            raise CorpusError(
                f"weights and context to change at a multiple of {block} draws",
                got=f"draw {start}",
                fix=f"{start - start % block} or {start - start % block + block}",
            )
    if not starts or starts[0] or any(later <= earlier for earlier, later in pairwise(starts)):
        raise CorpusError(
            "changes of weights and of context in order, the first at draw 0",
            got=str(list(starts)),
            fix="sorting them",
        )


def check_context(context: int, *, slot: int) -> None:
    """Refuse a context that does not divide the slot.

    Raises:
        CorpusError: As said.
    """
    if context < 1 or slot % context:
        fitting = max(size for size in range(1, max(1, context) + 1) if slot % size == 0)
        raise CorpusError(
            f"a context that divides the slot of {slot} tokens",
            got=str(context),
            fix=str(fitting),
        )


def check_weighting(weighting: Weighting, sources: Sequence[Layout], *, slot: int) -> None:
    """Refuse weights that are not one for each source, or a source too short to be drawn.

    Raises:
        CorpusError: As said.
    """
    if len(weighting.weights) != len(sources):
        raise CorpusError(
            "a weight for each source",
            got=f"{len(weighting.weights)} weights for {len(sources)} sources",
            fix="0.0 for a source to leave out",
        )
    for source, unit in zip(sources, weighting.units, strict=True):
        if unit and source.tokens < 2 * slot:
            raise CorpusError(
                f"source '{source.name}' to have at least two slots of {slot} tokens",
                got=f"{source.tokens:,} tokens",
                fix="merging it with another source, or a shorter context",
            )


@lru_cache(maxsize=256)
def _units(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Return weights as whole numbers, from memory: every batch asks for them."""
    return quantize(weights)
