"""The scorer: how likely a model finds the ends of token sequences, batched by tokens."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from growlm.base.errors import EvaluationError
from growlm.model.gpt import GPT
from growlm.model.loss import token_losses

Encode = Callable[[Sequence[str]], list[list[int]]]
"""Texts in, the token ids of each out; nothing is added to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a model reads, and which next tokens are scored.

    The last input predicts the last target, the one before it the target before, and so on.

    Raises:
        EvaluationError: No targets, or more of them than inputs.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that every target has an input that predicts it."""
        if not 0 < len(self.targets) <= len(self.inputs):
            raise EvaluationError(
                "at least one target, and an input for each",
                got=f"{len(self.targets)} targets, {len(self.inputs)} inputs",
                fix="requests that begin with the end-of-text token",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a model makes of one request."""

    log_likelihood_nats: float
    """Sum over the targets of the logarithm of their probability."""

    greedy: bool
    """Whether every target is the most likely token at its place."""


def score(model: GPT, requests: Sequence[Request], *, batch_tokens: int) -> list[Score]:
    """Return the scores of requests, in their order.

    They are sorted by length, longest first, and padded on the right, where a causal model cannot
    see the padding. Logits are computed at scored places only, in at least fp32, over the real
    vocabulary. The order of the requests changes nothing, the batch size only rounding.

    Args:
        model: On its own device; dropout is off inside, and the mode restored after.
        requests: Any number.
        batch_tokens: Tokens in a forward pass, padding included; a longer request goes alone.

    Raises:
        EvaluationError: A token outside the vocabulary, more tokens than learned positions, or a
            score that is not finite.
    """
    ranked = sorted(range(len(requests)), key=lambda index: _rank(requests[index]))
    scores: dict[int, Score] = {}
    with scoring(model):
        for batch in _batches(ranked, requests, batch_tokens=batch_tokens):
            scores.update(zip(batch, _score(model, [requests[i] for i in batch]), strict=True))
    return [scores[index] for index in range(len(requests))]


@contextmanager
def scoring(model: GPT) -> Generator[None, None, None]:
    """Keep dropout and gradients off inside the block; every module then gets its mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training


def check_context(model: GPT, context: int) -> None:
    """Refuse a context before any text is read.

    Raises:
        EvaluationError: It is no length, or longer than the model's learned positions.
    """
    if context < 1:
        raise EvaluationError("a context of at least 1 token", got=f"{context}", fix="1024")
    if model.position is not None:
        with scoring(model):
            model(torch.zeros((1, context), dtype=torch.int64, device=model.head_weight.device))


def _rank(request: Request) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Longest first; ties by what is in them, so that no order of requests can show."""
    return -len(request.inputs), request.inputs, request.targets


def _batches(
    ranked: Sequence[int], requests: Sequence[Request], *, batch_tokens: int
) -> Iterator[list[int]]:
    """Yield indices of requests; the first of each batch is its longest."""
    start = 0
    while start < len(ranked):
        longest = len(requests[ranked[start]].inputs)
        end = start + max(1, batch_tokens // longest)
        yield list(ranked[start:end])
        start = end


def _score(model: GPT, requests: Sequence[Request]) -> list[Score]:
    inputs_BT = pad_sequence([torch.tensor(each.inputs) for each in requests], batch_first=True)
    targets_N = torch.tensor([target for each in requests for target in each.targets])
    _check_tokens(model, torch.cat((inputs_BT.flatten(), targets_N)))
    rows_N, columns_N = _scored_places(requests)
    losses_N, missed_N = _token_scores(model, inputs_BT, targets_N, places=(rows_N, columns_N))
    losses_B = losses_N.new_zeros(len(requests)).index_add_(0, rows_N, losses_N)
    missed_B = missed_N.new_zeros(len(requests)).index_add_(0, rows_N, missed_N)
    return [
        Score(log_likelihood_nats=-float(loss), greedy=not int(missed))
        for loss, missed in zip(losses_B, missed_B, strict=True)
    ]


def _token_scores(
    model: GPT,
    inputs_BT: Int[Tensor, "B T"],
    targets_N: Int[Tensor, " N"],
    *,
    places: tuple[Int[Tensor, " N"], Int[Tensor, " N"]],
) -> tuple[Float64[Tensor, " N"], Int[Tensor, " N"]]:
    """Return each target's loss in nats, and 1 where another token is more likely; on the CPU."""
    device = model.head_weight.device
    rows_N, columns_N = places
    hidden_ND = model(inputs_BT.to(device))[rows_N.to(device), columns_N.to(device)]
    losses_N, greedy_N = token_losses(
        hidden_ND, model.head_weight, targets_N.to(device), vocab_size=model.config.vocab_size
    )
    losses_N = losses_N.cpu()
    if not losses_N.isfinite().all():
        raise EvaluationError(
            "finite scores", got="infinity or not-a-number", fix="an earlier checkpoint"
        )
    return losses_N.double(), (~greedy_N.cpu()).long()


def _check_tokens(model: GPT, ids_N: Int[Tensor, " N"]) -> None:
    lowest, highest = (int(bound) for bound in ids_N.aminmax())
    if lowest < 0 or highest >= model.config.vocab_size:
        raise EvaluationError(
            f"tokens of the model's vocabulary, 0 to {model.config.vocab_size - 1}",
            got=f"{lowest if lowest < 0 else highest}",
            fix="the tokenizer that the model was trained with",
        )


def _scored_places(
    requests: Sequence[Request],
) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
    """Return the row and the column of the input that predicts each target."""
    counts = torch.tensor([len(each.targets) for each in requests])
    columns = [torch.arange(len(r.inputs) - len(r.targets), len(r.inputs)) for r in requests]
    return torch.arange(len(requests)).repeat_interleave(counts), torch.cat(columns)
