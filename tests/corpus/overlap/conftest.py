"""What the tests of overlap share: the canonical form as its definition reads, byte by byte."""

import unicodedata
from collections.abc import Callable

import pytest


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
