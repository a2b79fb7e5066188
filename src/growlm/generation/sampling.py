"""Which token comes next: temperature, top-k, top-p, repetition penalty, and the draw itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from growlm.base.errors import RecipeError

GREEDY = 0.0
"""The temperature at which the most likely token is taken, and nothing is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Raises:
        RecipeError: A number outside its range.
    """

    temperature: float
    """Divides the logits; 0.0 takes the most likely token."""
    top_k: int | None
    """So many of the most likely tokens are left; None leaves all."""
    top_p: float
    """The smallest set of most likely tokens that has this probability is left; 1.0 leaves all."""
    repetition_penalty: float
    """Divides the positive logits of tokens that stand there already, and multiplies the negative
    ones; 1.0 changes nothing."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 <= self.temperature < torch.inf:
            raise RecipeError(
                "a temperature of 0 or more",
                got=f"{self.temperature:g}",
                fix="0.8, or 0 for greedy",
            )
        if self.top_k is not None and self.top_k < 1:
            raise RecipeError(
                "top-k of at least 1 token", got=f"{self.top_k}", fix="40, or leaving it out"
            )
        if not 0.0 < self.top_p <= 1.0:
            raise RecipeError(
                "top-p above 0 and at most 1",
                got=f"{self.top_p:g}",
                fix="0.95, or 1 to leave all tokens",
            )
        if not 0.0 < self.repetition_penalty < torch.inf:
            raise RecipeError(
                "a repetition penalty above 0",
                got=f"{self.repetition_penalty:g}",
                fix="1.1, or 1 for none",
            )


def choose(
    logits_V: Float[Tensor, " V"],
    sampling: Sampling,
    *,
    written: Sequence[int],
    generator: torch.Generator,
) -> int:
    """Return the next token.

    One number is drawn for each token that is not greedy, whatever the settings; the token is
    where it falls among the probabilities that are left, the most likely first. So two models that
    agree draw the same token from one seed.

    Args:
        logits_V: The model's.
        sampling: How it is chosen.
        written: The tokens so far, the prompt's included.
        generator: On the CPU.
    """
    logits_V = penalised(logits_V, written, penalty=sampling.repetition_penalty)
    if sampling.temperature == GREEDY:
        return int(logits_V.argmax())
    ids_N, chances_N = candidates(logits_V, sampling)
    drawn = float(torch.rand((), generator=generator, dtype=torch.float64))
    heights_N = chances_N.cumsum(0)
    place = torch.searchsorted(heights_N, heights_N[-1:] * drawn, right=True)
    return int(ids_N[place.clamp(max=len(ids_N) - 1)])


def penalised(
    logits_V: Float[Tensor, " V"], written: Sequence[int], *, penalty: float
) -> Float[Tensor, " V"]:
    """Return the logits with tokens that stand there already made less likely.

    Keskar et al., CTRL, arXiv:1909.05858, section 4.1; negative logits are multiplied, for
    dividing them would make the token likelier.
    """
    if penalty == 1.0 or not written:
        return logits_V
    ids_N = torch.tensor(sorted(set(written)), device=logits_V.device)
    known_N = logits_V[ids_N]
    lower_N = torch.where(known_N > 0, known_N / penalty, known_N * penalty)
    return logits_V.index_copy(0, ids_N, lower_N)


def candidates(
    logits_V: Float[Tensor, " V"], sampling: Sampling
) -> tuple[Int[Tensor, " N"], Float64[Tensor, " N"]]:
    """Return the tokens that may come next and their probabilities, the most likely first.

    Temperature first, then top-k, then top-p of what is left (Holtzman et al., arXiv:1904.09751,
    section 3.1). Of tokens as likely as each other, the one with the lowest id is first. The
    probabilities of what is left add up to one.
    """
    scaled_V = logits_V.double() / sampling.temperature
    order = torch.sort(scaled_V, descending=True, stable=True)
    chances_N = order.values[: sampling.top_k].softmax(0)
    if sampling.top_p < 1.0:
        before_N = chances_N.cumsum(0) - chances_N
        chances_N = chances_N[before_N < sampling.top_p]
    return order.indices[: len(chances_N)], chances_N / chances_N.sum()
