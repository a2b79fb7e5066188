"""Letters and digits of one text or many, without blanks, and where in a text they stand."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from growlm.corpus.canonical import alnum as without_blanks, canonical

BLOCK_CHARACTERS = 4096
"""What is counted through at once when a place in a text is looked for."""

EDGE = b"\x01"
"""Parts texts that stand one after the other; it is in no canonical form."""

_BOUNDARY = re.compile("[ \t\n\r\v\f\u3400-\u9fff]")
_BLANKS = " \t\n\r\v\f"
_BETWEEN_BLANKS = re.compile(r"[^\x00-\x20]+")
_LETTER = re.compile("[0-9A-Za-z]")
_NO_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalnum())


def alnum(text: str) -> bytes:
    """Return the letters and digits of a text, in lower case and UTF-8, without what is between.

    >>> alnum("Don't PANIC: it's 42 caf\u00e9s!").decode()
    'dontpanicits42caf\u00e9s'
    """
    return without_blanks(canonical(text))


def joined_alnum(texts: Iterable[str]) -> bytes:
    r"""Return ``alnum`` of texts one after the other, with an ``EDGE`` before each.

    >>> joined_alnum(["It's", "", "so!"])
    b'\x01its\x01\x01so'
    """
    return without_blanks(EDGE.join([b"", *map(canonical, texts)]))


def words(text: str) -> list[bytes]:
    """Return the words of a text: its canonical form, cut where blanks are.

    >>> [word.decode() for word in words("Don't PANIC: it's -- 42")]
    ['dont', 'panic', 'its', '42']
    """
    return canonical(text).split()


def words_with_spans(text: str) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Return the words of a text, and for each the characters that it was made of.

    Words that no ASCII whitespace parts share one span.
    """
    pieces = _BETWEEN_BLANKS.finditer(text)
    if text.isascii():  # one word each, but where no letter is
        return words(text), [piece.span() for piece in pieces if _LETTER.search(piece[0])]
    found: list[bytes] = []
    spans: list[tuple[int, int]] = []
    for match in pieces:
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
    # Most parts are a word in ASCII, and there are many: no call for each.
    lengths = (
        len(part.encode().translate(None, _NO_LETTERS)) if part.isascii() else len(alnum(part))
        for part in (text[lo:hi] for lo, hi in spans)
    )
    return _Cut(spans=spans, ends=list(accumulate(lengths)))


def _pieces(text: str, start: int, end: int, at_least: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of ``text[start:end]``, cut at the first boundary after ``at_least``."""
    while start < end:
        match = _BOUNDARY.search(text, start + at_least, end)
        stop = match.start() if match else end
        yield start, stop
        start = stop
