"""Canaries: overlaps planted in a copy of the text; a scan that misses them proves nothing."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from growlm.base.errors import SafetyError
from growlm.corpus.overlap.actions import LEAST_SCORE
from growlm.corpus.overlap.benchmark import PLAIN, Benchmark, Example
from growlm.corpus.overlap.index import Index
from growlm.corpus.overlap.rulings import pieces, rulings, standings
from growlm.corpus.overlap.scan import Found, Named, scan
from growlm.corpus.overlap.score import Hit, Scorer, without_phrases
from growlm.corpus.spans import Span
from growlm.recipe.overlap import Action, Rules

NAME = "__canary__"
"""The benchmark that they make; it is indexed with the others."""

COPIES = 25
"""Passages of each kind, and passages that are never planted."""

DOCUMENTS, DOCUMENT_CHARACTERS = 25, 20_000
"""Documents that are copied, and characters of each, at most."""

ACTIONS: tuple[Action, ...] = ("mask", "excise", "drop")
"""What must take the planted passages away."""

_SEED = 20_201
_PASSAGE_WORDS = (60, 91)
_LINE_WORDS = 8

_WORDS = (
    "amber anchor apple arrow autumn basket beacon bishop blanket border bottle branch bridge "
    "bronze bucket butter cabin candle canvas carpet castle cedar chapel cherry circle clerk "
    "cliff closet cloud clover coast cobble collar copper corner cotton cradle crystal "
    "curtain dagger daisy desert diamond dragon drawer eagle earth ember engine fabric falcon "
    "feather fence fiddle finger flame flint forest fountain garden garlic glacier goblet "
    "granite gravel hammer harbor harvest hazel helmet hollow honey horizon island ivory "
    "jacket jewel kettle ladder lantern lemon library linen lizard magnet maple marble market "
    "meadow mirror monkey morning mortar mountain needle nickel oyster paddle palace paper "
    "parcel pebble pepper picture pigeon pillow planet pocket puddle purple quarry rabbit "
    "raven ribbon river rocket saddle sailor salmon school season shadow shelter shovel "
    "signal silver socket spider spring square stable statue stream summer sunset tailor "
    "temple thunder ticket timber tower travel trumpet tunnel turtle valley velvet village "
    "violet wagon walnut water weaver whistle willow window winter wizard yellow"
)
_CLITICS = "don't it's can't we're isn't"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to plant a passage, and how well it must be found."""

    change: Callable[[str], str]
    score: float
    """A passage counts as found from this score on."""
    recall: float
    """Share of the passages that must be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A copy of a document with passages in it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Canaries:
    """What became of the planted passages."""

    documents: int
    planted: int
    recall: Mapping[str, float]
    """Share found, by kind."""
    controls: int
    """Passages found that were not planted."""
    left: Mapping[str, int]
    """Passages still found after each action."""

    @property
    def overall(self) -> float:
        """The share of all planted passages that was found."""
        return sum(self.recall.values()) / len(self.recall)


def _recased(passage: str) -> str:
    quoted = re.sub(r'"([^"]*)"', "\u201c\\1\u201d", passage.upper())
    return quoted.replace("'", "\u2019").replace(", ", " \u2014 ")


def _tokenized(passage: str) -> str:
    """Return a passage as the Penn Treebank writes it: marks and clitics are words."""
    passage = re.sub(r'"([^"]*)"', r"`` \1 ''", passage)
    passage = re.sub(r"(n't|'s|'re)\b", r" \1", passage)
    return re.sub(r"\s*([.,?!;])", r" \1", passage)


def _wrapped(passage: str) -> str:
    parts = passage.split()
    lines = [parts[at : at + _LINE_WORDS] for at in range(0, len(parts), _LINE_WORDS)]
    return "\n".join(" ".join(line) for line in lines)


def _hyphenated(passage: str) -> str:
    parts = passage.split()
    for at in range(_LINE_WORDS, len(parts), _LINE_WORDS):
        half = len(parts[at]) // 2
        parts[at] = f"{parts[at][:half]}-\n{parts[at][half:]}"
    return " ".join(parts)


def _every(step: int) -> Callable[[str], str]:
    def changed(passage: str) -> str:
        parts = passage.split()
        parts[step // 2 :: step] = ["something"] * len(parts[step // 2 :: step])
        return " ".join(parts)

    return changed


def _half(passage: str) -> str:
    parts = passage.split()
    return " ".join(parts[: len(parts) // 2])


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "verbatim": Kind(change=str, score=0.5, recall=0.95),
        "recased": Kind(change=_recased, score=0.5, recall=0.95),
        "tokenized": Kind(change=_tokenized, score=0.5, recall=0.95),
        "wrapped": Kind(change=_wrapped, score=0.5, recall=0.95),
        "hyphenated": Kind(change=_hyphenated, score=0.5, recall=0.95),
        "one word in 20": Kind(change=_every(20), score=0.5, recall=0.95),
        "one word in 10": Kind(change=_every(10), score=0.5, recall=0.95),
        "half": Kind(change=_half, score=0.35, recall=0.95),
    }
)
"""Every way to plant a passage; of a half copy no more than half can be found."""


def benchmark() -> Benchmark:
    """Return the benchmark of the passages: those of each kind, then those never planted."""
    stream = np.random.default_rng(_SEED)
    passages = [_passage(stream) for _ in range(COPIES * (len(KINDS) + 1))]
    examples = tuple(
        Example(index=index, text=passage, answer=None, context=None)
        for index, passage in enumerate(passages)
    )
    return Benchmark(name=NAME, path=NAME, sha256="", fields=PLAIN, examples=examples)


def _passage(stream: np.random.Generator) -> str:
    words = [
        str(word) for word in stream.choice(_WORDS.split(), int(stream.integers(*_PASSAGE_WORDS)))
    ]
    for at in range(5, len(words), 12):
        words[at] = str(stream.choice(_CLITICS.split()))
        words[at + 1 : at + 2] = [f"{word}," for word in words[at + 1 : at + 2]]
    words[2:4] = [f'"{words[2]}', f'{words[3]}"']
    return " ".join(words).capitalize() + "."


def sample(document: Named) -> Planted:
    """Return the beginning of a document, to plant passages in."""
    return Planted(name=document.name, text=document.text[:DOCUMENT_CHARACTERS])


def planted(documents: Sequence[Named]) -> list[Planted]:
    """Return copies of documents with every passage in one of them, in lines of its own."""
    stream = np.random.default_rng(_SEED)
    texts = [document.text for document in documents]
    for number, example in enumerate(benchmark().examples[: COPIES * len(KINDS)]):
        kind = list(KINDS.values())[number // COPIES]
        at = number % len(texts)
        breaks = [0, *(match.end() for match in re.finditer("\n", texts[at])), len(texts[at])]
        place = breaks[int(stream.integers(len(breaks)))]
        passage = f"\n{kind.change(example.text)}\n"
        texts[at] = texts[at][:place] + passage + texts[at][place:]
    return [
        Planted(name=document.name, text=text)
        for document, text in zip(documents, texts, strict=True)
    ]


def check(index: Index, documents: Sequence[Named], *, rules: Rules) -> Canaries:
    """Plant the passages, look for them, and take them away again by every action.

    Args:
        index: Of ``benchmark()``, last, and of what the scan looks for.
        documents: Some that the scan has read; copies of them are made.
        rules: As the scan has them.

    Raises:
        SafetyError: Too few were found, what was not planted was, or an action left some.
    """
    if not documents:
        raise SafetyError(
            "documents to look for overlaps in", got="0 documents scanned", fix="other files"
        )
    copies = planted(documents)
    hits = _hits(index, list(scan(index, copies, rules=rules, tally=Counter())))
    scores = {hit.index: hit.score for hit in hits}
    controls = [score for at, score in scores.items() if at >= COPIES * len(KINDS)]
    canaries = Canaries(
        documents=len(copies),
        planted=COPIES * len(KINDS),
        recall={name: _recall(scores, number) for number, name in enumerate(KINDS)},
        controls=sum(score >= LEAST_SCORE for score in controls),
        left={action: _left(index, copies, hits, action) for action in ACTIONS},
    )
    _judge(canaries)
    return canaries


def _hits(index: Index, found: Sequence[Found]) -> list[Hit]:
    kept, _ = without_phrases(index, found, clusters={})
    scorer = Scorer(index, kept, phrases=frozenset(), undetermined=frozenset())
    return list(scorer.hits(len(index.benchmarks) - 1))


def _recall(scores: Mapping[int, float], number: int) -> float:
    least = list(KINDS.values())[number].score
    inside = range(COPIES * number, COPIES * (number + 1))
    return sum(scores.get(at, 0.0) >= least for at in inside) / COPIES


def _left(index: Index, copies: Sequence[Planted], hits: Sequence[Hit], action: Action) -> int:
    """Return how many passages are still found in what an action makes of the copies."""
    ruled = rulings(standings(NAME, hits), lambda _: action)
    after = [
        Planted(name=copy.name, text=_blanked(piece.text, piece.masked))
        for copy in copies
        for piece in pieces(copy.text, ruled.get(copy.name, ()))
    ]
    again = _hits(index, list(scan(index, after, rules="fast", tally=Counter())))
    return sum(hit.score >= LEAST_SCORE for hit in again)


def _blanked(text: str, spans: Sequence[Span]) -> str:
    """Return a text with the letters that are masked overwritten."""
    for lo, hi in spans:
        text = text[:lo] + "_" * (hi - lo) + text[hi:]
    return text


def _judge(canaries: Canaries) -> None:
    low = {name: recall for name, recall in canaries.recall.items() if recall < KINDS[name].recall}
    if low:
        name, recall = min(low.items(), key=lambda pair: pair[1])
        raise SafetyError(
            f"at least {KINDS[name].recall:.0%} of the planted overlaps found, of every kind",
            got=f"{canaries.overall:.0%} in all, {recall:.0%} of '{name}'",
            fix="reporting it: no figure of this scan can be trusted",
        )
    if canaries.controls:
        raise SafetyError(
            "nothing found that was not planted",
            got=f"{canaries.controls} such passages",
            fix="reporting it: no figure of this scan can be trusted",
        )
    for action, left in canaries.left.items():
        if left:
            raise SafetyError(
                f"no planted overlap left after the action '{action}'",
                got=f"{left}",
                fix="reporting it: no action of this scan can be trusted",
            )
