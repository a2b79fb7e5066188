"""The scorer: how likely a model finds the ends of token sequences, batched by tokens."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from growlm.base.errors import EvaluationError
from growlm.evaluation.decoder import Predictor, predictor_of
from growlm.evaluation.packing import Batch, Row, batches_of, rows_of
from growlm.evaluation.request import Request, Score
from growlm.model.gpt import GPT


def score(
    model: GPT | Predictor,
    requests: Sequence[Request],
    *,
    batch_tokens: int,
    share: bool = True,
) -> list[Score]:
    """Return the scores of requests, in their order.

    What several requests begin with is computed once: their ends follow it in one row, where none
    sees another. Rows are sorted by length, longest first, and padded on the right, where a causal
    model cannot see the padding. Logits are computed at scored places only, in at least fp32, over
    the real vocabulary, and sums are exact. Nothing waits for the device before the last batch is
    under way. The order of the requests changes nothing; the batch size and sharing only rounding.

    Args:
        model: A decoder on its own device, or whatever else predicts.
        requests: Any number.
        batch_tokens: Tokens in a forward pass, padding included; a longer request goes alone.
        share: Whether beginnings are shared.

    Raises:
        EvaluationError: A token outside the vocabulary, more tokens than learned positions, or a
            score that is not finite.
    """
    predictor = predictor_of(model)
    rows = rows_of(requests, share=share, limit=batch_tokens)
    found: list[tuple[Tensor, Tensor]] = []
    order: list[Row] = []
    for taken, batch in batches_of(rows, batch_tokens=batch_tokens, longest=predictor.longest):
        _check(predictor, batch)
        found.append(predictor.losses(batch))
        order += taken
    return _scores(requests, order, found)


def _scores(
    requests: Sequence[Request], order: Sequence[Row], found: Sequence[tuple[Tensor, Tensor]]
) -> list[Score]:
    """Return the requests' scores from those of their targets, in the order they were computed."""
    if not found:
        return []
    losses_N = torch.cat([losses for losses, _ in found]).cpu()
    if not losses_N.isfinite().all():
        raise EvaluationError(
            "finite scores", got="infinity or not-a-number", fix="an earlier checkpoint"
        )
    losses = cast(list[float], losses_N.tolist())
    greedy = cast(list[bool], torch.cat([greedy for _, greedy in found]).tolist())
    scores: dict[int, Score] = {}
    start = 0
    for index in (member for row in order for member in row.members):
        end = start + len(requests[index].targets)
        scores[index] = Score(
            log_likelihood_nats=-math.fsum(losses[start:end]), greedy=all(greedy[start:end])
        )
        start = end
    return [scores[index] for index in range(len(requests))]


def _check(predictor: Predictor, batch: Batch) -> None:
    """Refuse what the predictor has no answer to."""
    bounds = [ids.aminmax() for ids in (batch.ids, batch.targets)]
    lowest = min(int(each.min) for each in bounds)
    highest = max(int(each.max) for each in bounds)
    if lowest < 0 or highest >= predictor.vocab_size:
        raise EvaluationError(
            f"tokens of the model's vocabulary, 0 to {predictor.vocab_size - 1}",
            got=f"{lowest if lowest < 0 else highest}",
            fix="the tokenizer that the model was trained with",
        )
    tokens = int(batch.places.max()) + 1
    if predictor.longest is not None and tokens > predictor.longest:
        raise EvaluationError(
            f"at most {predictor.longest} tokens: that many positions were learned",
            got=f"{tokens}",
            fix=f"a context of {predictor.longest}, or a model with ALiBi",
        )
