"""Bits per byte: how many bits a model needs for a byte of held-out text."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from growlm.base.errors import EvaluationError
from growlm.evaluation.decoder import Predictor, check_context
from growlm.evaluation.request import Encode, Request
from growlm.evaluation.results import TaskScore
from growlm.evaluation.scorer import score
from growlm.model.gpt import GPT

GROUP_CHARACTERS = 1 << 20
"""Characters of documents that are tokenised and held at once, unless one document has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsPerByte:
    """A source's score, and what it was computed on."""

    bits_per_byte: float
    documents: int

    bytes: int
    """Bytes of all documents in UTF-8."""

    tokens: int
    """Tokens scored; the end-of-text token before each document is none of them."""


def bits_per_byte(
    model: GPT | Predictor,
    texts: Iterable[str],
    *,
    encode: Encode,
    end_of_text: int,
    context: int,
    batch_tokens: int,
) -> BitsPerByte:
    """Return the bits per byte of documents, weighted by their bytes.

    ``-(sum of log-likelihoods) / (bytes in UTF-8) / ln 2``, over all documents together; Gao et
    al., arXiv:2101.00027, section 3.1. Documents are never joined; an empty one has no tokens.

    Args:
        model: Any; its vocabulary is that of ``encode``.
        texts: The documents.
        encode: The tokenizer.
        end_of_text: The token that stands before the first of each document.
        context: Tokens the model reads at most.
        batch_tokens: Tokens in a forward pass.

    Raises:
        EvaluationError: No text, a context longer than learned positions, or what ``score`` raises.
    """
    check_context(model, context)
    documents = n_bytes = tokens = 0
    log_likelihood_nats = 0.0
    for group in _groups(texts):
        requests = [
            request
            for ids in encode(group)
            for request in rolling_windows(ids, prefix=end_of_text, context=context)
        ]
        scores = score(model, requests, batch_tokens=batch_tokens)
        log_likelihood_nats += math.fsum(each.log_likelihood_nats for each in scores)
        documents += len(group)
        n_bytes += sum(len(text.encode()) for text in group)
        tokens += sum(len(request.targets) for request in requests)
    if not n_bytes:
        raise EvaluationError(
            "held-out documents with text in them",
            got=f"{documents} documents, all empty" if documents else "no documents",
            fix="a larger validation share, or a source with more documents",
        )
    return BitsPerByte(
        bits_per_byte=-log_likelihood_nats / n_bytes / math.log(2),
        documents=documents,
        bytes=n_bytes,
        tokens=tokens,
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


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield documents in lists of a bounded number of characters."""
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group


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
