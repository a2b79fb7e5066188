"""A text file in pieces: cut at a pattern, a stretch of the file in memory at a time."""

import re
from collections.abc import Iterator
from io import BufferedIOBase

CHUNK_BYTES = 1 << 20

LONGEST_MATCH = 1 << 12
"""Characters around a cut that a pattern may look at, and that it may take."""


def pieces(
    file: BufferedIOBase, pattern: re.Pattern[str], *, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    r"""Yield the stretches between the matches of a pattern, as bytes.

    What matches is left out; a pattern that only looks ahead, such as ``(?=^CHAPTER )``, cuts
    before what it sees and leaves nothing out. Empty stretches are kept, so that rows stay.

    >>> import io
    >>> list(pieces(io.BytesIO(b"one\n***\ntwo"), re.compile(r"\n\*\*\*\n")))
    [b'one', b'two']

    Args:
        file: UTF-8, opened for reading.
        pattern: What stands between documents; ``^`` and ``$`` are to match at lines only where
            it says so, by ``(?m)``.
        chunk_bytes: Bytes read at once.
    """
    text, start, searched = "", 0, 0
    for more, ended in _chunks(file, chunk_bytes):
        text += more
        safe = len(text) if ended else len(text) - LONGEST_MATCH
        seen = safe - LONGEST_MATCH
        for match in pattern.finditer(text, searched):
            if match.end() > safe or match.start() == len(text):
                seen = min(seen, match.start())
                break
            if match.end() > 0:
                yield _bytes(text[start : match.start()])
                start = match.end()
            searched = max(match.end(), match.start() + 1)
        searched = max(searched, seen)
        kept = max(0, start - LONGEST_MATCH)
        text, start, searched = text[kept:], start - kept, searched - kept
    yield _bytes(text[start:])


def _chunks(file: BufferedIOBase, size: int) -> Iterator[tuple[str, bool]]:
    """Yield the text as it comes, and whether it ended; bytes that are not UTF-8 survive in it."""
    rest = b""
    while chunk := file.read(size):
        content = rest + chunk
        whole = _whole(content)
        rest = content[whole:]
        yield content[:whole].decode(errors="surrogateescape"), False
    yield rest.decode(errors="surrogateescape"), True


def _whole(content: bytes) -> int:
    """Return how many bytes end with a whole character.

    >>> _whole("a\u00e9".encode()[:2]), _whole("a\u00e9".encode())
    (1, 3)
    """
    for back in range(1, min(3, len(content)) + 1):
        byte = content[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(content) - back if length > back else len(content)
        if byte < 0x80:
            break
    return len(content)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
