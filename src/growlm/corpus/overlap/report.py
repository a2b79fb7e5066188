"""The report: what was found, as JSON for machines, and as a page for reading."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from growlm.corpus.canonical import CANONICAL_VERSION
from growlm.corpus.documents import Problem
from growlm.corpus.overlap.actions import Filtered, gpt3_filter
from growlm.corpus.overlap.canary import NAME, Canaries
from growlm.corpus.overlap.index import HOT, RUN, STRIDE, WINDOW, Index, unicode_version
from growlm.corpus.overlap.rules import NOTES, Verdict, verdicts
from growlm.corpus.overlap.scan import Found
from growlm.corpus.overlap.score import (
    COMMON_DOCUMENTS,
    COMMON_LETTERS,
    DIRTY,
    PARTIAL,
    Hit,
    Label,
    Phrase,
    Scorer,
    without_phrases,
)
from growlm.recipe.overlap import Rules

FORMAT = 2

SHOWN = 50
"""Hits of a benchmark and a source that the page shows; the JSON has them all."""

BINS = (0.0, 0.2, 0.5, 0.8)
"""Where the bins of scores begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """One source, read to its end."""

    name: str
    documents: int
    characters: int
    found: tuple[Found, ...]

    problems: Mapping[str, int]
    """Records that were lost or spoilt, by kind."""

    places: tuple[Problem, ...]
    """Where the first of them are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What one source holds of one benchmark."""

    benchmark: str
    source: str
    rows: Mapping[Label, tuple[int, ...]]
    """Every example, by what it is."""
    hits: tuple[Hit, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def labels(self) -> dict[Label, int]:
        """How many examples are what."""
        return {label: len(rows) for label, rows in self.rows.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a scan came to."""

    index: Index
    rules: Rules
    version: str
    """growlm's."""
    sources: tuple[Scanned, ...]
    canaries: Canaries
    overlaps: tuple[Overlap, ...]
    phrases: tuple[Phrase, ...]
    filters: Mapping[str, Filtered]
    """What GPT-3's filter would do to each source."""


def report(
    index: Index,
    sources: Sequence[Scanned],
    canaries: Canaries,
    *,
    rules: Rules,
    version: str,
    clusters: Mapping[str, str],
) -> Report:
    """Return what sources hold of the benchmarks.

    Args:
        index: What was looked for; the canaries are its last benchmark.
        sources: Each read to its end.
        canaries: What became of the planted passages.
        rules: As the scan had them.
        version: growlm's.
        clusters: For documents that are nearly the same, the name that they count under.
    """
    everything = [found for source in sources for found in source.found]
    kept, phrases = without_phrases(index, everything, clusters=clusters)
    undetermined = index.undetermined()
    overlaps: list[Overlap] = []
    begin = 0
    for source in sources:
        mine = kept[begin : begin + len(source.found)]
        begin += len(source.found)
        scorer = Scorer(
            index, mine, phrases=frozenset(each.text for each in phrases), undetermined=undetermined
        )
        overlaps += [
            Overlap(
                benchmark=benchmark.name,
                source=source.name,
                rows=scorer.rows(number),
                hits=tuple(scorer.hits(number)),
                verdicts=tuple(verdicts(index, mine, number)),
            )
            for number, benchmark in enumerate(index.benchmarks)
            if benchmark.name != NAME
        ]
    return Report(
        index=index,
        rules=rules,
        version=version,
        sources=tuple(sources),
        canaries=canaries,
        overlaps=tuple(overlaps),
        phrases=tuple(phrases),
        filters={source.name: gpt3_filter(source.found) for source in sources},
    )


def as_json(found: Report) -> dict[str, Any]:
    """Return a report as ``overlap.json`` holds it."""
    return {
        "format": FORMAT,
        "growlm_version": found.version,
        "settings": {
            "window": WINDOW,
            "stride": STRIDE,
            "run": RUN,
            "hot": HOT,
            "partial": PARTIAL,
            "dirty": DIRTY,
            "common_documents": COMMON_DOCUMENTS,
            "common_letters": COMMON_LETTERS,
            "rules": found.rules,
            "canonical_version": CANONICAL_VERSION,
            "unicode": unicode_version(),
        },
        "benchmarks": _benchmarks(found.index),
        "sources": [
            {
                "name": source.name,
                "documents": source.documents,
                "characters": source.characters,
                "problems": dict(source.problems),
                "places": [asdict(each) for each in source.places],
                "documents_with_hits": sum(
                    any(match.runs for match in each.matches) or bool(each.shorts)
                    for each in source.found
                ),
                "gpt3_filter": asdict(found.filters[source.name]),
            }
            for source in found.sources
        ],
        "canaries": {**asdict(found.canaries), "overall": found.canaries.overall},
        "overlaps": [_overlap(each) for each in found.overlaps],
        "phrases": _phrases(found.index, found.phrases),
    }


def _benchmarks(index: Index) -> list[dict[str, Any]]:
    hot = index.hot
    return [
        {
            "name": benchmark.name,
            "path": benchmark.path,
            "sha256": benchmark.sha256,
            "fields": dict(benchmark.fields),
            "examples": len(benchmark.examples),
            "texts": len(index.by_benchmark[number]),
            "gpt3_words": index.sizes[number],
            "hot_windows": int(hot[_windows_of(index, number)].sum()),
        }
        for number, benchmark in enumerate(index.benchmarks)
        if benchmark.name != NAME
    ]


def _windows_of(index: Index, benchmark: int) -> list[int]:
    found: set[int] = set()
    for number in index.by_benchmark[benchmark]:
        text = index.texts[number]
        inside = index.windows[text.start : text.start + len(text.stream)]
        found.update(inside[inside >= 0].tolist())
    return sorted(found)


def _overlap(found: Overlap) -> dict[str, Any]:
    bins = dict.fromkeys(map(str, BINS), 0)
    for hit in found.hits:
        bins[str(max(edge for edge in BINS if hit.score >= edge))] += 1
    return {
        "benchmark": found.benchmark,
        "source": found.source,
        "labels": found.labels,
        "rows": {label: list(rows) for label, rows in found.rows.items() if label != "clean"},
        "hits_by_score": bins,
        "rules": {each.rule: _verdict(each) for each in found.verdicts},
        "hits": [asdict(hit) for hit in found.hits],
    }


def _verdict(found: Verdict) -> dict[str, Any]:
    return {
        "counted": found.counted,
        "flagged": len(found.flagged),
        "rows": list(found.flagged),
        **found.detail,
    }


def _phrases(index: Index, phrases: Iterable[Phrase]) -> list[dict[str, Any]]:
    texts: dict[str, set[str]] = {}
    for phrase in phrases:
        letters = index.texts[phrase.text].stream[slice(*phrase.run.text)]
        texts.setdefault(letters.decode(errors="replace"), set()).add(phrase.document)
    return [
        {"letters": letters, "documents": len(names)} for letters, names in sorted(texts.items())
    ]


def as_page(found: Report) -> str:
    """Return a report as ``overlap.md`` holds it."""
    parts = [
        "# Overlap with benchmarks",
        _opening(found),
        *_problems(found.sources),
        "## Examples by benchmark and source",
        _table(
            ("benchmark", "source", "clean", "partial", "dirty", "with the answer", "other"),
            [_counts(each) for each in found.overlaps],
        ),
        f"A score is the share of an example's letters that one document holds in runs of {RUN} or "
        f"more; partial from {PARTIAL:g}, dirty from {DIRTY:g}. Other: {_LABELS}.",
        "## Published rules",
        _table(
            ("benchmark", "source", *(each.rule for each in found.overlaps[0].verdicts)),
            [_rules(each) for each in found.overlaps],
        ),
        _bound(found.rules),
        "\n".join(f"- **{name}**: {note}" for name, note in NOTES.items()),
        "GPT-3's training filter would cut "
        + "; ".join(f"{name}: {_filter(each)}" for name, each in found.filters.items())
        + ".",
        *(_hits(each) for each in found.overlaps if each.hits),
        "## Common phrases left out",
        "\n".join(
            f"- {each['letters']} ({each['documents']} documents)"
            for each in _phrases(found.index, found.phrases)
        )
        or "None.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_LABELS = (
    "boilerplate (its runs are common phrases), short and found whole or not, undetermined (most "
    "of it is a template's words), untestable (too short)"
)


def _opening(found: Report) -> str:
    documents = sum(source.documents for source in found.sources)
    characters = sum(source.characters for source in found.sources)
    recall = ", ".join(f"{name} {share:.0%}" for name, share in found.canaries.recall.items())
    return (
        f"{documents:,} documents, {characters:,} characters. Of {found.canaries.planted} overlaps "
        f"planted in copies of {found.canaries.documents} documents, {found.canaries.overall:.0%} "
        f"were found: {recall}; {found.canaries.controls} of those not planted. Word for word "
        "only: no scan of this kind sees a paraphrase or a translation."
    )


def _problems(sources: Iterable[Scanned]) -> Iterator[str]:
    """Yield what was not read as it should be; nothing where all was."""
    rows = [
        [source.name, kind, f"{count:,}", next(_places(source, kind), "-")]
        for source in sources
        for kind, count in source.problems.items()
    ]
    if rows:
        yield "## Lost or spoilt"
        yield _table(("source", "kind", "records", "the first"), rows)
        yield (
            "What is lost was not looked through: `bad_json` and `no_field` are records, "
            "`broken_file` all that comes behind a place. Texts with `bad_utf8` were, with U+FFFD "
            "for those bytes."
        )


def _places(source: Scanned, kind: str) -> Iterator[str]:
    return (f"{each.path}, row {each.row}" for each in source.places if each.kind == kind)


def _bound(rules: Rules) -> str:
    if rules == "exact":
        return "Flagged of counted; words in a row were looked for everywhere."
    return (
        f"Flagged of counted. Words in a row were looked for inside runs of {RUN} letters or more "
        "only, so these are lower bounds; `--rules exact` looks everywhere."
    )


def _counts(found: Overlap) -> list[str]:
    labels = found.labels
    shown: tuple[Label, ...] = ("clean", "partial", "dirty")
    other = [f"{name} {count:,}" for name, count in labels.items() if name not in shown and count]
    answered = sum(bool(hit.answer_covered) for hit in found.hits)
    return [
        found.benchmark,
        found.source,
        *(f"{labels[name]:,}" for name in shown),
        f"{answered:,}",
        ", ".join(other) or "-",
    ]


def _rules(found: Overlap) -> list[str]:
    cells = [f"{len(each.flagged):,} of {each.counted:,}" for each in found.verdicts]
    return [found.benchmark, found.source, *cells]


def _filter(found: Filtered) -> str:
    return (
        f"{found.characters:,} characters of {found.documents:,} documents, "
        f"{found.dropped:,} of them whole"
    )


def _hits(found: Overlap) -> str:
    ordered = sorted(found.hits, key=lambda hit: (-hit.score, hit.index))
    rows = [
        [
            str(hit.index),
            f"{hit.score:.2f}",
            f"{hit.longest:.2f}",
            "-" if hit.answer_covered is None else "yes" if hit.answer_covered else "no",
            f"{place.document}, {place.characters[0][0]:,} to {place.characters[-1][1]:,}",
            str(len(hit.places)),
        ]
        for hit in ordered[:SHOWN]
        for place in hit.places[:1]
    ]
    head = ("row", "score", "longest run", "answer", "document, characters", "documents")
    more = len(found.hits) - len(rows)
    tail = f"\n\nAnd {more:,} more in `overlap.json`." if more > 0 else ""
    return f"## {found.benchmark} in {found.source}\n\n" + _table(head, rows) + tail


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
