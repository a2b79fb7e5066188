"""The exposure ledger: which examples of benchmarks shaped a model's weights, when, how often."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from growlm.base.errors import CheckpointError
from growlm.corpus.exposure import Span, exposures
from growlm.corpus.mixture import Sampler
from growlm.corpus.stretches import Stretch

FORMAT = 1

Status = Literal["scanned", "partly scanned", "not scanned", "unknown"]
"""Of a stage's data: searched for benchmarks, some of it or for some, not searched, not known."""

Known = Literal["known", "partial", "unknown"]
"""Of a whole lineage: all of every stage was searched, some of it, none."""


class _Entry(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Part of a ledger: frozen, closed to unknown keys."""


class Exposed(_Entry, frozen=True):
    """An example that stands in a document of a stage's training tokens."""

    benchmark: str
    index: int
    """Its row in the benchmark, from 0."""

    source: str
    document: str
    score: float
    """The share of its letters that the document holds."""

    answer_covered: bool

    masked: bool
    """Whether its tokens are read and not learned."""

    tokens: int
    """Tokens that it is."""

    steps: tuple[int, ...]
    """Each step that trained on it, from 1, in order."""

    epochs: tuple[int, ...]
    """For each of them, the epoch of the source, from 0."""

    shares: tuple[float, ...]
    """For each of them, the share of its tokens that were targets."""

    @property
    def exposures(self) -> float:
        """How often all of its tokens were trained on."""
        return sum(self.shares, 0.0)

    def until(self, step: int, *, untrained: Set[int]) -> "Exposed":
        """Return what happened up to a step, but for steps that did not train."""
        kept = [
            place for place, each in enumerate(self.steps) if each <= step and each not in untrained
        ]
        keys = ("steps", "epochs", "shares")
        changes = {key: tuple(getattr(self, key)[place] for place in kept) for key in keys}
        return self.model_copy(update=changes)


class Segment(_Entry, frozen=True):
    """One stage of a lineage."""

    stage: str
    status: Status
    steps: int
    """Steps that were trained."""

    benchmarks: dict[str, str]
    """What was looked for: SHA-256 of each benchmark's file."""

    unsearched: tuple[str, ...]
    """Sources that it was trained on and that were not searched for all of them."""

    examples: tuple[Exposed, ...]
    """Those that stand in the training tokens, trained on or not."""

    def known_of(self, benchmark: str, sha256: str | None) -> Known:
        """Return how much of the stage's data was searched for a benchmark."""
        own = self.benchmarks.get(benchmark)
        if own is None or sha256 not in (None, own):
            return "unknown"
        return "known" if self.status == "scanned" else "partial"

    def until(self, step: int, *, untrained: Set[int]) -> "Segment":
        """Return the stage as it was after a step, but for steps that did not train."""
        examples = tuple(each.until(step, untrained=untrained) for each in self.examples)
        return self.model_copy(update={"steps": step, "examples": examples})


class Ledger(_Entry, frozen=True):
    """A checkpoint's whole lineage, the oldest stage first."""

    format: Literal[1]
    segments: tuple[Segment, ...]

    @property
    def known(self) -> Known:
        """Return how much of the lineage was searched."""
        found = {segment.status for segment in self.segments}
        if found <= {"scanned"}:
            return "known"
        return "partial" if found & {"scanned", "partly scanned"} else "unknown"

    def known_of(self, benchmark: str, sha256: str | None = None) -> Known:
        """Return how much of the lineage was searched for one benchmark.

        Args:
            benchmark: Its name.
            sha256: Of its file, as the segments have it: under another, its rows may be others.
                None takes any.
        """
        found = {segment.known_of(benchmark, sha256) for segment in self.segments}
        if found <= {"known"}:
            return "known"
        return "unknown" if found == {"unknown"} else "partial"

    def exposures_of(self, benchmark: str, *, least: float) -> dict[int, float]:
        """Return how often examples of a benchmark were trained on, by row; never is absent.

        Args:
            benchmark: Its name.
            least: The share of an example that a document must hold to count.
        """
        found: defaultdict[int, float] = defaultdict(float)
        for each in (each for segment in self.segments for each in segment.examples):
            counts = each.benchmark == benchmark and each.score >= least and not each.masked
            if counts and each.exposures:
                found[each.index] += each.exposures
        return dict(found)

    def totals(self) -> list["Total"]:
        """Return what became of each benchmark that any stage was searched for, by name."""
        names = sorted({name for segment in self.segments for name in segment.benchmarks})
        learned: defaultdict[tuple[str, int], float] = defaultdict(float)
        masked: defaultdict[tuple[str, int], float] = defaultdict(float)
        answered: set[tuple[str, int]] = set()
        for each in (each for segment in self.segments for each in segment.examples):
            example = (each.benchmark, each.index)
            (masked if each.masked else learned)[example] += each.exposures
            if each.answer_covered and each.exposures and not each.masked:
                answered.add(example)
        return [_total(name, learned, masked, answered) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a stage's sources were searched for, taken together."""

    status: Status
    benchmarks: dict[str, str]
    """SHA-256 of the file of each benchmark that any was searched for, by name."""
    unsearched: tuple[str, ...]
    """Sources that were not searched for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What became of one benchmark over a lineage."""

    benchmark: str
    examples: int
    """Examples that were trained on, in part at least."""
    exposures: float
    """How often, all of them together."""
    most: float
    """How often the one that was trained on most."""
    answered: int
    """Those of them with their answer."""
    masked: int
    """Examples that were only read."""


def inherited(ledger: Ledger | None, stages: Iterable[str]) -> tuple[Segment, ...]:
    """Return a parent's segments; where it has no ledger, its stages are unknown.

    Args:
        ledger: The parent's.
        stages: The stages of its lineage, the oldest first.
    """
    if ledger is not None:
        return ledger.segments
    return tuple(_blank(stage, "unknown", steps=0) for stage in stages)


def search_of(searched: Mapping[str, Mapping[str, str]]) -> Search:
    """Return what some sources were searched for, taken together.

    A benchmark is its file: under another SHA-256 its rows may be others. Where two sources mean
    different files by one name, the first one's counts, and the other was not searched for it.

    Args:
        searched: For each source, the SHA-256 of each benchmark's file by its name.
    """
    wanted: dict[str, str] = {}
    for benchmarks in searched.values():
        wanted = {**benchmarks, **wanted}
    unsearched = tuple(name for name, own in searched.items() if wanted.items() - own.items())
    if not wanted:
        return Search(status="not scanned", benchmarks={}, unsearched=tuple(searched))
    status: Status = "partly scanned" if unsearched else "scanned"
    return Search(status=status, benchmarks=wanted, unsearched=unsearched)


def unscanned(stage: str, *, steps: int) -> Segment:
    """Return a stage whose data were not searched."""
    return _blank(stage, "not scanned", steps=steps)


def of(segments: Sequence[Segment]) -> Ledger:
    """Return a ledger of some segments."""
    return Ledger(format=FORMAT, segments=tuple(segments))


def at_step(segments: Sequence[Segment], step: int, *, untrained: Set[int] = frozenset()) -> Ledger:
    """Return the ledger after a step of the last segment.

    Args:
        segments: The stages of a lineage, the last one up to its end.
        step: Of the last.
        untrained: Steps of the last that left no trace in the weights.
    """
    *before, own = segments
    return of((*before, own.until(step, untrained=untrained)))


def parsed(content: Any, *, name: str) -> Ledger:
    """Return the ledger that JSON holds.

    Args:
        content: The JSON.
        name: How messages call it.

    Raises:
        CheckpointError: It is no ledger.
    """
    try:
        return Ledger.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(
            f"{name} to be an exposure ledger of format {FORMAT}",
            got=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            fix="the growlm that wrote it",
        ) from error


def examples(
    standing: Mapping[str, Sequence[Mapping[str, Any]]], *, sampler: Sampler, stretch: Stretch
) -> tuple[Exposed, ...]:
    """Return when a stage trains on the examples that stand in its training tokens.

    Args:
        standing: For each source, what its ``examples.jsonl`` says, a mapping for each line.
        sampler: The stage's.
        stretch: The stage's samples, the first of which fall to step 1.

    Raises:
        CorpusError: The tokens are not those of the sampler's sources.
    """
    numbers = {source.name: number for number, source in enumerate(sampler.sources)}
    rows = [(source, row) for source, some in standing.items() for row in some]
    owners: list[int] = []
    spans: list[Span] = []
    for owner, (source, row) in enumerate(rows):
        for first, end in row["tokens"]:
            owners.append(owner)
            spans.append(Span(source=numbers[source], first=first, end=end))
    found = exposures(sampler, spans, [stretch])
    events: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    columns = (found.span, found.step, found.epoch, found.end - found.first)
    for span, step, epoch, count in zip(*(column.tolist() for column in columns), strict=True):
        events[owners[span]].append((step, epoch, count))
    return tuple(_exposed(source, row, events[owner]) for owner, (source, row) in enumerate(rows))


def _exposed(source: str, row: Mapping[str, Any], events: list[tuple[int, int, int]]) -> Exposed:
    tokens = sum(end - first for first, end in row["tokens"])
    together = [
        (step, epoch, sum(count for _, _, count in some) / tokens)
        for (step, epoch), some in groupby(sorted(events), key=lambda event: event[:2])
    ]
    steps, epochs, shares = zip(*together, strict=True) if together else ((), (), ())
    return Exposed(
        benchmark=row["benchmark"],
        index=row["index"],
        source=source,
        document=row["document"],
        score=row["score"],
        answer_covered=row["answer_covered"],
        masked=row["action"] == "mask",
        tokens=tokens,
        steps=steps,
        epochs=epochs,
        shares=shares,
    )


def _blank(stage: str, status: Status, *, steps: int) -> Segment:
    return Segment(
        stage=stage, status=status, steps=steps, benchmarks={}, unsearched=(), examples=()
    )


def _total(
    name: str,
    learned: Mapping[tuple[str, int], float],
    masked: Mapping[tuple[str, int], float],
    answered: set[tuple[str, int]],
) -> Total:
    counts = [times for (benchmark, _), times in learned.items() if benchmark == name and times]
    only_read = [
        example
        for example, times in masked.items()
        if example[0] == name and times and not learned.get(example)
    ]
    return Total(
        benchmark=name,
        examples=len(counts),
        exposures=sum(counts, 0.0),
        most=max(counts, default=0.0),
        answered=sum(benchmark == name for benchmark, _ in answered),
        masked=len(only_read),
    )
