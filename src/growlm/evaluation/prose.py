"""Prose inside documentation: runs of whole sentences, without code, tables, lists, headings."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PLAIN_WORDS_SHARE = 0.8
"""Share of a sentence's words that are letters only; below it, the sentence is rather code."""

OPENING = "\"'`*(\u2018\u201c"
"""What may stand before a word."""

CLOSING = "\"'`*)\u2019\u201d"
"""What may stand after a word, before or after its full stop."""

_BLANK_LINES = re.compile(r"\n\s*\n")
_TITLE = re.compile(r"\S*[^\s.!?:;,]")
_MARK = re.compile(r">>>|\.\.|(?:[*+\-]|\(?(?:\d+|\w)[.)])\s|[\u2022#|$%@:=~]|(\W)\1{2}|\[\d+\]")
_COLUMNS = re.compile(r"(?<![.!?:])\s{2,}|[.!?:]\s{3,}|\t|\s--\s")
_CODE = re.compile(r"::|[{}<>\\=^~|]|->")
_LETTERS = r"[^\W\d_]+"
_PLAIN_WORD = re.compile(
    rf"[{OPENING}]*{_LETTERS}(?:[-'\u2019]{_LETTERS})*[{CLOSING}]*[.,;:!?]*[{CLOSING}]*"
)
_GAP = re.compile(rf"\s+(?=[{OPENING}]*[^\W\d_a-z])")
_FULL_STOP = re.compile(rf"[.!?][{CLOSING}]*$")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|ie|etc|cf|vs|viz|resp|no|fig|sec|ch|pp?|mr|mrs|ms|dr|st|prof)|\b[a-z])\.$",
    re.IGNORECASE,
)
_WHOLE = re.compile(rf"(?:[{OPENING}]+[^\W\d]|[^\W\d_a-z]).*[.!?][{CLOSING}]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A whole sentence on one line."""

    text: str

    opens_paragraph: bool
    """Whether a blank line stands before it."""


def prose_runs(document: str) -> Iterator[tuple[Sentence, ...]]:
    """Yield the longest runs of sentences with nothing else between them.

    A paragraph is prose when its lines share an indentation and have no columns, and none begins
    with a mark: a prompt, a bullet, a number, a ruler, a comment. Its sentences count when they
    open with a capital or a quotation, close with a full stop, and read as words. Anything else
    ends the run, and so does a heading of one word.

    Args:
        document: Plain text; blank lines part its paragraphs.
    """
    run: list[Sentence] = []
    for sentence in _sentences_and_breaks(document):
        if sentence is not None:
            run.append(sentence)
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def join(sentences: Sequence[Sentence]) -> str:
    """Return sentences as text: a blank line between paragraphs, a space between the others."""
    text = "".join(("\n\n" if each.opens_paragraph else " ") + each.text for each in sentences)
    return text.lstrip()


def _sentences_and_breaks(document: str) -> Iterator[Sentence | None]:
    """Yield sentences, and None wherever a run ends."""
    for block in _BLANK_LINES.split(document):
        lines = [line for line in block.splitlines() if line.strip()]
        if lines and _TITLE.fullmatch(lines[0].strip()):
            yield None
            lines = lines[1:]
        if not _is_prose(lines):
            yield None
            continue
        paragraph = " ".join(" ".join(lines).split())
        for number, text in enumerate(_split(paragraph)):
            yield Sentence(text=text, opens_paragraph=number == 0) if _is_whole(text) else None


def _is_prose(lines: list[str]) -> bool:
    """Return whether lines are a paragraph: evenly indented, without marks or columns."""
    indents = [len(line) - len(line.lstrip()) for line in lines]
    stripped = [line.strip() for line in lines]
    return (
        bool(lines)
        and len(set(indents[1:])) <= 1
        and indents[0] >= indents[-1]
        and not any(_MARK.match(line) or _COLUMNS.search(line) for line in stripped)
    )


def _split(paragraph: str) -> Iterator[str]:
    """Yield a paragraph's sentences; an abbreviation or an initial ends none."""
    start = 0
    for gap in _GAP.finditer(paragraph):
        sentence = paragraph[start : gap.start()]
        if _FULL_STOP.search(sentence) and not _ABBREVIATION.search(sentence):
            yield sentence
            start = gap.end()
    yield paragraph[start:]


def _is_whole(sentence: str) -> bool:
    """Return whether a sentence is complete and mostly words."""
    words = sentence.split()
    plain_words = sum(_PLAIN_WORD.fullmatch(word) is not None for word in words)
    return (
        _WHOLE.fullmatch(sentence) is not None
        and _CODE.search(sentence) is None
        and plain_words >= PLAIN_WORDS_SHARE * len(words)
    )
