"""Scores: how much of each example the documents of a source hold, and what that makes it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from growlm.corpus.overlap.index import RUN, WINDOW, Index, Item
from growlm.corpus.overlap.scan import Found, Match, Run
from growlm.corpus.spans import Span, union

PARTIAL, DIRTY = 0.2, 0.8
"""Scores from which an example counts as partly, and as wholly, in the text."""

COMMON_DOCUMENTS, COMMON_LETTERS = 10, 100
"""A run of fewer letters, each window of which stands in more documents, is a common phrase."""

MOST_GAPS, LONGEST_GAP, MOST_SHIFT = 4, 12, 8
"""Of a chain of runs: its gaps, and for each the letters skipped and how far the sides differ."""

Label = Literal[
    "clean",
    "partial",
    "dirty",
    "boilerplate",
    "short_hit",
    "short_miss",
    "undetermined",
    "untestable",
]
"""What an example is in a source; the last five are none of the first three."""

LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in one document an example stands."""

    document: str
    score: float
    longest: float
    """Its longest run, as a share of the example."""
    characters: tuple[Span, ...]
    """What of the document it is, sorted."""
    answer_covered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An example that documents of a source hold something of."""

    index: int
    """Its row in the benchmark, from 0."""
    label: Label
    score: float
    """The share of its letters that runs in the best of all documents cover."""
    score_union: float
    """The same over all documents together."""
    longest: float
    longest_skip: float
    """The longest chain of runs with small gaps, as a share of the example."""
    answer_covered: bool | None
    """Whether a run holds the whole answer; None where there is no answer."""
    context_score: float | None
    """The score of the passage that it is asked of; None where there is none."""
    places: tuple[Place, ...]
    """The documents, the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A run that was left out, because it is a common phrase."""

    document: str
    text: int
    run: Run


def reportable(match: Match) -> list[Run]:
    """Return the runs of a match that count."""
    return [run for run in match.runs if run.length >= RUN]


def longest_chain(runs: Sequence[Run]) -> int:
    """Return the most letters that a chain of runs of one document holds.

    The runs of a chain come one after the other in both texts, with at most four gaps of at most
    twelve letters; the two sides of a gap differ by at most eight.
    """
    ordered = sorted(runs, key=lambda run: run.text)
    best = [[run.length] * (MOST_GAPS + 1) for run in ordered]
    for here, run in enumerate(ordered):
        for there in range(here):
            if _follows(ordered[there], run):
                for gaps in range(1, MOST_GAPS + 1):
                    longer = best[there][gaps - 1] + run.length
                    best[here][gaps] = max(best[here][gaps], longer)
    return max((max(each) for each in best), default=0)


def _follows(before: Run, after: Run) -> bool:
    gaps = (after.text[0] - before.text[1], after.document[0] - before.document[1])
    return min(gaps) >= 0 and max(gaps) <= LONGEST_GAP and abs(gaps[0] - gaps[1]) <= MOST_SHIFT


def without_phrases(
    index: Index, found: Sequence[Found], *, clusters: Mapping[str, str]
) -> tuple[list[Found], list[Phrase]]:
    """Return what documents hold without common phrases, and the phrases.

    Args:
        index: What was looked for.
        found: Of all sources: a phrase is as common as it is in all of them.
        clusters: For documents that are nearly the same, the name that they count under.
    """
    counts = _documents_of_windows(index, found, clusters)
    phrases: list[Phrase] = []
    kept: list[Found] = []
    for each in found:
        matches: list[Match] = []
        for match in each.matches:
            common = [
                run
                for run in reportable(match)
                if run.length < COMMON_LETTERS
                and min(counts[window] for window in _windows(index, match.text, run))
                > COMMON_DOCUMENTS
            ]
            phrases += [Phrase(document=each.document, text=match.text, run=run) for run in common]
            matches.append(
                replace(match, runs=tuple(run for run in match.runs if run not in common))
            )
        kept.append(replace(each, matches=tuple(matches)))
    return kept, phrases


def _documents_of_windows(
    index: Index, found: Sequence[Found], clusters: Mapping[str, str]
) -> Counter[int]:
    """Return in how many documents each window stands inside a reportable run."""
    windows: dict[str, set[int]] = defaultdict(set)
    for each in found:
        name = clusters.get(each.document, each.document)
        for match in each.matches:
            for run in reportable(match):
                windows[name].update(_windows(index, match.text, run))
    return Counter(window for inside in windows.values() for window in inside)


def _windows(index: Index, text: int, run: Run) -> list[int]:
    start = index.texts[text].start
    first, last = start + run.text[0], start + run.text[1] - WINDOW + 1
    return index.windows[first:last].tolist()


def by_text(found: Iterable[Found]) -> dict[int, list[tuple[str, Match]]]:
    """Return for each text its matches, and the documents that they are in."""
    matches: dict[int, list[tuple[str, Match]]] = defaultdict(list)
    for each in found:
        for match in each.matches:
            matches[match.text].append((each.document, match))
    return matches


@dataclass(frozen=True)
class Scorer:
    """The scores of one source."""

    index: Index
    found: Sequence[Found]
    """What its documents hold, common phrases left out."""
    phrases: frozenset[int]
    """Texts of which a common phrase was left out."""
    undetermined: frozenset[int]

    def hits(self, benchmark: int) -> Iterator[Hit]:
        """Yield the examples of a benchmark that the source holds something of, by row."""
        matches = by_text(self.found)
        shorts = _shorts(self.found)
        for item in self.index.items[benchmark]:
            places = matches.get(item.text, [])
            inside = [(name, match) for name, match in places if reportable(match)]
            context = matches.get(item.context, []) if item.context is not None else []
            held = [match for _, match in context if reportable(match)]
            if inside or held or item.text in shorts:
                yield self._hit(item, inside, shorts.get(item.text, []), context=held)

    def rows(self, benchmark: int) -> dict[Label, tuple[int, ...]]:
        """Return which examples of a benchmark are what."""
        labels: dict[int, Label] = {hit.index: hit.label for hit in self.hits(benchmark)}
        found: dict[Label, list[int]] = {label: [] for label in LABELS}
        for item in self.index.items[benchmark]:
            label = labels.get(item.index) or self._label(item, score=0.0, short=False)
            found[label].append(item.index)
        return {label: tuple(rows) for label, rows in found.items()}

    def _hit(
        self,
        item: Item,
        inside: Sequence[tuple[str, Match]],
        shorts: Sequence[tuple[str, Span]],
        *,
        context: Sequence[Match],
    ) -> Hit:
        length = len(self.index.texts[item.text].stream)
        places = [_place(name, match, length, item.answer) for name, match in inside]
        places += [
            Place(document=name, score=1.0, longest=1.0, characters=(span,), answer_covered=True)
            for name, span in shorts
        ]
        runs = [run.text for _, match in inside for run in reportable(match)]
        score = max((place.score for place in places), default=0.0)
        answered = any(place.answer_covered for place in places)
        chains = [longest_chain(match.runs) / length for _, match in inside]
        return Hit(
            index=item.index,
            label=self._label(item, score=score, short=bool(shorts)),
            score=score,
            score_union=1.0 if shorts else union(runs) / length,
            longest=max((place.longest for place in places), default=0.0),
            longest_skip=1.0 if shorts else max(chains, default=0.0),
            answer_covered=answered if item.answer else None,
            context_score=self._context_score(item, context),
            places=tuple(sorted(places, key=lambda place: (-place.score, place.document))),
        )

    def _context_score(self, item: Item, matches: Sequence[Match]) -> float | None:
        if item.context is None:
            return None
        length = len(self.index.texts[item.context].stream)
        return max((_score(match, length) for match in matches), default=0.0)

    def _label(self, item: Item, *, score: float, short: bool) -> Label:
        kind = self.index.texts[item.text].kind
        if kind == "untestable":
            return "untestable"
        if kind == "short":
            return "short_hit" if short else "short_miss"
        if score >= PARTIAL:
            return "dirty" if score >= DIRTY else "partial"
        if item.text in self.undetermined:
            return "undetermined"
        return "boilerplate" if not score and item.text in self.phrases else "clean"


def _shorts(found: Iterable[Found]) -> dict[int, list[tuple[str, Span]]]:
    shorts: dict[int, list[tuple[str, Span]]] = defaultdict(list)
    for each in found:
        for text, span in each.shorts:
            shorts[text].append((each.document, span))
    return shorts


def _score(match: Match, length: int) -> float:
    return union(run.text for run in reportable(match)) / length


def _place(document: str, match: Match, length: int, answer: Span | None) -> Place:
    runs = reportable(match)
    return Place(
        document=document,
        score=_score(match, length),
        longest=max(run.length for run in runs) / length,
        characters=tuple(sorted({run.characters for run in runs})),
        answer_covered=answer is not None
        and any(run.text[0] <= answer[0] and answer[1] <= run.text[1] for run in runs),
    )
