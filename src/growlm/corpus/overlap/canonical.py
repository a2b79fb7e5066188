"""The canonical form: what is left of a text when case, blanks and punctuation do not count."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

VERSION = 1
"""Grows with every change of a rule; reports carry it, and Unicode's version beside it."""

MOST_CHANGES = 8
"""Characters replaced one after the other; beyond that, the whole text is normalized at once."""

BLOCK_CHARACTERS = 4096
"""What is counted through at once when a place in a text is looked for."""

EDGE = b"\x01"
"""Parts texts that stand one after the other; it is in no canonical form."""

_ASCII = bytes(range(128))
_SEPARATORS = bytes(range(33))
_LETTERS = bytes(byte for byte in range(128) if chr(byte).isalnum())
_MARKS = bytes(byte for byte in range(33, 128) if byte not in _LETTERS)
_LOWER = bytes(range(256)).lower()
_LOWER_WITH_BLANKS = b" " * len(_SEPARATORS) + _LOWER[len(_SEPARATORS) :]
_DELETED = 0x7F
"""Stands for punctuation outside ASCII; it is punctuation itself."""

_PUNCTUATION = re.compile(rb"\xe2[\x80\x81].|\xc2.", re.DOTALL)
_BOUNDARY = re.compile("[ \t\n\r\v\f\u3400-\u9fff]")
_BLANKS = " \t\n\r\v\f"


def alnum(text: str) -> bytes:
    """Return the letters and digits of a text, in lower case and UTF-8, without what is between.

    The text is brought to NFKC and lower case. Whitespace and punctuation go: of ASCII, of U+0080
    to U+00BF, and of U+2000 to U+207F; everything else stays.

    >>> alnum("Don't PANIC: it's 42 caf\u00e9s!").decode()
    'dontpanicits42caf\u00e9s'
    """
    return _canonical(text).translate(_LOWER, _SEPARATORS + _MARKS)


def joined_alnum(texts: Iterable[str]) -> bytes:
    r"""Return ``alnum`` of texts one after the other, with an ``EDGE`` before each.

    >>> joined_alnum(["It's", "", "so!"])
    b'\x01its\x01\x01so'
    """
    parts = (_prepared(text).replace(EDGE, b" ") for text in texts)
    joined = _without_punctuation(EDGE.join([b"", *parts]))
    return joined.translate(_LOWER, _SEPARATORS.replace(EDGE, b"") + _MARKS)


def words(text: str) -> list[bytes]:
    """Return the words of a text: as ``alnum`` has it, cut where whitespace is.

    >>> [word.decode() for word in words("Don't PANIC: it's -- 42")]
    ['dont', 'panic', 'its', '42']
    """
    return _canonical(text).translate(_LOWER_WITH_BLANKS, _MARKS).split()


def words_with_spans(text: str) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Return the words of a text, and for each the characters that it was made of.

    Words that no ASCII whitespace parts share one span.
    """
    found: list[bytes] = []
    spans: list[tuple[int, int]] = []
    for match in re.finditer(r"[^\x00-\x20]+", text):
        inside = words(match[0])
        found += inside
        spans += [match.span()] * len(inside)
    return found, spans


def character_spans(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where spans of ``alnum(text)`` lie in the text, in characters, by whole words.

    A word begins at ASCII whitespace, or at an ideograph of U+3400 to U+9FFF: pieces cut there
    have canonical forms that add up to that of the whole.
    """
    if not spans:
        return []
    blocks = _cut(text, 0, len(text), at_least=BLOCK_CHARACTERS)
    cut: dict[int, _Cut] = {}

    def piece(offset: int) -> tuple[int, int]:
        number = bisect_right(blocks.ends, offset)
        if number not in cut:
            cut[number] = _cut(text, *blocks.spans[number], at_least=1)
        inside = cut[number]
        offset -= blocks.ends[number - 1] if number else 0
        lo, hi = inside.spans[bisect_right(inside.ends, offset)]
        return lo + (text[lo] in _BLANKS), hi

    return [(piece(first)[0], piece(last - 1)[1]) for first, last in spans]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A stretch of text in pieces whose canonical forms add up to its own."""

    spans: list[tuple[int, int]]
    """Where each piece lies, in characters."""
    ends: list[int]
    """How much of the canonical form has passed at the end of each."""


def _cut(text: str, start: int, end: int, *, at_least: int) -> _Cut:
    spans = list(_pieces(text, start, end, at_least))
    return _Cut(spans=spans, ends=list(accumulate(len(alnum(text[lo:hi])) for lo, hi in spans)))


def _pieces(text: str, start: int, end: int, at_least: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of ``text[start:end]``, cut at the first boundary after ``at_least``."""
    while start < end:
        match = _BOUNDARY.search(text, start + at_least, end)
        stop = match.start() if match else end
        yield start, stop
        start = stop


def _canonical(text: str) -> bytes:
    """Return the canonical bytes of a text, with ASCII capitals and all ASCII punctuation left."""
    return _without_punctuation(_prepared(text))


def _prepared(text: str) -> bytes:
    """Return the same with some punctuation outside ASCII left."""
    content = text.encode(errors="ignore")
    if text.isascii():
        return content
    kinds = {kind: _alone(kind) for kind in set(content.translate(None, _ASCII).decode())}
    changes = {kind: form for kind, form in kinds.items() if form != _kept(kind)}
    if None in kinds.values() or len(changes) > MOST_CHANGES:
        return _PUNCTUATION.sub(b"", _normalized(text))
    for kind, form in changes.items():
        content = content.replace(kind.encode(), form or b"")
    return content


def _normalized(text: str) -> bytes:
    return unicodedata.normalize("NFKC", text).lower().encode(errors="ignore")


@lru_cache(maxsize=1 << 14)
def _alone(kind: str) -> bytes | None:
    """Return what becomes of a character, or None where that depends on its neighbours.

    It does for marks and jamo, which join what is before them, and for a capital sigma.
    """
    first = unicodedata.normalize("NFKD", kind)[0]
    joins = unicodedata.category(first).startswith("M") or "\u1161" <= first <= "\u11ff"
    if joins or "\u03a3" in unicodedata.normalize("NFKC", kind):
        return None
    return _PUNCTUATION.sub(b"", _normalized(kind))


@lru_cache(maxsize=1 << 14)
def _kept(kind: str) -> bytes:
    """Return what ``_without_punctuation`` leaves of a character."""
    return _PUNCTUATION.sub(b"", kind.encode())


def _without_punctuation(content: bytes) -> bytes:
    """Return UTF-8 with the punctuation outside ASCII overwritten."""
    if content.isascii():
        return content
    bytes_N = np.frombuffer(content, dtype=np.uint8).copy()
    three = np.flatnonzero(bytes_N == 0xE2)
    three = three[(bytes_N[three + 1] & 0xFE) == 0x80]
    for offset in range(3):
        bytes_N[three + offset] = _DELETED
    two = np.flatnonzero(bytes_N == 0xC2)
    for offset in range(2):
        bytes_N[two + offset] = _DELETED
    return bytes_N.tobytes()
