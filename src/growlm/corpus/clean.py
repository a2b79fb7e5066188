"""Minimal cleaning: what no model should read goes, every other character stays."""

import re

import numpy as np

CLEAN_VERSION = 1
"""Grows with every change of a rule; shards carry it."""

_BLANK = 32
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n")
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")


def decode(content: bytes) -> tuple[str, bool]:
    r"""Return the text behind UTF-8, and whether some of its bytes were not UTF-8.

    Undecodable bytes become U+FFFD.

    >>> decode(b"caf\xe9!") == ("caf\ufffd!", True)
    True
    """
    try:
        return content.decode(), False
    except UnicodeDecodeError:
        return content.decode(errors="replace"), True


def clean(text: str) -> str:
    r"""Return the text as training sees it; empty when nothing is left.

    A leading byte-order mark goes; CRLF and CR become LF; control characters other than tab and
    LF go; lone surrogates become U+FFFD; newlines at either end go. Blanks stay.

    >>> clean("\ufeff\r\n  one\r\ntwo\x00\n\n")
    '  one\ntwo'
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        content = text.encode()
    except UnicodeEncodeError:
        text = _LONE_SURROGATES.sub("\ufffd", text)
        content = text.encode()
    if _has_controls(content):
        text = content.translate(None, _CONTROLS).decode()
    return text.strip("\n")


def _has_controls(content: bytes) -> bool:
    """Return whether bytes below 32 are in it beside tabs and newlines; counting is fast."""
    low = np.count_nonzero(np.frombuffer(content, dtype=np.uint8) < _BLANK)
    return bool(low != content.count(b"\n") + content.count(b"\t"))
