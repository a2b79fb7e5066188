"""The overlap step: sources streamed past benchmarks, canaries planted, two reports written."""

import re
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from growlm.base.errors import CorpusError, RecipeError, SafetyError
from growlm.base.files import write_json, write_text
from growlm.base.units import format_count
from growlm.corpus.documents import Document, Problem, readings, units
from growlm.corpus.duplicates import NOTHING, Skipped
from growlm.corpus.finding import LINE_SUFFIXES, PACKED_SUFFIXES
from growlm.corpus.overlap import canary
from growlm.corpus.overlap.benchmark import Benchmark, fields_of, parse_fields, read_benchmark
from growlm.corpus.overlap.index import Index, build
from growlm.corpus.overlap.report import Report, Scanned, as_json, as_page, report
from growlm.corpus.overlap.scan import Found, scan
from growlm.corpus.overlap.tasks import PREFIX, is_task, read_task
from growlm.corpus.selecting import remaining
from growlm.pipeline.events import Begun, Done, Event, Progress
from growlm.recipe.overlap import Rules
from growlm.recipe.sections import Source
from growlm.recipe.values import NAME_PATTERN

STEP = "overlap"
REPORT, PAGE = "overlap.json", "overlap.md"

PLACES = 50
"""Lost or spoilt records of a kind and a source that the report places."""

CHUNK_CHARACTERS = 1 << 22
"""Text read between two reports of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which sources are held against which benchmarks."""

    sources: tuple[Source, ...]
    benchmarks: tuple[tuple[str, Path | str, Mapping[str, str]], ...]
    """For each its name, its file or the task that it is, and a file's fields by role."""
    rules: Rules
    folder: Path = Path()
    """What relative paths of sources start from."""
    duplicates: Mapping[str, Skipped] = field(default_factory=dict[str, Skipped])
    """What of a source stands elsewhere and is not read, by the source's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """A document as the scan takes it."""

    name: str
    text: str


@dataclass(slots=True)
class _Reader:
    """Reads sources, and remembers what it has read."""

    what: Asked
    files: int
    """Files of all sources."""
    started: float
    read: Counter[str]
    """Documents by source."""
    sample: list[canary.Planted]
    """Beginnings of documents, to plant canaries in."""
    seen: set[tuple[str, str]]
    problems: dict[str, Counter[str]]
    """Records lost or spoilt, by source and kind."""
    places: dict[str, list[Problem]]
    """The first of each kind, by source."""

    def _noted(self, source: Source) -> Iterator[Document]:
        counts = self.problems[source.name] = Counter()
        places = self.places[source.name] = []
        for reading in readings(source, folder=self.what.folder):
            if reading.problem is not None:
                counts[reading.problem.kind] += 1
                if counts[reading.problem.kind] <= PLACES:
                    places.append(reading.problem)
            if reading.document is not None:
                yield reading.document

    def documents(self, source: Source) -> Iterator[_Text]:
        found = self._noted(source)
        skipped = self.what.duplicates.get(source.name, NOTHING)
        for document in remaining(found, skipped, Counter()):
            self.read[source.name] += 1
            self.seen.add((source.name, document.path))
            text = _Text(name=document.name, text=document.text)
            if len(self.sample) < canary.DOCUMENTS:
                named = _Text(name=f"{source.name}: {text.name}", text=text.text)
                self.sample.append(canary.sample(named))
            yield text

    def progress(self, source: Source) -> Progress:
        done = max(1, len(self.seen))
        elapsed = time.perf_counter() - self.started
        return Progress(
            step=f"{STEP}:{source.name}",
            done=done,
            total=self.files,
            unit="files",
            loss=None,
            tokens_per_second=None,
            seconds_left=elapsed / done * max(0, self.files - done),
        )


def asked(
    sources: Sequence[str],
    against: Sequence[str],
    fields: Sequence[str],
    *,
    text_field: str,
    rules: Rules,
) -> Asked:
    """Return what a command line asks for.

    Args:
        sources: Each ``NAME=GLOB``; a name may come again.
        against: Each ``FILE`` or ``NAME=FILE``.
        fields: Each ``NAME:text=FIELD,answer=FIELD``, for a benchmark of that name.
        text_field: The field of a source's JSON line that holds the text.
        rules: Where words in a row are looked for.

    Raises:
        RecipeError: One of them says something else, or a name twice.
    """
    given = dict(_fields(each) for each in fields)
    benchmarks = [_benchmark(each) for each in against]
    names = [name for name, _ in benchmarks]
    for name in names:
        if names.count(name) > 1 or name == canary.NAME:
            raise RecipeError(
                "a name of its own for each benchmark", got=f"'{name}'", fix="NAME=FILE"
            )
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise RecipeError(
            "--fields of a benchmark named by --against",
            got=f"'{unknown[0]}'",
            fix=f"--fields {names[0]}:text=FIELD",
        )
    return Asked(
        sources=_sources(sources, text_field=text_field),
        benchmarks=tuple(
            (name, path, given.get(name) or fields_of(name)) for name, path in benchmarks
        ),
        rules=rules,
    )


def overlap(what: Asked, *, out: Path, version: str) -> Generator[Event, None, Report]:
    """Scan, check the scan, write both reports, and return what they say.

    Args:
        what: Sources and benchmarks.
        out: The folder to write into; what an earlier scan wrote there is replaced.
        version: growlm's, for the report.

    Raises:
        CorpusError: A source or a benchmark cannot be read, or holds nothing.
        SafetyError: The canaries were not found: nothing is written.
        StorageError: The reports cannot be written.
    """
    files = sum(len(units(source, folder=what.folder)) for source in what.sources)
    started = time.perf_counter()
    yield Begun(step=f"{STEP}:index")
    index = build([*read_benchmarks(what), canary.benchmark()])
    windows = f"{format_count(len(index.hashes))} windows of {len(index.texts):,} texts"
    yield Done(step=f"{STEP}:index", seconds=time.perf_counter() - started, result=windows)
    reader = _Reader(
        what=what,
        files=files,
        started=time.perf_counter(),
        read=Counter(),
        sample=[],
        seen=set(),
        problems={},
        places={},
    )
    scanned: list[Scanned] = []
    for source in what.sources:
        one = yield from _scan(index, source, reader, rules=what.rules)
        scanned.append(one)
    canaries = canary.check(index, reader.sample, rules=what.rules)
    found = report(index, scanned, canaries, rules=what.rules, version=version, clusters={})
    write_json(out / REPORT, as_json(found))
    write_text(out / PAGE, as_page(found))
    return found


def overlap_alone(
    what: Asked, *, out: Path, version: str
) -> Generator[Event, None, dict[str, Any]]:
    """Do as ``overlap`` does, as a step of its own; return what ``overlap.json`` holds."""
    started = time.perf_counter()
    found = yield from overlap(what, out=out, version=version)
    result = f"{_told(found)}: {out / PAGE}"
    yield Done(step=STEP, seconds=time.perf_counter() - started, result=result)
    return as_json(found)


def _told(found: Report) -> str:
    """Return what a scan came to, in a line."""
    hits = sum(len(each.hits) for each in found.overlaps)
    documents = sum(each.documents for each in found.sources)
    return (
        f"{documents:,} documents scanned, {hits:,} examples hit, "
        f"{found.canaries.overall:.0%} of the canaries found"
    )


def read_benchmarks(what: Asked) -> list[Benchmark]:
    """Read the benchmarks.

    Raises:
        CorpusError: One is not JSON lines, lacks a field, or holds nothing.
        RecipeError: Its fields say something else than fields.
        StorageError: It cannot be read.
    """
    return [
        read_task(name, place)
        if isinstance(place, str)
        else read_benchmark(name, place, fields=fields)
        for name, place, fields in what.benchmarks
    ]


def _scan(
    index: Index, source: Source, reader: _Reader, *, rules: Rules
) -> Generator[Event, None, Scanned]:
    started = time.perf_counter()
    yield Begun(step=f"{STEP}:{source.name}")
    tally: Counter[str] = Counter()
    found: list[Found] = []
    for chunk in _chunks(reader.documents(source)):
        found += scan(index, chunk, rules=rules, tally=tally)
        yield reader.progress(source)
    if tally["documents"] != reader.read[source.name]:
        raise SafetyError(
            f"all {reader.read[source.name]:,} documents of source '{source.name}' scanned",
            got=f"{tally['documents']:,}",
            fix="reporting it: no figure of this scan can be trusted",
        )
    if not tally["documents"]:
        raise CorpusError(
            f"source '{source.name}' to hold text", got="empty documents", fix="other files"
        )
    yield Done(
        step=f"{STEP}:{source.name}",
        seconds=time.perf_counter() - started,
        result=f"{tally['documents']:,} documents, {format_count(tally['characters'])} characters; "
        f"something of the benchmarks in {len(found):,}",
    )
    return Scanned(
        name=source.name,
        documents=tally["documents"],
        characters=tally["characters"],
        found=tuple(found),
        problems=reader.problems[source.name],
        places=tuple(reader.places[source.name]),
    )


def _chunks(texts: Iterable[_Text]) -> Iterator[list[_Text]]:
    chunk: list[_Text] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text.text)
        if size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _sources(words: Sequence[str], *, text_field: str) -> tuple[Source, ...]:
    files: dict[str, list[str]] = {}
    for word in words:
        name, equals, pattern = word.partition("=")
        if not (equals and pattern and re.fullmatch(NAME_PATTERN, name)):
            raise RecipeError(
                "--source NAME=GLOB, the name in lower case", got=f"'{word}'", fix="web=data/*.txt"
            )
        files.setdefault(name, []).append(pattern)
    return tuple(
        Source(name=name, files=tuple(patterns), text_field=text_field, weight=1.0)
        for name, patterns in files.items()
    )


def _benchmark(word: str) -> tuple[str, Path | str]:
    name, equals, path = word.partition("=")
    if equals and name and path:
        return name, path if is_task(path) else Path(path)
    if is_task(word):
        return word.removeprefix(PREFIX), word
    place = Path(word)
    bare = place.name
    for suffix in (*PACKED_SUFFIXES, *LINE_SUFFIXES):
        bare = bare.removesuffix(suffix)
    return bare, place


def _fields(word: str) -> tuple[str, dict[str, str]]:
    name, colon, fields = word.partition(":")
    if not colon:
        raise RecipeError(
            "--fields NAME:text=FIELD,answer=FIELD",
            got=f"'{word}'",
            fix="boolq:text=question,context=passage",
        )
    return name, parse_fields(fields)
