"""Books inside books: how much of each stands in those before it, chunk by chunk."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from growlm.corpus.arrays import NDArray
from growlm.corpus.clusters import first_of_each
from growlm.corpus.signed import Signed
from growlm.recipe.duplicates import Duplicates


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A book of which words stand in books that are kept."""

    document: int

    share: float
    """Of its words."""

    held_by: tuple[int, ...]
    """The kept books, those with most of its words first."""

    spans: tuple[tuple[int, int], ...]
    """The words in question: the first, and the one after the last, of each chunk."""

    action: str
    """``drop``, ``report`` or ``trim``."""


def found_in_others(
    signed: Signed, section: Duplicates, *, kept: NDArray[np.bool_]
) -> Iterator[Book]:
    """Yield the kept books of which a share that counts stands in books kept before them.

    A book that is dropped holds nothing for those behind it.

    Args:
        signed: All documents.
        section: What counts.
        kept: Which documents are kept otherwise.
    """
    clusters = first_of_each(signed.chunk_signatures, least=section.least_similarity)
    holders: dict[int, int] = {}
    for begin, end in _books(signed):
        document = int(signed.chunks["document"][begin])
        if not kept[document]:
            continue
        book = _judged(signed, range(begin, end), clusters, holders=holders, section=section)
        if book.share >= section.book_report_share:
            yield book
        if book.action != "drop":
            for chunk in range(begin, end):
                holders.setdefault(int(clusters[chunk]), document)


def _books(signed: Signed) -> Iterator[tuple[int, int]]:
    """Yield the chunks of each book: the first, and the one after the last."""
    owners = signed.chunks["document"]
    edges = np.flatnonzero(owners[1:] != owners[:-1]) + 1
    begins, ends = [0, *edges.tolist()], [*edges.tolist(), len(owners)]
    yield from zip(begins, ends, strict=True) if len(owners) else ()


def _judged(
    signed: Signed,
    chunks: range,
    clusters: Int64[NDArray[np.int64], "M"],
    *,
    holders: Mapping[int, int],
    section: Duplicates,
) -> Book:
    document = int(signed.chunks["document"][chunks.start])
    shared: Counter[int] = Counter()
    spans: list[tuple[int, int]] = []
    for chunk in chunks:
        holder = holders.get(int(clusters[chunk]))
        if holder is not None:
            first, last = (int(signed.chunks[edge][chunk]) for edge in ("first", "last"))
            shared[holder] += last - first
            spans.append((first, last))
    share = shared.total() / int(signed.documents["words"][document])
    return Book(
        document=document,
        share=share,
        held_by=tuple(holder for holder, _ in shared.most_common()),
        spans=tuple(spans),
        action="drop" if share >= section.book_drop_share else section.book_parts,
    )
