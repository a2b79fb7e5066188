"""The last-word task: name the word that ends a passage, in LAMBADA's form."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from growlm.base.errors import EvaluationError
from growlm.base.seeds import seed_for
from growlm.evaluation.prose import CLOSING, Sentence, join, prose_runs
from growlm.evaluation.results import TaskScore
from growlm.evaluation.tasks import DELIMITER, Question

MIN_PASSAGES = 10
"""Below this, a share says nothing."""

MIN_SENTENCES = 3
"""The last one included."""

MIN_CONTEXT_WORDS = 40
MAX_WORDS = 150
"""Of a whole passage; earlier sentences are left out."""

MIN_TARGET_LETTERS = 4

ENDING_WORDS = 8
"""Words before the last that make an ending; documentation repeats itself."""

STOP_WORDS = frozenset(
    """
    about above after again also always another anything because been before being below between
    both cannot could does done down during each either else even ever every everything from further
    given have having here hers herself himself however instead into itself just less like made many
    more most much must myself need neither never none nothing once only onto other others otherwise
    ours over same shall should similar since some something such than that their theirs them
    themselves then there therefore these they this those through together thus under until upon
    used using very want well were what when where whether which while will with within without
    would your yours yourself
    """.split()  # noqa: SIM905 - words read best as text
)
"""Words of at least four letters that say little: no targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text without its last word, and that word."""

    context: str

    target: str
    """The word alone: without the space before it and the full stop after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWord:
    """A model's score on the last-word task."""

    examples: int

    accuracy: float
    """Share of the words whose every token is the most likely one."""

    accuracy_stderr: float
    """Standard error of the share over passages."""

    perplexity: float
    """Per word, not per token."""


def passages(texts: Iterable[str], *, examples: int, seed: int) -> list[Passage]:
    """Return passages of held-out documents whose last word can be told from what precedes it.

    The form is LAMBADA's (Paperno et al., arXiv:1606.06031). A passage is a few sentences of prose
    that follow each other. Its last word has at least four letters, is no stop word, and has
    occurred before, as most of LAMBADA's targets have. Passages never overlap, and of those that
    end alike one is taken. The documents take turns, so that a long one does not outweigh the
    others; the seed decides which of a document's passages come first. The order of the documents
    changes nothing.

    Args:
        texts: The documents.
        examples: Passages, at most.
        seed: The experiment's.

    Raises:
        EvaluationError: Fewer than ten passages.
    """
    turns = [turn for text in texts for turn in _in_turn(text, seed=seed)]
    endings: dict[str, Passage] = {}
    for _, passage in sorted(turns, key=itemgetter(0)):
        endings.setdefault(_ending(passage), passage)
    chosen = list(endings.values())[:examples]
    _check_number(len(chosen))
    return sorted(chosen, key=attrgetter("context", "target"))


def questions_of(passages: Sequence[Passage]) -> tuple[Question, ...]:
    """Return what a model is asked of passages: how a context goes on, with a space and the word.

    Raises:
        EvaluationError: Fewer than ten passages.
    """
    _check_number(len(passages))
    return tuple(
        Question(
            index=index,
            pairs=((each.context, f"{DELIMITER}{each.target}"),),
            answer=0,
            characters=(len(each.target),),
        )
        for index, each in enumerate(passages)
    )


def last_word(found: TaskScore) -> LastWord:
    """Return how well a model names last words.

    As EleutherAI's lm-evaluation-harness scores LAMBADA: a word is right when all its tokens are
    the most likely ones, and perplexity is ``exp(-mean log p(word))``.
    """
    accuracy = found.mean("acc")
    return LastWord(
        examples=accuracy.count,
        accuracy=accuracy.value,
        accuracy_stderr=accuracy.stderr,
        perplexity=found.perplexity().value,
    )


def _in_turn(text: str, *, seed: int) -> Iterator[tuple[tuple[int, int], Passage]]:
    """Yield a document's passages with their place: the turn, then the passage's own number."""
    numbers = {
        passage: seed_for(seed, "last-word", passage.context, passage.target)
        for run in prose_runs(text)
        for passage in _passages(run)
    }
    for turn, passage in enumerate(sorted(numbers, key=numbers.__getitem__)):
        yield (turn, numbers[passage]), passage


def _ending(passage: Passage) -> str:
    return " ".join([*passage.context.split()[-ENDING_WORDS:], passage.target])


def _passages(run: Sequence[Sentence]) -> Iterator[Passage]:
    """Yield the passages of a run; each begins after the one before it."""
    start = 0
    for end in range(1, len(run) + 1):
        while _words(run[start:end]) > MAX_WORDS:
            start += 1
        passage = _passage(run[start:end])
        if passage is not None:
            yield passage
            start = end


def _words(sentences: Sequence[Sentence]) -> int:
    return sum(len(each.text.split()) for each in sentences)


def _passage(sentences: Sequence[Sentence]) -> Passage | None:
    """Return sentences as a passage when their last word is one that context can tell."""
    context, _, last = join(sentences).rpartition(" ")
    target = last.rstrip(".!?" + CLOSING)
    word = target.casefold()
    fits = (
        len(sentences) >= MIN_SENTENCES
        and len(context.split()) >= MIN_CONTEXT_WORDS
        and len(target) >= MIN_TARGET_LETTERS
        and target.isalpha()
        and word not in STOP_WORDS
        and word in re.findall(r"\w+", context.casefold())
    )
    return Passage(context=context, target=target) if fits else None


def _check_number(found: int) -> None:
    if found < MIN_PASSAGES:
        raise EvaluationError(
            f"at least {MIN_PASSAGES} passages for the last-word task",
            got=f"{found}",
            fix="a larger validation share, a source with more prose, or more examples",
        )
