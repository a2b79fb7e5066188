"""Ratios beside a peer, turn by turn: kept as JSON beside a result's table, for ``peers_page.py``.

A ratio above 1 speaks for growlm: it was so many times as fast, or took so many times less.
"""

import json
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from setting import commit, hardware, today

FORMAT = 1
SUFFIX = ".ratios.json"
"""What the name of a file of ratios ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """What was measured of growlm and of a peer, in turns."""

    what: str
    """What both did."""
    peer: str
    """The other, and its version."""
    unit: str
    better: Literal["more", "less"]
    """Whether a larger value is better, as of a speed, or a smaller one, as of seconds."""
    ours: tuple[float, ...]
    """growlm's values, turn by turn."""
    theirs: tuple[float, ...]
    """The other's, in the same order."""
    remark: str = ""
    """What its reader should know."""

    @property
    def times(self) -> tuple[float, ...]:
        """How many times better growlm was, turn by turn."""
        pairs = zip(self.ours, self.theirs, strict=True)
        if self.better == "more":
            return tuple(ours / theirs for ours, theirs in pairs)
        return tuple(theirs / ours for ours, theirs in pairs)

    def row(self) -> str:
        """Return the ratio as a row of ``HEADER``."""
        times = self.times
        spread = f"{shown(min(times))} to {shown(max(times))}" if len(times) > 1 else "one turn"
        cells = (
            self.what + (f" ({self.remark})" if self.remark else ""),
            self.peer,
            f"{shown(statistics.median(self.ours))} {self.unit}",
            f"{shown(statistics.median(self.theirs))} {self.unit}",
            f"**{shown(statistics.median(times))}** ({spread})",
            str(len(times)),
        )
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| what | beside | growlm | the other | times (range) | turns |",
    "| --- | --- | ---: | ---: | ---: | ---: |",
)
"""Of a table of ratios."""


def shown(value: float) -> str:
    """Return a number with two digits behind the point at most, and three digits that count.

    >>> shown(1234.5), shown(12.34), shown(0.1234)
    ('1,234', '12.3', '0.12')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def keep(page: Path, ratios: Sequence[Ratio], *, details: Sequence[str]) -> None:
    """Write ratios beside a page of results: ``tokens.md`` has ``tokens.ratios.json``.

    Args:
        page: The Markdown file.
        ratios: What was measured.
        details: Of the machine and of what ran on it.
    """
    told = {
        "format": FORMAT,
        "command": " ".join(["python", *map(_relative, sys.argv)]),
        "hardware": hardware(*details),
        "python": platform.python_version(),
        "date": today(),
        "commit": commit(),
        "ratios": [_told(each) for each in ratios],
    }
    path = page.with_suffix(SUFFIX)
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _told(ratio: Ratio) -> dict[str, Any]:
    times = ratio.times
    return {
        **asdict(ratio),
        "times": {"median": statistics.median(times), "low": min(times), "high": max(times)},
        "turns": len(times),
    }


def _relative(word: str) -> str:
    """Return a word of the command as anybody could type it: no folder of this machine."""
    path, here = Path(word), Path.cwd()
    if path.is_absolute() and path.is_relative_to(here):
        return str(path.relative_to(here))
    return path.name if path.is_absolute() or word.startswith("..") else word


def read(path: Path) -> tuple[dict[str, Any], tuple[Ratio, ...]]:
    """Return what a file of ratios says of its run, and the ratios."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if told["format"] != FORMAT:
        sys.exit(f"{path} has another format; run its benchmark again")
    names = ("what", "peer", "unit", "better", "remark")
    ratios = tuple(
        Ratio(
            **{name: each[name] for name in names},
            ours=tuple(each["ours"]),
            theirs=tuple(each["theirs"]),
        )
        for each in told["ratios"]
    )
    return told, ratios
