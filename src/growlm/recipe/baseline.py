"""The section on published models that stand beside the run's own in the log."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from growlm.recipe.values import Section, refusal


class Baseline(Section, frozen=True):
    """A model that somebody published, whose scores stand beside the run's own in the log."""

    name: Annotated[str, Field(min_length=1)]
    """What the model is called."""

    source: Annotated[str, Field(min_length=1)]
    """Where its numbers stand: a paper, a page, a file."""

    scores: Mapping[str, Mapping[Literal["acc", "acc_norm", "perplexity"], PositiveFloat]] = {}
    """By task of lm-evaluation-harness and metric; accuracies are shares, not percentages."""

    bits_per_byte: Mapping[str, PositiveFloat] = {}
    """By source, or by component of the Pile."""

    documents: PositiveInt | None = None
    """Documents per source that were scored, at most; all of them when absent."""

    context: PositiveInt | None = None
    """Tokens that it could look back on; not known when absent."""

    @model_validator(mode="after")
    def something(self) -> "Baseline":
        """Refuse a baseline without numbers, and accuracies that are no shares."""
        if not self.scores and not self.bits_per_byte:
            raise refusal("to have scores, or bits_per_byte", got="neither", fix="adding one")
        for task, found in self.scores.items():
            for metric, value in found.items():
                if metric != "perplexity" and value > 1:
                    raise refusal(
                        "to have accuracies as shares from 0 to 1",
                        got=f"{task}.{metric} = {value:g}",
                        fix=f"{value / 100:g}",
                    )
        return self
