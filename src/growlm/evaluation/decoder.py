"""A decoder as a predictor: hidden states of packed rows, and logits where something is scored."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from growlm.base.errors import EvaluationError
from growlm.evaluation.packing import Batch
from growlm.model.attention import rotary_angles
from growlm.model.gpt import GPT
from growlm.model.loss import CHUNK_TOKENS, token_losses

CPU_CHUNK_TOKENS = 256
"""Tokens whose logits exist at once on a CPU: more leave its caches."""


@runtime_checkable  # the shape hook asks
class Predictor(Protocol):
    """Whatever can be scored: a decoder of ours, or a rule whose every probability is known."""

    @property
    def vocab_size(self) -> int:
        """Tokens there are."""
        ...

    @property
    def longest(self) -> int | None:
        """Tokens it can read; None where there is no limit."""
        ...

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return each target's loss in nats, and whether it is the most likely token; both [N]."""
        ...


class Decoder:
    """A GPT on its own device; dropout and gradients are off while it predicts."""

    def __init__(self, model: GPT) -> None:
        self.model = model

    @property
    def vocab_size(self) -> int:
        """Real tokens: the padding of the vocabulary is never scored."""
        return self.model.config.vocab_size

    @property
    def longest(self) -> int | None:
        """Positions that were learned."""
        return None if self.model.position is None else self.model.config.context

    def losses(self, batch: Batch) -> tuple[Float[Tensor, " N"], Bool[Tensor, " N"]]:
        """Return each target's loss in nats, and whether it is the most likely token.

        Logits exist at scored places only, in at least fp32.
        """
        with scoring(self.model):
            device = self.model.head_weight.device
            hidden_BTD = self._hidden(batch, device)
            hidden_ND = hidden_BTD[batch.rows.to(device), batch.columns.to(device)]
            return token_losses(
                hidden_ND.to(torch.promote_types(hidden_ND.dtype, torch.float32)),
                self.model.head_weight,
                batch.targets.to(device),
                vocab_size=self.vocab_size,
                chunk_tokens=CPU_CHUNK_TOKENS if device.type == "cpu" else CHUNK_TOKENS,
            )

    def _hidden(self, batch: Batch, device: torch.device) -> Float[Tensor, "B T D"]:
        ids_BT = batch.ids.to(device)
        if batch.branches is None:
            return self.model(ids_BT)
        places_BT, branches_BT = batch.places.to(device), batch.branches.to(device)
        return branched(self.model, ids_BT, places_BT=places_BT, branches_BT=branches_BT)


def branched(
    model: GPT,
    ids_BT: Int[Tensor, "B T"],
    *,
    places_BT: Int[Tensor, "B T"],
    branches_BT: Int[Tensor, "B T"],
) -> Float[Tensor, "B T D"]:
    """Return the final hidden states of rows in which several branches follow one beginning.

    A token sees the beginning and its own branch; what it is told of places are those of its own
    sequence, as if the other branches were not there.

    Args:
        model: Any.
        ids_BT: Token ids.
        places_BT: Where each stands in its own sequence.
        branches_BT: 0 for the beginning, another number for each branch.
    """
    config = model.config
    x_BTD = model.embedding(ids_BT)
    if model.position is not None:
        x_BTD = x_BTD + model.position(places_BT)
    angles = None
    if config.positions == "rotary":
        cos_TP, sin_TP = rotary_angles(config, int(ids_BT.shape[1]), ids_BT.device)
        angles = cos_TP[places_BT][:, None], sin_TP[places_BT][:, None]
    bias_BHTT = _bias(model, places_BT, branches_BT).to(x_BTD.dtype)
    for layer in model.layers:
        x_BTD = layer(x_BTD, bias_BHTT, angles)
    return model.norm(x_BTD)


def _bias(
    model: GPT, places_BT: Int[Tensor, "B T"], branches_BT: Int[Tensor, "B T"]
) -> Float[Tensor, "B _ T T"]:
    """Return ALiBi's bias or zeros, and minus infinity where a token does not see another."""
    keys_B1T, queries_BT1 = branches_BT[:, None, :], branches_BT[:, :, None]
    tokens = branches_BT.shape[1]
    behind_TT = torch.ones(tokens, tokens, dtype=torch.bool, device=branches_BT.device).tril()
    seen_BTT = behind_TT & ((keys_B1T == 0) | (keys_B1T == queries_BT1))
    slopes_H = model.places.slopes_H if model.config.positions == "alibi" else None
    if slopes_H is None:
        bias_B1TT = torch.zeros(seen_BTT.shape, device=seen_BTT.device)[:, None]
        return bias_B1TT.masked_fill_(~seen_BTT[:, None], -torch.inf)
    distance_BTT = places_BT[:, None, :] - places_BT[:, :, None]
    bias_BHTT = slopes_H[:, None, None] * distance_BTT[:, None]
    return bias_BHTT.masked_fill_(~seen_BTT[:, None], -torch.inf)


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


def check_context(model: GPT | Predictor, context: int) -> None:
    """Refuse a context before any text is read.

    Raises:
        EvaluationError: It is no length, or longer than the model's learned positions.
    """
    if context < 1:
        raise EvaluationError("a context of at least 1 token", got=f"{context}", fix="1024")
    longest = predictor_of(model).longest
    if longest is not None and context > longest:
        raise EvaluationError(
            f"at most {longest} tokens: that many positions were learned",
            got=f"{context}",
            fix=f"a context of {longest}, or a model with ALiBi",
        )


def predictor_of(model: GPT | Predictor) -> Predictor:
    """Return what predicts: a decoder of ours is wrapped, any other is taken as it is."""
    return Decoder(model) if isinstance(model, GPT) else model
