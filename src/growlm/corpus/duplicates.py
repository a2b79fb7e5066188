"""Duplicates across sources: the same texts, near ones, books in books; the first one is kept."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from growlm.base.files import digest_of, read_json, remove, write_json, write_text
from growlm.corpus import signed as table
from growlm.corpus.arrays import NDArray
from growlm.corpus.books import Book, found_in_others
from growlm.corpus.clusters import first_of_each
from growlm.corpus.documents import units
from growlm.corpus.engine import Engine
from growlm.corpus.finding import Place
from growlm.corpus.signatures import similarity
from growlm.corpus.signed import Signed
from growlm.corpus.signing import Portion, sign
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.sections import Source

PARTS, CLUSTERS, REPORT = "parts", "clusters.jsonl", "report.json"

PORTION_BYTES = 1 << 26
"""Bytes of files that one task signs, unless a single file is larger."""

LARGEST_SHOWN = 10
"""Clusters that the report shows."""

REASONS = ("kept", "exact", "near", "book")
"""Why a document goes, by its number: not at all, the same text, nearly the same, in a book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What of a source is not trained on, because it stands elsewhere."""

    dropped: frozenset[str]
    """Names of documents."""

    trimmed: Mapping[str, Sequence[tuple[int, int]]]
    """Stretches of words that books lose, by the document's name."""


NOTHING = Skipped(dropped=frozenset(), trimmed={})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What becomes of every document."""

    kept_as: Int64[NDArray[np.int64], "N"]
    """The document that stands for it: itself when it is kept."""

    reasons: UInt8[NDArray[np.uint8], "N"]
    """Its number in ``REASONS``."""

    books: list[Book]
    """Those of which a share that counts stands in others."""


def search(
    sources: Sequence[Source], section: Duplicates, *, folder: Path, out: Path, engine: Engine
) -> dict[str, Any]:
    """Find the duplicates of all sources, write down what goes, and return the report.

    ``out`` gets ``report.json``, ``clusters.jsonl`` with the documents of each cluster, the kept
    one first, and for each source the names of dropped documents and what its books lose.

    Args:
        sources: The recipe's sections, in its order.
        section: What is looked for, and what is kept.
        folder: What relative paths start from.
        out: Where; what another try has signed there of the same text is not signed again.
        engine: What carries the signing out.

    Raises:
        CorpusError: A source cannot be read.
        StorageError: ``out`` cannot be written.
    """
    portions = [
        Portion(source=source, folder=folder, places=places, near=section.near)
        for source in in_order(sources, section.order)
        for places in _portions(source, folder=folder)
    ]
    parts = out / PARTS
    results = engine.run(sign, portions, out=parts, key=_key(portions))
    signed = table.read(parts, portions)
    verdict = _decide(signed, section)
    clusters = list(_clusters(signed, verdict))
    report = {
        "documents": len(signed.documents),
        "bytes": sum(result["bytes"] for result in results),
        "dropped": {source.name: _counts(signed, verdict, source.name) for source in sources},
        "largest": _largest(clusters),
        "books": [_described(signed, book) for book in verdict.books],
    }
    lines = "".join(json.dumps(cluster, ensure_ascii=False) + "\n" for cluster in clusters)
    write_text(out / CLUSTERS, lines)
    for source in sources:
        _write_skipped(out, source.name, signed, verdict)
    write_json(out / REPORT, report)
    remove(parts)
    return report


def in_order(sources: Sequence[Source], order: Sequence[str]) -> list[Source]:
    """Return the sources in the order in which their documents are kept."""
    ranks = {name: rank for rank, name in enumerate(order)}
    return sorted(sources, key=lambda source: ranks.get(source.name, len(ranks)))


def list_of(folder: Path, source: str) -> Path:
    """Return the file that says what of a source stands elsewhere."""
    return folder / "left_out" / f"{source}.json"


def skipped(folder: Path, source: str) -> Skipped:
    """Return what of a source is not trained on, as a search wrote it down.

    Raises:
        StorageError: It cannot be read.
    """
    found = read_json(list_of(folder, source))
    trimmed = {
        uid: tuple((first, last) for first, last in spans)
        for uid, spans in found["trimmed"].items()
    }
    return Skipped(dropped=frozenset(found["dropped"]), trimmed=trimmed)


def _key(portions: Sequence[Portion]) -> str:
    """Return the digest of what is signed; the text itself is the caller's to watch."""
    return digest_of(
        [
            [portion.source.model_dump(mode="json"), [str(each) for each in portion.places]]
            for portion in portions
        ]
        + [str(portions[0].near)]
    )


def _portions(source: Source, *, folder: Path) -> Iterator[tuple[Place, ...]]:
    portion: list[Place] = []
    size = 0
    for place in units(source, folder=folder):
        portion.append(place)
        size += place.stat().st_size if isinstance(place, Path) else PORTION_BYTES
        if size >= PORTION_BYTES:
            yield tuple(portion)
            portion, size = [], 0
    if portion:
        yield tuple(portion)


def _decide(signed: Signed, section: Duplicates) -> _Verdict:
    kept_as = _first_with_the_key(signed.documents["key"])
    itself = np.arange(kept_as.size)
    reasons = np.where(kept_as == itself, 0, 1).astype(np.uint8)
    books: list[Book] = []
    if section.near:
        root = itself.copy()
        root[signed.owners] = signed.owners[
            first_of_each(signed.signatures, least=section.least_similarity)
        ]
        reasons[(reasons == 0) & (root != itself)] = 2
        kept_as = root[kept_as]
        books = list(found_in_others(signed, section, kept=reasons == 0))
    for book in books:
        if book.action == "drop":
            reasons[book.document], kept_as[book.document] = 3, book.held_by[0]
    return _Verdict(kept_as=kept_as[kept_as], reasons=reasons, books=books)


def _first_with_the_key(keys_N2: NDArray[np.uint64]) -> Int64[NDArray[np.int64], "N"]:
    """Return, for each document, the first one with the same key."""
    order = np.lexsort((keys_N2[:, 0], keys_N2[:, 1]))  # stable, so the first comes first
    ranked = keys_N2[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    kept_as = np.empty(len(order), dtype=np.int64)
    kept_as[order] = order[new][np.cumsum(new) - 1]
    return kept_as


def _clusters(signed: Signed, verdict: _Verdict) -> Iterator[dict[str, Any]]:
    members: dict[int, list[int]] = {}
    for document in np.flatnonzero(verdict.reasons).tolist():
        members.setdefault(int(verdict.kept_as[document]), []).append(document)
    for kept in sorted(members):
        dropped: list[dict[str, Any]] = [
            {
                **signed.describe(each),
                "why": REASONS[verdict.reasons[each]],
                **_alike(signed, each, kept),
            }
            for each in members[kept]
        ]
        yield {"kept": signed.describe(kept), "dropped": dropped}


def _alike(signed: Signed, one: int, other: int) -> dict[str, float]:
    """Return how alike two documents are, where both are signed."""
    if min(int(signed.documents["signature"][each]) for each in (one, other)) < 0:
        return {}
    numbers = np.searchsorted(signed.owners, np.array([one, other]))
    rows = signed.signatures.rows(numbers)
    return {"similarity": round(float(similarity(rows[:1], rows[1:])[0]), 4)}


def _counts(signed: Signed, verdict: _Verdict, source: str) -> dict[str, int]:
    mine = verdict.reasons[signed.of(source)]
    return {reason: int((mine == number).sum()) for number, reason in enumerate(REASONS)}


def _largest(clusters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    ranked = sorted(clusters, key=lambda cluster: -len(cluster["dropped"]))[:LARGEST_SHOWN]
    return [{"kept": each["kept"], "documents": len(each["dropped"]) + 1} for each in ranked]


def _described(signed: Signed, book: Book) -> dict[str, Any]:
    return {
        "book": signed.describe(book.document),
        "share": round(book.share, 4),
        "in": [signed.describe(holder) for holder in book.held_by],
        "action": book.action,
    }


def _write_skipped(out: Path, source: str, signed: Signed, verdict: _Verdict) -> None:
    dropped = np.flatnonzero((verdict.reasons != 0) & signed.of(source)).tolist()
    trimmed = {
        signed.uid(book.document): book.spans
        for book in verdict.books
        if book.action == "trim" and signed.source_of(book.document) == source
    }
    content = {"dropped": [signed.uid(document) for document in dropped], "trimmed": trimmed}
    write_json(list_of(out, source), content)
