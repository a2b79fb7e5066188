"""What training can do about an overlap: only report it, mask it, cut it out, or drop the text."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from growlm.corpus.overlap.scan import Found
from growlm.corpus.overlap.score import PARTIAL
from growlm.corpus.spans import Span, merged

LEAST_SCORE = PARTIAL
"""Examples with a smaller score are only reported."""

MARGIN = 200
"""Characters cut on each side of an overlap, and of the shortest piece that stays."""

MOST_PIECES = 10
"""A document that would fall into more is dropped."""

COMMON_DOCUMENTS = 10
"""GPT-3's filter leaves alone what stands in more documents than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtered:
    """What GPT-3's filter would do to a source."""

    documents: int
    """Documents that it touches."""
    dropped: int
    characters: int
    """Characters that it takes away, of dropped documents all."""


def kept_pieces(characters: int, spans: Iterable[Span]) -> list[Span]:
    """Return what stays of a document when spans are cut out with 200 characters on each side.

    Pieces under 200 characters go; where more than ten would stay, nothing does (Brown et al.,
    arXiv:2005.14165, appendix C).
    """
    cuts = merged((max(0, lo - MARGIN), min(characters, hi + MARGIN)) for lo, hi in spans)
    if not cuts:
        return [(0, characters)]
    edges = [0, *(edge for cut in cuts for edge in cut), characters]
    pieces = list(zip(edges[::2], edges[1::2], strict=True))
    long_enough = [(lo, hi) for lo, hi in pieces if hi - lo >= MARGIN]
    return long_enough if len(long_enough) <= MOST_PIECES else []


def touched_tokens(offsets: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    """Return the tokens that touch an overlap, as ranges: as targets they get loss weight 0.

    Args:
        offsets: Where in the document each token lies, in characters, in order.
        spans: The document's overlaps, in characters.
    """
    touched: list[Span] = []
    cuts = merged(spans)
    at = 0
    for number, (lo, hi) in enumerate(offsets):
        while at < len(cuts) and cuts[at][1] <= lo:
            at += 1
        if at < len(cuts) and cuts[at][0] < hi:
            touched.append((number, number + 1))
    return merged(touched)


def gpt3_filter(found: Sequence[Found]) -> Filtered:
    """Return what GPT-3's filter would do: cut where 13 words in a row are a benchmark's."""
    counts = Counter(
        gram for each in found for gram in {collision.gram for collision in each.collisions}
    )
    dropped, characters, touched = 0, 0, 0
    for each in found:
        spans = [
            collision.characters
            for collision in each.collisions
            if counts[collision.gram] <= COMMON_DOCUMENTS
        ]
        if spans:
            pieces = kept_pieces(each.characters, spans)
            touched += 1
            dropped += not pieces
            characters += each.characters - sum(hi - lo for lo, hi in pieces)
    return Filtered(documents=touched, dropped=dropped, characters=characters)
