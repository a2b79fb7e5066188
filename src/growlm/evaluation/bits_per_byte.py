"""Bits per byte: how many bits a model needs for a byte of held-out text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from growlm.base.errors import EvaluationError
from growlm.evaluation.bootstrap import interval
from growlm.evaluation.request import Request
from growlm.evaluation.results import TaskScore


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsPerByte:
    """A text's score, how sure it is, and what it was computed on."""

    value: float
    """Of all documents together."""

    stderr: float | None
    """Over documents; None where fewer than two have any text."""

    low: float
    """Where the 95% interval over documents begins."""

    high: float
    """Where it ends."""

    documents: int
    empty: int
    """Documents among them without any text."""

    bytes: int
    """Bytes of all documents in UTF-8."""

    tokens: int
    """Tokens scored; the end-of-text token before each document is none of them."""


def bits_per_byte(found: TaskScore) -> BitsPerByte:
    """Return the bits per byte of documents that were scored one by one, weighted by their bytes.

    ``-(sum of log-likelihoods) / (bytes in UTF-8) / ln 2``, over all documents together; Gao et
    al., arXiv:2101.00027, section 3.1. Documents are never joined; an empty one has no tokens. How
    sure it is follows from drawing documents anew.

    Raises:
        EvaluationError: None of them has any text.
    """
    nats, sizes, tokens = (
        [each.values[name] for each in found.examples]
        for name in ("log_likelihood_nats", "bytes", "tokens")
    )
    value = corpus_bits_per_byte(found)
    bounds = interval([-each / math.log(2) for each in nats], sizes)
    empty = sizes.count(0.0)
    return BitsPerByte(
        value=value,
        stderr=bounds.stderr if len(sizes) - empty > 1 else None,
        low=bounds.low,
        high=bounds.high,
        documents=len(sizes),
        empty=empty,
        bytes=int(math.fsum(sizes)),
        tokens=int(math.fsum(tokens)),
    )


def rolling_windows(
    tokens: Sequence[int], *, prefix: int, context: int, overlap: int = 0
) -> Iterator[Request]:
    """Yield windows over a document that score each of its tokens once.

    The first window opens with the prefix. Each later one reads ``context`` tokens: it opens with
    the last token scored before it, and the last window with as many as fill it. These are the
    rolling windows of EleutherAI's lm-evaluation-harness, with one token of context.

    >>> for window in rolling_windows(range(6), prefix=99, context=4):
    ...     print(window.inputs, window.targets)
    (99, 0, 1, 2) (0, 1, 2, 3)
    (1, 2, 3, 4) (4, 5)

    Args:
        tokens: The document's; without any, there are no windows.
        prefix: What stands before its first token.
        context: Tokens the model reads at most.
        overlap: Tokens, below the context, that every window but the first reads again before it
            scores any; the harness has none. More of them cost more and give better scores.
    """
    stream = (prefix, *tokens)
    start, end = 0, min(context, len(tokens))
    while start < len(tokens):
        yield Request(
            inputs=stream[max(end - context, 0) : end], targets=stream[start + 1 : end + 1]
        )
        start, end = end, min(end + context - overlap, len(tokens))


def corpus_bits_per_byte(found: TaskScore) -> float:
    """Return the bits per byte of documents that were scored one by one, weighted by their bytes.

    Raises:
        EvaluationError: None of them has any text.
    """
    nats = math.fsum(each.values["log_likelihood_nats"] for each in found.examples)
    n_bytes = math.fsum(each.values["bytes"] for each in found.examples)
    if not n_bytes:
        raise EvaluationError(
            f"documents with text in {found.task}",
            got=f"{len(found.examples)} documents, all empty",
            fix="another file, or another field",
        )
    return -nats / n_bytes / math.log(2)
