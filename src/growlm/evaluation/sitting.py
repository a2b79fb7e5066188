"""A sitting: questions or documents scored chunk by chunk, in an order that never changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from growlm.base.errors import EvaluationError
from growlm.evaluation.bits_per_byte import rolling_windows
from growlm.evaluation.decoder import Predictor, check_context
from growlm.evaluation.marking import marked, measured
from growlm.evaluation.pairs import requests_of
from growlm.evaluation.request import Encode
from growlm.evaluation.results import ExampleScore
from growlm.evaluation.scorer import score
from growlm.evaluation.tasks import Form, Question

CHUNK_CHARACTERS = 1 << 17
"""Characters scored together, unless one item has more: what an interruption may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text whose every token is scored."""

    index: int
    """Its row, from 0."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """A model, and how it is asked.

    Raises:
        EvaluationError: The context is longer than learned positions, or the overlap leaves nothing
            of it to score.
    """

    predictor: Predictor
    encode: Encode
    prefix: int
    """The token before a text without context."""
    context: int
    """Tokens the model reads at most."""
    overlap: int
    """Tokens that a document's windows read again; 0 as the harness does it."""
    batch_tokens: int
    """Tokens in a forward pass."""

    def __post_init__(self) -> None:
        """Check that the context can be read, and that windows move on."""
        check_context(self.predictor, self.context)
        if not 0 <= self.overlap < self.context:
            raise EvaluationError(
                f"an overlap of 0 to {self.context - 1} tokens, below the context",
                got=f"{self.overlap}",
                fix=f"{self.context // 2}",
            )

    def questions(self, form: Form, questions: Sequence[Question]) -> list[ExampleScore]:
        """Return the scores of questions.

        Raises:
            EvaluationError: An answer has no tokens of its own, or more than the context; or what
                ``score`` raises.
        """
        pairs = [pair for question in questions for pair in question.pairs]
        requests = requests_of(pairs, encode=self.encode, prefix=self.prefix, context=self.context)
        found = iter(score(self.predictor, requests, batch_tokens=self.batch_tokens))
        return [marked(form, each, [next(found) for _ in each.pairs]) for each in questions]

    def documents(self, documents: Sequence[Document]) -> list[ExampleScore]:
        """Return the scores of documents, each by itself.

        Raises:
            EvaluationError: What ``score`` raises.
        """
        encoded = self.encode([each.text for each in documents])
        windows = [
            list(
                rolling_windows(ids, prefix=self.prefix, context=self.context, overlap=self.overlap)
            )
            for ids in encoded
        ]
        requests = [window for each in windows for window in each]
        found = iter(score(self.predictor, requests, batch_tokens=self.batch_tokens))
        return [
            measured(each.index, each.text, [next(found) for _ in own], tokens=len(ids))
            for each, own, ids in zip(documents, windows, encoded, strict=True)
        ]


def characters(item: Question | Document) -> int:
    """Return the length of an item, by which items of a like length are scored together."""
    if isinstance(item, Document):
        return len(item.text)
    return sum(len(before) + len(after) for before, after in item.pairs)


def chunks_of(lengths: Sequence[int], *, most: int) -> list[tuple[int, ...]]:
    """Return the numbers of items in chunks, the longest items first.

    >>> chunks_of([3, 9, 4, 4], most=9)
    [(1,), (2, 3), (0,)]

    Args:
        lengths: Of each item, in characters.
        most: Characters of a chunk, unless one item has more.
    """
    chunks: list[tuple[int, ...]] = []
    chunk: list[int] = []
    total = 0
    for number in sorted(range(len(lengths)), key=lambda each: (-lengths[each], each)):
        if chunk and total + lengths[number] > most:
            chunks.append(tuple(chunk))
            chunk, total = [], 0
        chunk.append(number)
        total += lengths[number]
    return [*chunks, tuple(chunk)] if chunk else chunks
