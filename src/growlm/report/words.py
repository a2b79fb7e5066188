"""Numbers, names and tables as the log writes them, in Markdown."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from growlm.base.units import format_count

DASH = "\u2013"
MINUS = "\u2212"
TIMES = "\u00d7"
ARROW = "\u2192"
PLUS_MINUS = "\u00b1"
NOTHING = DASH

COPIED = {
    "width": "coordinates of the residual stream",
    "heads": "heads",
    "kv_heads": "key/value heads",
    "head_width": "coordinates of heads",
    "mlp": "MLP units",
}
"""What growth in width copies, by the size that counts it."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")


def plain(text: str) -> str:
    r"""Return text on one line in which nothing is markup, neither Markdown nor HTML.

    >>> plain("<b> a_b | c")
    '\\<b\\> a\\_b \\| c'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return text in code style, whatever backticks or bars it holds.

    >>> code("base")
    '`base`'
    """
    line = " ".join(text.split())
    return plain(text) if "`" in line or "|" in line or not line else f"`{line}`"


def listing(parts: Sequence[str]) -> str:
    """Return parts as a sentence lists them.

    >>> listing(["a"]), listing(["a", "b"]), listing(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def plural(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> plural(1, "layer"), plural(3, "layer")
    ('1 layer', '3 layers')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def signed(text: str) -> str:
    """Return a formatted number with a typographic minus."""
    return text.replace("-", MINUS)


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed digits after the point, or words when it has none.

    >>> number(3.14159), number(float("nan"))
    ('3.142', 'not finite')
    """
    return signed(f"{value:.{digits}f}") if math.isfinite(value) else "not finite"


def short(value: float) -> str:
    """Return a number with four significant digits.

    >>> short(29.9641), short(5.0)
    ('29.96', '5')
    """
    return signed(f"{value:.4g}") if math.isfinite(value) else "not finite"


def share(value: float) -> str:
    """Return a share as a percentage with one digit.

    >>> share(0.1234)
    '12.3%'
    """
    return signed(f"{100 * value:.1f}%") if math.isfinite(value) else "not finite"


def flops(value: float) -> str:
    """Return a number of FLOPs.

    >>> flops(1.772e20), flops(0.0)
    ('1.772e20', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return signed(f"{mantissa}e{int(exponent)}")


def count(value: int | float) -> str:
    """Return a number of tokens or parameters.

    >>> count(4_096_000)
    '4.096M'
    """
    return signed(format_count(float(value)))


def quantity(value: str | int | float) -> str:
    """Return one setting of a shape as a table shows it.

    >>> quantity(True), quantity(1536), quantity(0.1), quantity("alibi")
    ('yes', '1,536', '0.1', 'alibi')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return plain(value)
    return f"{value:,}" if isinstance(value, int) else short(value)


def label(key: str) -> str:
    """Return a key as a table's row calls it.

    >>> label("kv_heads")
    'kv heads'
    """
    return plain(key.replace("_", " "))


def moment(text: str) -> str:
    """Return a moment in ISO 8601 as people write it; any other text as it is.

    >>> moment("2031-05-04T09:12:33+00:00"), moment("today")
    ('4 May 2031, 09:12 UTC', 'today')
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return plain(text)
    return f"{time.day} {time:%B %Y, %H:%M} {plain(time.tzname() or 'UTC')}"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, words: Collection[int] = (0,)
) -> str:
    """Return a Markdown table; nothing when it has no rows.

    Args:
        header: Heads of the columns.
        rows: Cells, already escaped, as many as heads.
        words: Positions of columns that hold words; the others hold numbers and end flush.
    """
    lines = [" | ".join(row) for row in rows]
    if not lines:
        return ""
    rule = ["---" if position in words else "---:" for position in range(len(header))]
    return "\n".join(f"| {line} |" for line in (" | ".join(header), " | ".join(rule), *lines))
