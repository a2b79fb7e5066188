"""Faults of a source: what was lost or spoilt while it was read, counted, and judged."""

from collections import Counter
from dataclasses import dataclass

from growlm.base.errors import CorpusError
from growlm.corpus.reading import Loss, Lost

EARLY = 100
"""Faults of a kind after which a source is judged before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a source may lose, as shares of its records."""

    lost: float
    """No JSON, no text, or in a file that is not whole; such a file counts as all of itself."""

    bad_utf8: float
    """With bytes that are not UTF-8."""


class Faults:
    """The count of one reading of a source."""

    def __init__(self, limits: Limits, *, source: str, places: int) -> None:
        self._limits = limits
        self._source = source
        self._places = places
        self._records = 0
        self._lost: Counter[Loss] = Counter()
        self._bad_utf8 = 0
        self._first_lost: CorpusError | None = None
        self._first_bad = ""

    def saw(self, *, bad_utf8: bool, where: str) -> None:
        """Count a record that was read.

        Raises:
            CorpusError: Too many so far had bytes that are not UTF-8.
        """
        self._records += 1
        if bad_utf8:
            self._bad_utf8 += 1
            self._first_bad = self._first_bad or where
            if self._bad_utf8 >= EARLY:
                self._check_bad_utf8()

    def lost(self, record: Lost) -> None:
        """Count a record that could not be had.

        Raises:
            CorpusError: Too many were lost so far.
        """
        self._lost[record.kind] += 1
        self._records += record.kind != "broken_file"
        self._first_lost = self._first_lost or record.error
        if self._lost.total() >= EARLY:
            self._check_lost()

    def check(self) -> None:
        """Judge a source that was read to its end.

        Raises:
            CorpusError: More was lost or spoilt than the source may lose.
        """
        self._check_lost()
        self._check_bad_utf8()

    def _check_lost(self) -> None:
        first, limit = self._first_lost, self._limits.lost
        broken = self._lost["broken_file"]
        records = self._lost.total() - broken
        share = records / max(self._records, 1) + broken / self._places
        if first is None or share <= limit:
            return
        counted = [f"{records:,} of {self._records:,} records"] if records else []
        counted += [f"{broken:,} of {self._places:,} files"] if broken else []
        raise CorpusError(
            first.expected,
            got=f"{first.got} (the first of what source '{self._source}' loses: "
            f"{' and '.join(counted)})",
            fix=f"{first.fix}, or max_lost_share above {limit:g}",
        )

    def _check_bad_utf8(self) -> None:
        if self._bad_utf8 > self._limits.bad_utf8 * self._records:
            raise CorpusError(
                f"source '{self._source}' to be UTF-8",
                got=f"other bytes in {self._bad_utf8:,} of {self._records:,} records, first in "
                f"{self._first_bad}",
                fix="converting it with iconv, or max_bad_utf8_share above "
                f"{self._limits.bad_utf8:g}",
            )
