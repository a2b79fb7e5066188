"""What an evaluation came to: means, and what they are worth."""

import math

import pytest

from growlm.base.errors import EvaluationError
from growlm.evaluation.results import ExampleScore, Mean, TaskScore


def scored(*values: float) -> TaskScore:
    """A task whose examples have these accuracies."""
    examples = [ExampleScore(index=i, values={"acc": value}) for i, value in enumerate(values)]
    return TaskScore(task="piqa", examples=tuple(examples))


def test_a_mean_comes_with_the_standard_error_of_the_sample() -> None:
    assert scored(1.0, 0.0, 1.0, 1.0).mean("acc") == Mean(
        value=0.75, stderr=math.sqrt(0.75 * 0.25 / 3), count=4
    )


def test_one_example_has_no_spread() -> None:
    assert scored(1.0).mean("acc") == Mean(value=1.0, stderr=0.0, count=1)


def test_an_unknown_metric_names_the_ones_there_are() -> None:
    with pytest.raises(EvaluationError, match=r"a metric of piqa.*'accuracy'.*acc"):
        scored(1.0).mean("accuracy")


def test_an_example_that_counts_twice_is_refused() -> None:
    example = ExampleScore(index=3, values={"acc": 1.0})
    with pytest.raises(EvaluationError, match="2 scores of 1 examples"):
        TaskScore(task="piqa", examples=(example, example))


def test_a_task_without_examples_is_refused() -> None:
    with pytest.raises(EvaluationError, match="0 scores of 0 examples"):
        TaskScore(task="piqa", examples=())
