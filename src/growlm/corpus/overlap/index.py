"""The index: every window of every benchmark text, and where it stands."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64

from growlm.base.errors import CorpusError
from growlm.corpus.arrays import NDArray
from growlm.corpus.overlap.benchmark import Benchmark
from growlm.corpus.overlap.canonical import alnum, words as words_of
from growlm.corpus.overlap.hashing import hashes_of, ngrams, windows
from growlm.corpus.overlap.shorts import SHORTEST_LETTERS, SHORTEST_WORDS, Shorts, shorts
from growlm.corpus.overlap.sieve import Sieve, sieve

WINDOW = 20
"""Letters of a window; every window of a benchmark is indexed."""

STRIDE = 13
"""Letters from one window of a document that is looked up to the next."""

RUN = WINDOW + STRIDE - 1
"""Letters of the shortest run that is reported; each holds a window that is looked up."""

HOT = 64
"""Places of a window in the benchmarks beyond which it says nothing."""

GRAMS = (8, 13)
"""Words in a row that the published rules count."""

PAD = 64
"""Bytes before and after the texts, so that nothing is read beyond an edge."""

Kind = Literal["long", "short", "untestable"]
"""How a text is looked for: by runs, as a whole, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text of a benchmark; rows that say the same share it."""

    benchmark: int
    """The number of its benchmark."""
    role: Literal["example", "context"]
    words: tuple[bytes, ...]
    stream: bytes
    """Its letters and digits."""
    kind: Kind
    start: int
    """Where it begins among the texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One example of a benchmark, and its texts by number."""

    index: int
    """Its row in the benchmark, from 0."""
    text: int
    context: int | None
    answer: tuple[int, int] | None
    """Where the answer stands in the text, in letters; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grams:
    """All the runs of so many words, sorted by their hash."""

    hashes: UInt64[NDArray[np.uint64], "N"]
    text_numbers: Int64[NDArray[np.int64], "N"]
    places: Int64[NDArray[np.int64], "N"]
    """The word of its text that each begins with."""
    sieve: Sieve


@dataclass(frozen=True)
class Index:
    """Benchmarks, ready to be looked for."""

    benchmarks: tuple[Benchmark, ...]
    texts: tuple[Text, ...]
    items: tuple[tuple[Item, ...], ...]
    """The examples of each benchmark."""
    letters: UInt8[NDArray[np.uint8], "M"]
    """All texts, each closed by a zero."""
    hashes: UInt64[NDArray[np.uint64], "N"]
    """Every different window, sorted."""
    first: Int64[NDArray[np.int64], "N1"]
    """Where the places of each window begin, and where the last ones end."""
    places: Int64[NDArray[np.int64], "P"]
    windows: Int64[NDArray[np.int64], "M"]
    """For each byte, the number of the window that begins there, or -1."""
    sizes: tuple[int, ...]
    """For each benchmark, the words in a row that GPT-3's rule counts."""
    grams: Mapping[int, Grams]
    sieve: Sieve
    """Of the windows."""
    shorts: Shorts

    @cached_property
    def hot(self) -> Bool[NDArray[np.bool_], "N"]:
        """Which windows stand in too many places."""
        return np.diff(self.first) > HOT

    @cached_property
    def starts(self) -> Int64[NDArray[np.int64], "T"]:
        """Where each text begins."""
        return np.array([text.start for text in self.texts], dtype=np.int64)

    @cached_property
    def by_benchmark(self) -> list[list[int]]:
        """The numbers of each benchmark's texts."""
        found: list[list[int]] = [[] for _ in self.benchmarks]
        for number, text in enumerate(self.texts):
            found[text.benchmark].append(number)
        return found

    def undetermined(self) -> frozenset[int]:
        """Return the texts of which more than half the windows stand in too many places."""
        hot_M = np.zeros(len(self.windows), dtype=np.int64)
        inside = self.windows >= 0
        hot_M[inside] = self.hot[self.windows[inside]]
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(hot_M)])
        found: list[int] = []
        for number, text in enumerate(self.texts):
            count = len(text.stream) - WINDOW + 1
            if text.kind == "long" and 2 * int(sums[text.start + count] - sums[text.start]) > count:
                found.append(number)
        return frozenset(found)


def kind_of(words: Sequence[bytes]) -> Kind:
    """Return how a text is looked for."""
    letters = sum(map(len, words))
    if letters >= RUN:
        return "long"
    return "short" if len(words) >= SHORTEST_WORDS and letters >= SHORTEST_LETTERS else "untestable"


def unicode_version() -> str:
    """Return the version of Unicode's tables that texts are normalized by."""
    return unicodedata.unidata_version


def build(benchmarks: Sequence[Benchmark]) -> Index:
    """Return the index of benchmarks.

    Raises:
        CorpusError: A benchmark has no text that could be looked for.
    """
    texts, items = _texts(benchmarks)
    bytes_M = _joined(texts)
    places_P = _window_places(texts)
    hashes_P = windows(bytes_M, size=WINDOW, stride=1)[places_P]
    order = np.argsort(hashes_P, kind="stable")
    hashes_N, first_N = np.unique(hashes_P[order], return_index=True)
    first_N1 = np.append(first_N, len(places_P)).astype(np.int64)
    windows_M = np.full(len(bytes_M), -1, dtype=np.int64)
    windows_M[places_P[order]] = np.repeat(np.arange(len(hashes_N)), np.diff(first_N1))
    sizes = tuple(_gpt3_size(texts, number) for number in range(len(benchmarks)))
    return Index(
        benchmarks=tuple(benchmarks),
        texts=tuple(texts),
        items=items,
        letters=bytes_M,
        hashes=hashes_N,
        first=first_N1,
        places=places_P[order],
        windows=windows_M,
        sizes=sizes,
        grams=_gram_tables(texts, sizes),
        sieve=sieve(hashes_N),
        shorts=shorts({at: each.words for at, each in enumerate(texts) if each.kind == "short"}),
    )


def _texts(benchmarks: Sequence[Benchmark]) -> tuple[list[Text], tuple[tuple[Item, ...], ...]]:
    texts: list[Text] = []
    start = PAD
    numbers: dict[tuple[int, str, tuple[bytes, ...]], int] = {}
    items: list[tuple[Item, ...]] = []

    def number_of(benchmark: int, role: Literal["example", "context"], text: str) -> int:
        nonlocal start
        found = tuple(words_of(text))
        key = (benchmark, role, found)
        if key not in numbers:
            numbers[key] = len(texts)
            stream = b"".join(found)
            texts.append(
                Text(
                    benchmark=benchmark,
                    role=role,
                    words=found,
                    stream=stream,
                    kind=kind_of(found),
                    start=start,
                )
            )
            start += len(stream) + 1
        return numbers[key]

    def passage_of(benchmark: int, context: str | None) -> int | None:
        return None if context is None else number_of(benchmark, "context", context)

    for number, benchmark in enumerate(benchmarks):
        items.append(
            tuple(
                Item(
                    index=example.index,
                    text=number_of(number, "example", example.text),
                    context=passage_of(number, example.context),
                    answer=_letters(example.text, example.answer),
                )
                for example in benchmark.examples
            )
        )
        _check(benchmark, [text for text in texts if text.benchmark == number])
    return texts, tuple(items)


def _letters(text: str, span: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a span in letters; None where it holds none."""
    if span is None:
        return None
    first = len(alnum(text[: span[0]]))
    last = first + len(alnum(text[slice(*span)]))
    return (first, last) if first < last else None


def _check(benchmark: Benchmark, texts: Sequence[Text]) -> None:
    if all(text.kind == "untestable" for text in texts):
        raise CorpusError(
            f"benchmark '{benchmark.name}' to hold a text of {SHORTEST_WORDS} words",
            got=f"{len(texts):,} shorter ones",
            fix="other fields",
        )


def _joined(texts: Sequence[Text]) -> UInt8[NDArray[np.uint8], "M"]:
    parts = [bytes(PAD), *(text.stream + b"\0" for text in texts), bytes(PAD)]
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


def _window_places(texts: Sequence[Text]) -> Int64[NDArray[np.int64], "P"]:
    """Return where windows begin: everywhere in the long texts."""
    places = [
        np.arange(text.start, text.start + len(text.stream) - WINDOW + 1, dtype=np.int64)
        for text in texts
        if text.kind == "long"
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *places])


def _gpt3_size(texts: Sequence[Text], benchmark: int) -> int:
    """Return the 5th percentile of a benchmark's lengths in words, at least 8 and at most 13."""
    lengths = [
        len(text.words) for text in texts if text.benchmark == benchmark and text.role == "example"
    ]
    return min(GRAMS[1], max(GRAMS[0], int(np.percentile(lengths, 5))))


def _gram_tables(texts: Sequence[Text], sizes: Sequence[int]) -> dict[int, Grams]:
    """Return the runs of words of each size; a text of fewer words than a rule counts is one."""
    hashes = _word_hashes(texts)
    wanted = {*GRAMS, *sizes}
    rows: dict[int, list[tuple[int, NDArray[np.uint64]]]] = defaultdict(list)
    for number, text in enumerate(texts):
        if text.kind != "untestable":
            length = len(text.words)
            asked = {size for size in wanted if size <= length} | {min(length, max(wanted))}
            for size, found in ngrams(hashes[number], sizes=asked).items():
                rows[size].append((number, found))
    return {size: _sorted(found) for size, found in rows.items()}


def _word_hashes(texts: Sequence[Text]) -> list[NDArray[np.uint64]]:
    counts = [len(text.words) for text in texts]
    flat = [word for text in texts for word in text.words]
    lengths = np.fromiter(map(len, flat), dtype=np.int64, count=len(flat))
    hashes = hashes_of(np.frombuffer(b"".join(flat), dtype=np.uint8), lengths)
    return np.split(hashes, np.cumsum(counts)[:-1])


def _sorted(rows: Sequence[tuple[int, NDArray[np.uint64]]]) -> Grams:
    hashes = np.concatenate([found for _, found in rows])
    texts = np.repeat([number for number, _ in rows], [len(found) for _, found in rows])
    places = np.concatenate([np.arange(len(found), dtype=np.int64) for _, found in rows])
    order = np.argsort(hashes, kind="stable")
    return Grams(
        hashes=hashes[order],
        text_numbers=texts[order].astype(np.int64),
        places=places[order],
        sieve=sieve(hashes),
    )


def kinds(index: Index, benchmark: int) -> Counter[Kind]:
    """Return how many examples of a benchmark are looked for in each way."""
    return Counter(index.texts[item.text].kind for item in index.items[benchmark])
