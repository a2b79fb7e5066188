"""What an evaluation came to: the score of every example, and what their means are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, sqrt
from statistics import fmean, stdev

from growlm.base.errors import EvaluationError

LARGEST_EXPONENT = 700.0
"""Beyond it, e to that power is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleScore:
    """What a checkpoint makes of one example of a task."""

    index: int
    """Its row in the task's data, from 0, as overlap reports and exposure ledgers count too."""

    values: Mapping[str, float]
    """By metric: ``acc`` and ``acc_norm`` are 0 or 1; ``log_likelihood_nats`` is of the right
    answer. A document has its ``log_likelihood_nats``, ``bytes`` and ``tokens``."""

    option_nats: tuple[float, ...] = ()
    """The log-likelihood of each option, where there are any: two backends are compared by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a metric over examples."""

    value: float
    stderr: float
    """Standard error: the sample's standard deviation by the root of the count; 0 for one."""
    count: int


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of one value or more.

    >>> mean_of([1.0, 0.0, 1.0, 0.0])
    Mean(value=0.5, stderr=0.28867513459481287, count=4)
    """
    spread = stdev(values) if len(values) > 1 else 0.0
    return Mean(value=fmean(values), stderr=spread / sqrt(len(values)), count=len(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """What a checkpoint makes of a task.

    Raises:
        EvaluationError: It has no examples, or one of them twice.
    """

    task: str
    """By the harness's name: ``lambada_openai``."""

    examples: tuple[ExampleScore, ...]

    def __post_init__(self) -> None:
        """Check that every example counts once."""
        found = len({each.index for each in self.examples})
        if not found or found != len(self.examples):
            raise EvaluationError(
                f"every example of {self.task} once",
                got=f"{len(self.examples)} scores of {found} examples",
                fix="a fresh evaluation",
            )

    def mean(self, metric: str) -> Mean:
        """Return the mean of a metric over all examples.

        Raises:
            EvaluationError: An example has no such metric.
        """
        try:
            values = [each.values[metric] for each in self.examples]
        except KeyError:
            raise EvaluationError(
                f"a metric of {self.task}",
                got=f"'{metric}'",
                fix=", ".join(sorted(self.examples[0].values)),
            ) from None
        return mean_of(values)

    def perplexity(self) -> Mean:
        """Return ``exp(-mean log p)`` of the right answers: per answer, not per token.

        Its standard error is that of the exponent times the value.

        Raises:
            EvaluationError: An example has no log-likelihood.
        """
        nats = self.mean("log_likelihood_nats")
        value = exp(-nats.value) if nats.value > -LARGEST_EXPONENT else inf
        stderr = value * nats.stderr if nats.stderr else 0.0
        return Mean(value=value, stderr=stderr, count=nats.count)
