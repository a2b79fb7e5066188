"""What of a source is read: not what stands elsewhere, and not what rulings take away."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from growlm.corpus.chunks import without
from growlm.corpus.documents import Document
from growlm.corpus.duplicates import NOTHING, Skipped
from growlm.corpus.overlap.rulings import Piece, Ruling, pieces
from growlm.corpus.split import held_out

DROPPED, CUT = "overlap_dropped", "overlap_cut"
"""What becomes of documents in which examples of benchmarks stand, as it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of a source is left out, and why."""

    duplicates: Skipped = NOTHING
    """What stands elsewhere."""

    rulings: Mapping[str, Sequence[Ruling]] = field(default_factory=dict[str, Sequence[Ruling]])
    """What happens about examples of benchmarks that stand in documents, by a document's name."""

    benchmarks: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it was searched for: SHA-256 of each benchmark's file, by name."""


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A document as it is read, or a part of one."""

    document: Document
    """With the part's own text."""

    held_out: bool

    piece: Piece | None
    """What examples stand in it; None where none does, or where it is held out."""


def remaining(
    found: Iterable[Document], skipped: Skipped, tally: Counter[str]
) -> Iterator[Document]:
    """Yield the documents that stand nowhere else, and of others what does not.

    Args:
        found: A source's documents.
        skipped: What of it stands elsewhere.
        tally: Counts ``duplicates`` and ``trimmed``.
    """
    for document in found:
        if skipped.dropped and document.uid in skipped.dropped:
            tally["duplicates"] += 1
        elif skipped.trimmed and document.uid in skipped.trimmed:
            tally["trimmed"] += 1
            yield replace(document, text=without(document.text, skipped.trimmed[document.uid]))
        else:
            yield document


def parts(
    found: Iterable[Document], selection: Selection, *, share: float, tally: Counter[str]
) -> Iterator[Part]:
    """Yield what is read of a source's documents; those held out stay whole.

    Args:
        found: The documents.
        selection: What of them is left out.
        share: Share of the documents to hold out.
        tally: Counts what is left out.
    """
    for document in remaining(found, selection.duplicates, tally):
        apart = held_out(document, share=share)
        ruled = () if apart else selection.rulings.get(document.name, ())
        if not ruled:
            yield Part(document=document, held_out=apart, piece=None)
            continue
        left = pieces(document.text, ruled)
        tally[DROPPED] += not left
        tally[CUT] += bool(left) and [piece.text for piece in left] != [document.text]
        for piece in left:
            text = replace(document, text=piece.text)
            yield Part(document=text, held_out=False, piece=piece)
