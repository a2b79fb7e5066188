"""What the tests of overlap share: benchmarks, documents, and the definitions byte by byte."""

import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from growlm.corpus.overlap.benchmark import PLAIN, Benchmark, Example
from growlm.corpus.overlap.index import build
from growlm.corpus.overlap.scan import scan


class Page(NamedTuple):
    """A document as the scan takes it."""

    name: str
    text: str


def canon(text: str) -> bytes:
    """Return NFKC in lower case, as UTF-8."""
    return unicodedata.normalize("NFKC", text).lower().encode(errors="ignore")


def content(text: str) -> tuple[bytes, list[int], bytes]:
    """Return the letters of a text, the offset of each in ``canon``, and the words with blanks."""
    given, kept, spaced = canon(text), [], bytearray()
    at = 0
    while at < len(given):
        byte = given[at]
        length = 3 if byte == 0xE2 and given[at + 1] in (0x80, 0x81) else 2 if byte == 0xC2 else 1
        if length == 1 and (byte >= 0x80 or chr(byte).isalnum()):
            kept.append(at)
            spaced.append(byte)
        elif byte <= 0x20:
            spaced += b" "
        at += length
    return bytes(given[each] for each in kept), kept, bytes(spaced)


@pytest.fixture(scope="session")
def by_definition() -> Callable[[str], tuple[bytes, list[int], bytes]]:
    return content


def make_benchmark(*texts: Any, name: str = "mine") -> Benchmark:
    """Return a benchmark of texts, or of texts and their answers."""
    examples = []
    for index, each in enumerate(texts):
        text, answer = (each, None) if isinstance(each, str) else each
        span = (len(text), len(text) + 1 + len(answer)) if answer else None
        whole = f"{text} {answer}" if answer else text
        examples.append(Example(index=index, text=whole, answer=span, context=None))
    return Benchmark(name=name, path=name, sha256="", fields=PLAIN, examples=tuple(examples))


@pytest.fixture(scope="session")
def benchmark_of() -> Callable[..., Benchmark]:
    return make_benchmark


@pytest.fixture(scope="session")
def scanned() -> Callable[..., Any]:
    """Return a function: texts of a benchmark, documents -> the index and what was found."""

    def run(texts: Any, documents: Any, rules: Any = "fast") -> Any:
        index = build([make_benchmark(*texts)])
        pages = [Page(f"d{number}", text) for number, text in enumerate(documents)]
        return index, list(scan(index, pages, rules=rules, tally=Counter()))

    return run


NOUNS = (
    "river mountain garden window letter music winter summer planet engine market bridge "
    "forest island castle village teacher doctor writer painter silver copper golden marble "
    "velvet thunder shadow candle mirror lantern"
)


@pytest.fixture(scope="session")
def prose() -> Callable[..., str]:
    """Return a function: a seed -> words that hardly ever come twice in the same order."""

    def make(seed: int, words: int = 60) -> str:
        return " ".join(map(str, np.random.default_rng(seed).choice(NOUNS.split(), words)))

    return make
