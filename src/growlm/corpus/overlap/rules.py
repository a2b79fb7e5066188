"""Published rules of contamination, computed beside our score, so that figures compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from growlm.corpus.overlap.index import GRAMS, Index, Item
from growlm.corpus.overlap.scan import Found, Match
from growlm.corpus.overlap.score import by_text
from growlm.corpus.permutation import key64
from growlm.corpus.spans import union

WORDS = GRAMS[0]
"""Words in a row that most of the rules count."""

PALM_SHARE, TULU_SHARE, TULU_EXAMPLES = 0.7, 0.5, 0.02
GPT4_LETTERS, GPT4_DRAWS = 50, 3
LLAMA2_LENGTHS = (10, 20, 30, 40, 50)
LLAMA2_CLEAN, LLAMA2_DIRTY = 0.2, 0.8
LLAMA3_SHARES = tuple(step / 10 for step in range(10))

NOTES: Mapping[str, str] = MappingProxyType(
    {
        "gpt3": "any N words in a row, N the 5th percentile of lengths within 8 to 13; examples "
        "under 8 words are left out (arXiv:2005.14165, appendix C)",
        "palm": "70% of the 8 words in a row, over all documents (arXiv:2204.02311, section 8)",
        "gpt4": "one of 3 drawn stretches of 50 letters, or the whole; here in lower case, without "
        "punctuation, and counted in bytes (arXiv:2303.08774, appendix C)",
        "llama2": "share of words in matches longer than L, with up to 4 that differ after the "
        "first 10; words here, the model's tokens there (arXiv:2307.09288, appendix A.6)",
        "llama3": "share of words inside 8 words in a row, over all documents; the threshold is "
        "the evaluation's to choose, so there is a curve (arXiv:2407.21783, section 5.1.4)",
        "tulu3": "over 50% of the words inside 8 words in a row, of one document; over 2% of the "
        "examples make the source contaminated (arXiv:2411.15124, section 3.2)",
    }
)
"""What each rule is, where it comes from, and where ours departs from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rule makes of a benchmark and a source."""

    rule: str
    counted: int
    """Examples that the rule applies to."""
    flagged: tuple[int, ...]
    """The rows of those that it calls contaminated."""
    detail: Mapping[str, int | bool]
    """What else the rule reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """An example and where it was found."""

    benchmark: str
    size: int
    """Words in a row that GPT-3's rule counts here."""
    item: Item
    words: int
    letters: int
    matches: Sequence[Match]
    short: bool
    """Whether it is a short text and some document holds it."""

    def starts(self, size: int) -> set[int]:
        """Return the words that a match of so many words begins with, over all documents."""
        return {place for match in self.matches for place in _starts(match, size, self.words)}


def verdicts(index: Index, found: Sequence[Found], benchmark: int) -> list[Verdict]:
    """Return what each rule makes of the examples of a benchmark in some documents."""
    matches = by_text(found)
    shorts = {text for each in found for text, _ in each.shorts}
    cases = [
        _Case(
            benchmark=index.benchmarks[benchmark].name,
            size=index.sizes[benchmark],
            item=item,
            words=len(index.texts[item.text].words),
            letters=len(index.texts[item.text].stream),
            matches=[match for _, match in matches.get(item.text, [])],
            short=item.text in shorts,
        )
        for item in index.items[benchmark]
        if index.texts[item.text].kind != "untestable"
    ]
    return [rule(cases) for rule in _RULES]


def _gpt3(cases: Sequence[_Case]) -> Verdict:
    counted = [case for case in cases if case.words >= WORDS]
    return _verdict("gpt3", counted, lambda case: bool(case.starts(case.size)))


def _palm(cases: Sequence[_Case]) -> Verdict:
    def flagged(case: _Case) -> bool:
        all_grams = max(1, case.words - WORDS + 1)
        return case.short or len(case.starts(WORDS)) >= PALM_SHARE * all_grams

    return _verdict("palm", cases, flagged)


def _gpt4(cases: Sequence[_Case]) -> Verdict:
    return _verdict("gpt4", cases, _drawn)


def _drawn(case: _Case) -> bool:
    """Return whether a document holds one of the stretches drawn from an example."""
    if case.short:
        return True
    length = min(GPT4_LETTERS, case.letters)
    names = f"'gpt4', {case.benchmark!a}, '{case.item.index}'"
    draws = [key64(f"({names}, {draw})") for draw in range(GPT4_DRAWS)]
    starts = {draw % (case.letters - length + 1) for draw in draws}
    return any(
        run.text[0] <= start and start + length <= run.text[1]
        for match in case.matches
        for run in match.runs
        for start in starts
    )


def _llama2(cases: Sequence[_Case]) -> Verdict:
    detail: dict[str, int | bool] = {}
    for length in LLAMA2_LENGTHS:
        shares = [_share_beyond(case, length) for case in cases]
        detail[f"clean_{length}"] = sum(share < LLAMA2_CLEAN for share in shares)
        detail[f"dirty_{length}"] = sum(share >= LLAMA2_DIRTY for share in shares)
    shortest = LLAMA2_LENGTHS[0]
    return _verdict(
        "llama2", cases, lambda case: _share_beyond(case, shortest) >= LLAMA2_DIRTY, detail
    )


def _share_beyond(case: _Case, length: int) -> float:
    spans = [
        span for match in case.matches for span in match.skipping if span[1] - span[0] > length
    ]
    return union(spans) / case.words


def _llama3(cases: Sequence[_Case]) -> Verdict:
    shares = [_covered(case.starts(WORDS), case.words) for case in cases]
    detail: dict[str, int | bool] = {
        f"above_{at:g}": sum(share > at for share in shares) for at in LLAMA3_SHARES
    }
    return _verdict("llama3", cases, lambda case: bool(case.starts(WORDS)), detail)


def _tulu3(cases: Sequence[_Case]) -> Verdict:
    def flagged(case: _Case) -> bool:
        return case.short or any(
            _covered(_starts(match, WORDS, case.words), case.words) > TULU_SHARE
            for match in case.matches
        )

    found = _verdict("tulu3", cases, flagged)
    contaminated = len(found.flagged) > TULU_EXAMPLES * max(1, len(cases))
    return Verdict(
        rule=found.rule,
        counted=found.counted,
        flagged=found.flagged,
        detail={"contaminated": contaminated},
    )


_RULES = (_gpt3, _palm, _gpt4, _llama2, _llama3, _tulu3)


def _verdict(
    rule: str,
    cases: Sequence[_Case],
    flagged: Callable[[_Case], bool],
    detail: Mapping[str, int | bool] = MappingProxyType({}),
) -> Verdict:
    rows = tuple(case.item.index for case in cases if flagged(case))
    return Verdict(rule=rule, counted=len(cases), flagged=rows, detail=detail)


def _starts(match: Match, size: int, words: int) -> frozenset[int]:
    """Return the words that a match of so many begins with; of a shorter text, of it whole."""
    return match.grams.get(min(size, words), frozenset())


def _covered(starts: set[int] | frozenset[int], words: int) -> float:
    """Return the share of an example's words that 8 words in a row cover."""
    return union((start, min(words, start + WORDS)) for start in starts) / max(1, words)
