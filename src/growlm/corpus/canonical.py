"""The canonical form: the words of a text, whatever their case, punctuation and line ends."""

import re
import unicodedata
from functools import lru_cache

CANONICAL_VERSION = 1
"""Grows with every change of a rule; reports carry it, and Unicode's version beside it."""

MOST_KINDS = 48
"""Foreign characters of different kinds up to which each is replaced by itself."""

_ASCII = bytes(range(128))
_BLANKS = bytes(range(33))
_LETTERS = bytes(byte for byte in range(128) if chr(byte).isalnum())
_MARKS = bytes(byte for byte in range(33, 128) if byte not in _LETTERS)
_NOT_ASCII = bytes(range(128, 256))
_TABLE = bytes(32 if byte in _BLANKS else byte for byte in bytes(range(256)).lower())

_FOREIGN_MARKS = re.compile("[\u0080-\u00bf\u2000-\u207f\ud800-\udfff]+")


def canonical(text: str) -> bytes:
    """Return the words of a text in UTF-8, with blanks between them.

    The text is brought to NFKC and lower case. Punctuation goes and parts nothing: that of ASCII,
    of U+0080 to U+00BF, and of U+2000 to U+207F. Blanks and control characters part words.

    >>> canonical("Don't PANIC: it's 42 caf\u00e9s!").decode()
    'dont panic its 42 caf\u00e9s'
    """
    content = text.encode(errors="ignore")
    if text.isascii():
        return content.translate(_TABLE, _MARKS)
    kinds = set(content.translate(None, _ASCII).decode())
    forms = {kind: _alone(kind) for kind in kinds} if len(kinds) <= MOST_KINDS else {"": None}
    if None in forms.values():
        return _folded(text).translate(_TABLE, _MARKS)
    if not any(forms.values()):
        return content.translate(_TABLE, _MARKS + _NOT_ASCII)
    for kind, form in forms.items():
        if form != kind.encode():
            content = content.replace(kind.encode(), form or b"")
    return content.translate(_TABLE, _MARKS)


def alnum(words: bytes) -> bytes:
    """Return what is left of a canonical form without its blanks.

    >>> alnum(b"dont panic ")
    b'dontpanic'
    """
    return words.translate(None, b" ")


@lru_cache(maxsize=1 << 14)
def _alone(kind: str) -> bytes | None:
    """Return what becomes of a character, or None where that depends on its neighbours.

    It does for marks and jamo, which join what stands before them, and for the capital sigma.
    """
    first = unicodedata.normalize("NFKD", kind)[0]
    joins = unicodedata.category(first).startswith("M") or "\u1161" <= first <= "\u11ff"
    if joins or "\u03a3" in unicodedata.normalize("NFKC", kind):
        return None
    return _folded(kind)


def _folded(text: str) -> bytes:
    folded = unicodedata.normalize("NFKC", text).lower()
    return _FOREIGN_MARKS.sub("", folded).encode()
