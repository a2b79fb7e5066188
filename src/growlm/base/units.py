"""Counts as people write them: 48B tokens, 12.3 GiB, 4 min 10 s."""

import re
from fractions import Fraction

SCALES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}

COUNT_PATTERN = r"^[0-9]+(\.[0-9]+)?[KMBT]?$"

SIZES = {
    "B": 1,
    **{f"{letter}B": 1_000**power for power, letter in enumerate("KMGT", start=1)},
    **{f"{letter}iB": 1_024**power for power, letter in enumerate("KMGT", start=1)},
}

SIZE_PATTERN = r"^([0-9]+(?:\.[0-9]+)?) ?([KMGT]?i?B)$"


def parse_count(text: str) -> int:
    """Return the whole number behind a count.

    >>> parse_count("48B"), parse_count("0.5M"), parse_count("4096")
    (48000000000, 500000, 4096)

    Raises:
        ValueError: It is not a number with one of K, M, B, T, or not a whole one.
    """
    if not re.fullmatch(COUNT_PATTERN, text):
        raise ValueError("a count such as 4096, 350K, 1.5M or 48B")
    digits, scale = (text[:-1], text[-1]) if text[-1] in SCALES else (text, "")
    value = Fraction(digits) * SCALES[scale]
    if value.denominator != 1:
        raise ValueError("a whole number once K, M, B or T is multiplied out")
    return value.numerator


def parse_bytes(text: str) -> int:
    """Return the bytes behind a size.

    >>> parse_bytes("16GiB"), parse_bytes("1.5 KiB"), parse_bytes("80GB")
    (17179869184, 1536, 80000000000)

    Raises:
        ValueError: It is not a number with a unit, from B to TB and TiB, or not a whole one.
    """
    found = re.fullmatch(SIZE_PATTERN, text)
    if found is None or found[2] not in SIZES:
        raise ValueError("a size such as 16GiB, 512MiB or 80GB")
    value = Fraction(found[1]) * SIZES[found[2]]
    if value.denominator != 1:
        raise ValueError("a whole number of bytes")
    return value.numerator


def format_count(value: int | float) -> str:
    """Return a count with four significant digits and K, M, B or T.

    >>> format_count(587_210_000), format_count(950), format_count(999_999)
    ('587.2M', '950', '1M')
    """
    value = float(f"{value:.3e}")  # first, so that it is not 1000K
    for scale in ("T", "B", "M", "K"):
        if abs(value) >= SCALES[scale]:
            return f"{value / SCALES[scale]:.4g}{scale}"
    return f"{value:.4g}"


def format_bytes(value: int | float) -> str:
    """Return a size in binary units.

    >>> format_bytes(512), format_bytes(3 * 2**30)
    ('512 B', '3.0 GiB')
    """
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if value >= 2**power:
            return f"{value / 2**power:.1f} {unit}"
    return f"{value:.0f} B"


def parse_seconds(text: str) -> float:
    """Return the seconds behind a stretch of time.

    >>> parse_seconds("90"), parse_seconds("90s"), parse_seconds("1.5h"), parse_seconds("2d")
    (90.0, 90.0, 5400.0, 172800.0)

    Raises:
        ValueError: It is not a number above 0 with one of s, m, h, d.
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?[smhd]?", text) or not float(text.rstrip("smhd")):
        raise ValueError("a stretch of time above 0 such as 90s, 30m, 12h or 2d")
    scales = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    return float(text.rstrip("smhd")) * scales.get(text[-1], 1.0)


def format_seconds(value: int | float) -> str:
    """Return a stretch of time in its two largest units.

    >>> format_seconds(3.25), format_seconds(250), format_seconds(7260), format_seconds(350_000)
    ('3.2 s', '4 min 10 s', '2 h 1 min', '4 d 1 h')
    """
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
