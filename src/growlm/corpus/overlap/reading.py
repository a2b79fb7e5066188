"""Reading ``overlap.json`` back: what is known of every example of a benchmark."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, NonNegativeInt, ValidationError, model_validator

from growlm.base.errors import CorpusError, nearest
from growlm.base.files import read_json
from growlm.corpus.overlap.report import FORMAT
from growlm.corpus.overlap.score import Label
from growlm.corpus.spans import Span

_AGAIN = "growlm overlap or growlm prepare, which write it anew"

GRAVEST: tuple[Label, ...] = (
    "dirty",
    "partial",
    "short_hit",
    "clean",
    "boilerplate",
    "undetermined",
    "short_miss",
    "untestable",
)
"""What an example is in all sources together: the first of what it is in any."""


class _Part(BaseModel, frozen=True, extra="forbid"):
    """Part of a report: frozen, closed to unknown keys."""


class PlaceRead(_Part, frozen=True):
    """Where in one document an example stands; as ``Place`` in ``score.py``."""

    document: str
    score: float
    longest: float
    characters: tuple[Span, ...]
    answer_covered: bool


class HitRead(_Part, frozen=True):
    """An example that documents of a source hold something of; as ``Hit`` in ``score.py``."""

    index: NonNegativeInt
    label: Label
    score: float
    score_union: float
    longest: float
    longest_skip: float
    answer_covered: bool | None
    context_score: float | None
    places: tuple[PlaceRead, ...]


class OverlapRead(_Part, frozen=True):
    """What one source holds of one benchmark."""

    benchmark: str
    source: str
    labels: dict[Label, NonNegativeInt]
    rows: dict[Label, tuple[NonNegativeInt, ...]]
    """Examples by label, the clean ones left out."""
    hits_by_score: dict[str, NonNegativeInt]
    rules: dict[str, dict[str, Any]]
    hits: tuple[HitRead, ...]


class BenchmarkRead(_Part, frozen=True):
    """A benchmark that was looked for."""

    name: str
    path: str
    sha256: str
    fields: dict[str, str]
    examples: NonNegativeInt
    texts: NonNegativeInt
    gpt3_words: int
    hot_windows: NonNegativeInt


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What the texts hold of one example."""

    label: Label
    score: float
    """The share of its letters that the best of all documents holds in runs."""
    answered: bool | None
    """Whether a run holds the whole answer; None without an answer, or where nothing was found."""


class ReportRead(_Part, frozen=True):
    """A whole ``overlap.json``."""

    format: Literal[2]
    growlm_version: str
    settings: dict[str, Any]
    benchmarks: tuple[BenchmarkRead, ...]
    sources: tuple[dict[str, Any], ...]
    canaries: dict[str, Any]
    overlaps: tuple[OverlapRead, ...]
    phrases: tuple[dict[str, Any], ...]

    @model_validator(mode="after")
    def rows_fit(self) -> "ReportRead":
        """Refuse rows that a benchmark does not have."""
        sizes = {each.name: each.examples for each in self.benchmarks}
        for overlap in self.overlaps:
            size = sizes.get(overlap.benchmark, 0)
            rows = [row for some in overlap.rows.values() for row in some]
            rows += [hit.index for hit in overlap.hits]
            if any(row >= size for row in rows):
                raise ValueError(f"row {max(rows)} of {size} of {overlap.benchmark}")
        return self

    def benchmark(self, name: str) -> BenchmarkRead:
        """Return a benchmark.

        Raises:
            CorpusError: It was not looked for.
        """
        found = {each.name: each for each in self.benchmarks}
        if name not in found:
            raise CorpusError(
                "a benchmark that was looked for", got=f"'{name}'", fix=nearest(name, found)
            )
        return found[name]

    def contacts(
        self, benchmark: str, *, sources: Collection[str] | None = None
    ) -> dict[int, Contact]:
        """Return what the texts hold of every example of a benchmark, by its row.

        Args:
            benchmark: Its name.
            sources: Those whose text counts; all of them when None. Others than the report's have
                nothing to say.

        Raises:
            CorpusError: It was not looked for.
        """
        size = self.benchmark(benchmark).examples
        pairs = [
            each
            for each in self.overlaps
            if each.benchmark == benchmark and (sources is None or each.source in sources)
        ]
        labels = _labels(pairs, size)
        scores = dict.fromkeys(range(size), 0.0)
        answered: dict[int, bool | None] = dict.fromkeys(range(size))
        for hit in (hit for pair in pairs for hit in pair.hits):
            scores[hit.index] = max(scores[hit.index], hit.score)
            if hit.answer_covered is not None:
                answered[hit.index] = hit.answer_covered or bool(answered[hit.index])
        return {
            index: Contact(label=labels[index], score=scores[index], answered=answered[index])
            for index in range(size)
        }


def _labels(pairs: Collection[OverlapRead], size: int) -> dict[int, Label]:
    """Return the gravest label of each example."""
    by_pair: list[dict[int, Label]] = [
        {row: label for label, rows in pair.rows.items() for row in rows} for pair in pairs
    ] or [{}]
    found: dict[int, Label] = {}
    for index in range(size):
        labels: list[Label] = [own.get(index, "clean") for own in by_pair]
        found[index] = min(labels, key=GRAVEST.index)
    return found


def read_report(path: Path) -> ReportRead:
    """Read an ``overlap.json``.

    Raises:
        CorpusError: It is none, or one of another format.
        StorageError: It cannot be read, or is no JSON.
    """
    content = read_json(path)
    found = cast(dict[str, Any], content).get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise CorpusError(
            f"{path} to be an overlap report of format {FORMAT}",
            got="no format" if found is None else f"format {found}",
            fix=_AGAIN,
        )
    try:
        return ReportRead.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise CorpusError(
            f"{path} to be an overlap report of format {FORMAT}",
            got=f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}",
            fix=_AGAIN,
        ) from error
