"""The section on other models that stand beside the run's own in the log."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from growlm.recipe.values import Section, refusal

NUMBERS = ("source", "scores", "bits_per_byte", "documents")
"""Keys of a baseline that somebody else scored."""


class Baseline(Section, frozen=True):
    """A model whose scores stand beside the run's own in the log: published, or found here."""

    name: Annotated[str, Field(min_length=1)]
    """What the model is called."""

    checkpoint: Annotated[str, Field(min_length=1)] | None = None
    """The folder of a checkpoint, or of a Hugging Face model, relative to the recipe: it is scored
    here, on the run's own tasks and held-out documents. Without it, numbers stand beside a
    `source`."""

    source: Annotated[str, Field(min_length=1)] | None = None
    """Where its numbers stand: a paper, a page, a file."""

    scores: Mapping[str, Mapping[Literal["acc", "acc_norm", "perplexity"], PositiveFloat]] = {}
    """By task of lm-evaluation-harness and metric; accuracies are shares, not percentages."""

    bits_per_byte: Mapping[str, PositiveFloat] = {}
    """By source, or by component of the Pile."""

    documents: PositiveInt | None = None
    """Documents per source that were scored, at most; all of them when absent."""

    context: PositiveInt | None = None
    """Tokens that it could look back on; not known when absent. Of a checkpoint, those that it is
    scored at: those of the last stage when absent, or as many positions as it learned."""

    @model_validator(mode="after")
    def something(self) -> "Baseline":
        """Refuse a baseline without numbers or their source, or with numbers and a checkpoint."""
        if self.checkpoint is not None:
            given = [key for key in NUMBERS if key in self.model_fields_set]
            if given:
                raise refusal(
                    "to have a checkpoint, or numbers with their source",
                    got=f"checkpoint beside {given[0]}",
                    fix=f"removing {given[0]}",
                )
            return self
        if self.source is None:
            raise refusal(
                "to have a source for its numbers, or a checkpoint",
                got="neither",
                fix="adding source",
            )
        if not self.scores and not self.bits_per_byte:
            raise refusal("to have scores, or bits_per_byte", got="neither", fix="adding one")
        return self

    @model_validator(mode="after")
    def shares(self) -> "Baseline":
        """Refuse accuracies that are no shares."""
        for task, found in self.scores.items():
            for metric, value in found.items():
                if metric != "perplexity" and value > 1:
                    raise refusal(
                        "to have accuracies as shares from 0 to 1",
                        got=f"{task}.{metric} = {value:g}",
                        fix=f"{value / 100:g}",
                    )
        return self

    @property
    def folder(self) -> str:
        """What its scores lie under in a run's folder.

        >>> Baseline(name="GPT2-M (ours)", checkpoint="x").folder
        'gpt2-m-ours'
        """
        letters = "".join(each if each.isalnum() else "-" for each in self.name.lower())
        return "-".join(part for part in letters.split("-") if part) or "baseline"
