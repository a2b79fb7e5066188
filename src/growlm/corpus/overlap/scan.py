"""The scan: documents streamed once past the index, and what of it each of them holds."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64

from growlm.corpus.arrays import NDArray
from growlm.corpus.overlap.canonical import (
    EDGE,
    character_spans,
    joined_alnum,
    words,
    words_with_spans,
)
from growlm.corpus.overlap.hashing import ngrams, windows, word_hashes
from growlm.corpus.overlap.index import GRAMS, RUN, STRIDE, WINDOW, Grams, Index
from growlm.corpus.overlap.skipping import LEAST_WORDS, matched_words
from growlm.corpus.spans import Span, merged
from growlm.recipe.overlap import Rules

BATCH_CHARACTERS = 1 << 20
"""Text that is scanned at once; a longer document is scanned alone."""

_MARGIN = RUN - WINDOW
"""Letters that must match beyond a window for a run to be reported."""


@runtime_checkable
class Named(Protocol):
    """A text with a name: all that is asked of a document."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def text(self) -> str:
        """What it says; spans count its characters."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The same letters in a text of a benchmark and in a document, as long as they are the same."""

    text: Span
    """Where in the benchmark's text, in letters."""
    document: Span
    """Where in the document, in letters."""
    characters: Span
    """Where in the document, in characters, whole words."""

    @property
    def length(self) -> int:
        """Its letters."""
        return self.text[1] - self.text[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One text of a benchmark in one document."""

    text: int
    """The number of the text in the index."""
    runs: tuple[Run, ...]
    """The runs of at least a window; at least one is reportable, unless only words match."""
    grams: Mapping[int, frozenset[int]]
    """For each number of words in a row, the words of the text that such a match begins with."""
    skipping: tuple[Span, ...]
    """Matches of words with a few that differ, as Llama 2 counts them, in words of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """Thirteen words of a benchmark in a document."""

    gram: int
    """Their hash."""
    characters: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one document holds of the benchmarks."""

    document: str
    characters: int
    """Characters of the document."""
    matches: tuple[Match, ...]
    shorts: tuple[tuple[int, Span], ...]
    """Short texts that it holds whole, and where, in characters."""
    collisions: tuple[Collision, ...]


@dataclass(frozen=True)
class _Batch:
    """Documents whose letters are scanned together."""

    documents: list[Named]
    joined: bytes
    """The letters of them all, with an edge before each; texts of the index have another."""
    starts: Int64[NDArray[np.int64], " D"]
    """Where each of them begins."""

    @classmethod
    def of(cls, documents: list[Named]) -> "_Batch":
        letters = joined_alnum(document.text for document in documents)
        edges = np.flatnonzero(np.frombuffer(letters, dtype=np.uint8) == EDGE[0])
        joined = letters + EDGE * (WINDOW + STRIDE)
        return cls(documents=documents, joined=joined, starts=edges + 1)

    @cached_property
    def letters(self) -> UInt8[NDArray[np.uint8], " N"]:
        return np.frombuffer(self.joined, dtype=np.uint8)


def scan(
    index: Index, documents: Iterable[Named], *, rules: Rules, tally: Counter[str]
) -> Iterator[Found]:
    """Yield every document that holds something of the benchmarks, in the order they come.

    A run of letters that a text and a document share is found, and is as long as it can be, if it
    has 32 or more; only one in which every window looked up is a hot one can be missed.

    Args:
        index: What is looked for.
        documents: Read once, a megabyte at a time.
        rules: ``exact`` looks for words in a row everywhere, and is slower; ``fast`` only inside
            reportable runs, which hold every match of 32 letters or more.
        tally: Counts ``documents`` and ``characters``, as they are read.
    """
    for batch in _batches(documents, tally):
        places = _reportable(index, batch)
        shorts = index.shorts.found(batch.joined, batch.starts)
        everywhere = rules == "exact"
        asked = range(len(batch.documents)) if everywhere else sorted({*places, *shorts})
        for number in asked:
            document = batch.documents[number]
            found = _found(
                index,
                document,
                runs=_runs(index, batch, number, places),
                shorts=index.shorts.confirmed(document.text, shorts.get(number, [])),
                rules=rules,
            )
            if found is not None:
                yield found


def _batches(documents: Iterable[Named], tally: Counter[str]) -> Iterator[_Batch]:
    batch: list[Named] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        tally["documents"] += 1
        tally["characters"] += len(document.text)
        if size >= BATCH_CHARACTERS:
            yield _Batch.of(batch)
            batch, size = [], 0
    if batch:
        yield _Batch.of(batch)


@dataclass(frozen=True)
class _Places:
    """Where windows of a batch stand in the index."""

    here: Int64[NDArray[np.int64], "N"]
    there: Int64[NDArray[np.int64], "N"]
    documents: Int64[NDArray[np.int64], "N"]
    texts: Int64[NDArray[np.int64], "N"]


def _reportable(index: Index, batch: _Batch) -> dict[int, _Places]:
    """Return, by document, the windows that match in those texts of which a run is reportable."""
    here, there = _matching(index, windows(batch.letters, size=WINDOW, stride=STRIDE))
    if not len(here):
        return {}
    document_N = np.searchsorted(batch.starts, here, side="right") - 1
    text_N = np.searchsorted(index.starts, there, side="right") - 1
    pair_N = document_N * len(index.texts) + text_N
    kept = np.isin(pair_N, pair_N[_long_enough(index.letters, batch.letters, here, there)])
    order = np.flatnonzero(kept)
    return {
        int(number): _Places(here[at], there[at], document_N[at], text_N[at])
        for number in np.unique(document_N[order])
        for at in (order[document_N[order] == number],)
    }


def _matching(
    index: Index, hashes_M: UInt64[NDArray[np.uint64], "M"]
) -> tuple[Int64[NDArray[np.int64], " N"], Int64[NDArray[np.int64], " N"]]:
    """Return where windows of a batch and of the index are the same."""
    asked_N = index.sieve.passing(hashes_M)
    hashes_N = hashes_M[asked_N]
    number_N = np.minimum(np.searchsorted(index.hashes, hashes_N), len(index.hashes) - 1)
    same_N = (index.hashes[number_N] == hashes_N) & ~index.hot[number_N]
    asked_N, number_N = asked_N[same_N], number_N[same_N]
    first_N = index.first[number_N]
    counts_N = index.first[number_N + 1] - first_N
    total = int(counts_N.sum())
    begins_N = first_N - (np.cumsum(counts_N) - counts_N)
    place = np.repeat(begins_N, counts_N) + np.arange(total, dtype=np.int64)
    return np.repeat(asked_N * STRIDE, counts_N), index.places[place]


def _long_enough(
    texts_M: UInt8[NDArray[np.uint8], "M"],
    bytes_N: UInt8[NDArray[np.uint8], "N"],
    here: Int64[NDArray[np.int64], "K"],
    there: Int64[NDArray[np.int64], "K"],
) -> Bool[NDArray[np.bool_], "K"]:
    """Return which matching windows lie in a run that is reportable."""
    reach = np.zeros(len(here), dtype=np.int64)
    for step in (-1, 1):
        alive = np.ones(len(here), dtype=np.bool_)
        edge = 0 if step < 0 else WINDOW - 1
        for away in range(1, _MARGIN + 1):
            offset = edge + step * away
            # Batches end in edges and texts in padding, so nothing alive reaches beyond them.
            mine = np.clip(here + offset, 0, len(bytes_N) - 1)
            alive &= texts_M[there + offset] == bytes_N[mine]
            reach += alive
    return reach >= _MARGIN


def _runs(
    index: Index, batch: _Batch, number: int, places: Mapping[int, _Places]
) -> dict[int, list[Run]]:
    """Return a document's runs by text, each as long as it can be."""
    if number not in places:
        return {}
    at, begin = places[number], int(batch.starts[number])
    mine = batch.letters[begin:]
    found: list[tuple[int, Span, Span]] = []
    done: dict[int, int] = {}
    rows = np.stack([at.here - begin, at.there, at.texts], axis=1).tolist()
    for here, there, text in cast(list[tuple[int, int, int]], rows):
        diagonal = here - there
        if done.get(diagonal, -1) > here:
            continue
        theirs = index.letters
        back = _same(mine[:here][::-1], theirs[:there][::-1])
        forth = _same(mine[here:], theirs[there:])
        first, last = here - back, here + forth
        done[diagonal] = last
        shift = -diagonal - index.texts[text].start
        found.append((text, (first + shift, last + shift), (first, last)))
    characters = character_spans(batch.documents[number].text, [span for _, _, span in found])
    runs: dict[int, list[Run]] = defaultdict(list)
    for (text, theirs, span), shown in zip(found, characters, strict=True):
        runs[text].append(Run(text=theirs, document=span, characters=shown))
    return runs


def _same(first_N: UInt8[NDArray[np.uint8], "N"], second_M: UInt8[NDArray[np.uint8], "M"]) -> int:
    """Return how far two strings are the same."""
    size = 256
    while True:
        length = min(size, len(first_N), len(second_M))
        differing = np.flatnonzero(first_N[:length] != second_M[:length])
        if len(differing) or length < size:
            return int(differing[0]) if len(differing) else length
        size *= 4


def _found(
    index: Index,
    document: Named,
    *,
    runs: Mapping[int, Sequence[Run]],
    shorts: list[tuple[int, Span]],
    rules: Rules,
) -> Found | None:
    text = document.text
    long = [run.characters for each in runs.values() for run in each if run.length >= RUN]
    inside = merged(long) if rules == "fast" else [(0, len(text))]
    grams, collisions = _grams(index, text, inside)
    if not runs and not shorts and not grams:
        return None
    matches = [
        Match(
            text=number,
            runs=tuple(runs.get(number, ())),
            grams={size: frozenset(places) for size, places in grams.get(number, {}).items()},
            skipping=_skipping(index, number, text, runs.get(number, ())),
        )
        for number in sorted({*runs, *grams})
    ]
    return Found(
        document=document.name,
        characters=len(text),
        matches=tuple(matches),
        shorts=tuple(shorts),
        collisions=tuple(collisions),
    )


def _grams(
    index: Index, text: str, inside: Sequence[Span]
) -> tuple[dict[int, dict[int, set[int]]], list[Collision]]:
    """Return which words in a row stand inside spans of a document: by text and size; and where."""
    found: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    collisions: list[Collision] = []
    for lo, hi in inside:
        part = text[lo:hi]
        hashes = word_hashes(words(part))
        for size, mine in ngrams(hashes, sizes=index.grams).items():
            rows = list(_rows(index.grams[size], mine))
            for _, text_number, place in rows:
                found[text_number][size].add(place)
            if size == GRAMS[1] and rows:
                spans = words_with_spans(part)[1]
                collisions += [
                    Collision(
                        gram=int(mine[at]),
                        characters=(lo + spans[at][0], lo + spans[at + size - 1][1]),
                    )
                    for at in dict.fromkeys(at for at, _, _ in rows)
                ]
    return found, collisions


def _rows(grams: Grams, mine_N: UInt64[NDArray[np.uint64], "N"]) -> Iterator[tuple[int, int, int]]:
    """Yield where words in a row are a text's: the place here, the text, the place there."""
    asked = grams.sieve.passing(mine_N)
    first = np.searchsorted(grams.hashes, mine_N[asked], side="left")
    last = np.searchsorted(grams.hashes, mine_N[asked], side="right")
    for each in np.flatnonzero(last > first):
        for row in range(first[each], last[each]):
            yield int(asked[each]), int(grams.text_numbers[row]), int(grams.places[row])


def _skipping(index: Index, number: int, text: str, runs: Sequence[Run]) -> tuple[Span, ...]:
    """Return matches of words, a few of which differ, around the reportable runs of a text."""
    theirs = index.texts[number].words
    long = [run.characters for run in runs if run.length >= RUN]
    if len(theirs) < LEAST_WORDS or not long:
        return ()
    # Twice the text's letters hold all its words and blanks, but for the oddest of layouts.
    around = 2 * sum(map(len, theirs))
    spans: set[Span] = set()
    for lo, hi in merged((lo - around, hi + around) for lo, hi in long):
        spans.update(matched_words(theirs, words(text[max(0, lo) : hi])))
    return tuple(sorted(spans))
