"""Cleaning that a source asks for by name: each step is a function from text to text."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from growlm.corpus.optional import missing

MOST_REPLACED = 0.01
"""Share of U+FFFD above which ``undecodable`` leaves nothing."""

LANGUAGE_CHARACTERS = 2_000
"""Characters that a language is told from."""

_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{4,}")

_GUTENBERG_HEAD = re.compile(
    r"^.{0,3}\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG EBOOK.*\n"
    r"|^\*END[* ]*THE SMALL PRINT! FOR PUBLIC DOMAIN E(?:TEXT|BOOK)S.*\n",
    re.MULTILINE | re.IGNORECASE,
)
_GUTENBERG_CREDIT = re.compile(
    r"\s*(?:produced by|e-?text prepared by|transcribed (?:from|by)|this etext was)[^\n]*"
    r"(?:\n[^\n]+)*\n\s*\n",
    re.IGNORECASE,
)
_GUTENBERG_FOOT = re.compile(
    r"^.{0,3}\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG EBOOK.*"
    r"|^\s*End of (?:the |this )?Project Gutenberg(?:'s| EBook| Etext).*",
    re.MULTILINE | re.IGNORECASE,
)


def ftfy(text: str) -> str:
    """Return the text with its mojibake mended, as ftfy does; its letters stay as they are.

    Raises:
        CorpusError: The package is missing.
    """
    try:
        from ftfy import TextFixerConfig, fix_text  # only a source that asks needs it
    except ImportError as error:
        raise missing("ftfy", extra="clean", purpose='clean with "ftfy"') from error
    kept = TextFixerConfig(normalization=None, uncurl_quotes=False, fix_latin_ligatures=False)
    return fix_text(text, kept)


def nfc(text: str) -> str:
    """Return the text with letters and their marks composed: Unicode's form C."""
    return unicodedata.normalize("NFC", text)


def spaces(text: str) -> str:
    r"""Return the text without blanks at the ends of lines, and with at most two empty lines.

    >>> spaces("a  \n\n\n\n\nb")
    'a\n\n\nb'
    """
    return _BLANK_LINES.sub("\n\n\n", _TRAILING.sub("", text))


def gutenberg(text: str) -> str:
    """Return a book without what Project Gutenberg prints before and behind it.

    Without its marks the text stays as it is. A head is looked for in the first half, a foot
    behind the head.
    """
    heads = [mark for mark in _GUTENBERG_HEAD.finditer(text) if mark.start() <= len(text) // 2]
    start = heads[-1].end() if heads else 0
    if heads and (credit := _GUTENBERG_CREDIT.match(text, start)):
        start = credit.end()
    foot = _GUTENBERG_FOOT.search(text, start)
    if foot is None and not heads:
        return text
    return text[start : foot.start() if foot else len(text)].strip()


def undecodable(text: str) -> str:
    """Return the text, or nothing where too much of it stands for bytes that were no UTF-8."""
    return "" if text.count("\ufffd") > MOST_REPLACED * len(text) else text


STEPS: dict[str, Callable[[str], str]] = {
    "ftfy": ftfy,
    "nfc": nfc,
    "spaces": spaces,
    "gutenberg": gutenberg,
    "undecodable": undecodable,
}
"""Every step, by the name that recipes use."""


def cleaned(text: str, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the text after some steps, in their order, and the names of those that changed it.

    Args:
        text: Cleaned as every text is.
        names: Of the steps.

    Raises:
        CorpusError: A package for a step is missing.
    """
    changed: list[str] = []
    for name in names:
        after = STEPS[name](text)
        if after != text:
            changed.append(name)
        text = after
    return text.strip("\n") if changed else text, tuple(changed)


def language_of(text: str) -> str:
    """Return the language of a text's beginning as ISO 639-1 has it, such as ``en``.

    Raises:
        CorpusError: The package is missing.
    """
    try:
        import py3langid  # pyright: ignore[reportMissingImports] - only a source that asks needs it
    except ImportError as error:
        raise missing("py3langid", extra="clean", purpose="tell languages") from error
    library: Any = py3langid
    return str(library.classify(text[:LANGUAGE_CHARACTERS])[0])


def versions(names: Sequence[str], *, language: bool) -> dict[str, str]:
    """Return the versions of what the steps' results depend on."""
    packages = [*(["ftfy"] if "ftfy" in names else []), *(["py3langid"] if language else [])]
    known = {"unicode": unicodedata.unidata_version} if "nfc" in names else {}
    return known | {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "missing"
