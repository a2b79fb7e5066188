"""Pairs of a context and its continuation as requests, in lm-evaluation-harness's way."""

from collections.abc import Sequence

from growlm.base.errors import EvaluationError
from growlm.evaluation.request import Encode, Request

Pair = tuple[str, str]
"""A context, and how it goes on."""


def requests_of(
    pairs: Sequence[Pair], *, encode: Encode, prefix: int, context: int
) -> list[Request]:
    """Return the request for each pair.

    Blanks at the end of a context go to its continuation. The tokens of the continuation are those
    of both together that follow as many as the context has alone. What is too long loses its
    beginning. Before a continuation without context stands the prefix, unless it opens with that.

    Args:
        pairs: Any number; each text is encoded once.
        encode: The tokenizer.
        prefix: The token that stands where there is no context.
        context: Tokens the model reads at most.

    Raises:
        EvaluationError: A continuation without tokens of its own, or with more than the context.
    """
    moved = [_moved(*pair) for pair in pairs]
    texts = dict.fromkeys(text for before, after in moved for text in (before, before + after))
    ids = dict(zip(texts, encode(list(texts)), strict=True))
    return [
        _request(ids[before], ids[before + after], after, prefix=prefix, context=context)
        for before, after in moved
    ]


def _moved(before: str, after: str) -> Pair:
    kept = before.rstrip()
    return kept, before[len(kept) :] + after


def _request(head: list[int], whole: list[int], text: str, *, prefix: int, context: int) -> Request:
    targets = whole[len(head) :]
    if not head and targets[:1] == [prefix]:
        head, targets = targets[:1], targets[1:]
    if not 0 < len(targets) <= context:
        raise EvaluationError(
            f"the continuation '{text:.40}' to fit a context of {context} tokens",
            got=f"{len(targets)} tokens of it",
            fix="a longer context" if targets else "another row, or another tokenizer",
        )
    sequence = [*(head or [prefix]), *targets][-(context + 1) :]
    return Request(inputs=tuple(sequence[:-1]), targets=tuple(targets))
