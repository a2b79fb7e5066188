"""Requests and their scores: what a model reads, which next tokens count, how likely they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from growlm.base.errors import EvaluationError

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

    @property
    def context(self) -> tuple[int, ...]:
        """The inputs up to the one that predicts the first target."""
        return self.inputs[: len(self.inputs) - len(self.targets) + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a model makes of one request."""

    log_likelihood_nats: float
    """Sum over the targets of the logarithm of their probability."""

    greedy: bool
    """Whether every target is the most likely token at its place."""
