"""The overlap section: which benchmarks are looked for, and what is done where they stand."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from growlm.base.errors import nearest
from growlm.recipe.values import Name, Section, refusal

Action = Literal["report", "mask", "excise", "drop"]
"""What is done about an example that stands in a document: nothing, loss weight 0 on its tokens, a
cut, or the end of the document."""

Rules = Literal["fast", "exact"]
"""Where words in a row are looked for: inside reportable runs, or everywhere."""


class Against(Section, frozen=True):
    """A benchmark that is looked for."""

    name: Name
    """How reports, the ledger and ``overlap.actions`` call it."""

    file: str
    """Its examples, one a line as JSON, packed or not, relative to the recipe; or a task of
    lm-evaluation-harness, as ``lm-eval:piqa``."""

    fields: dict[Literal["text", "answer", "context"], str] = Field(
        default_factory=dict[Literal["text", "answer", "context"], str]
    )
    """Where the text stands in an example, and the answer and the passage that it is asked of:
    ``question``, ``choices[label]``. Known for LAMBADA, PIQA and HellaSwag by their names."""


class Overlap(Section, frozen=True):
    """What becomes of text that stands in a benchmark."""

    against: tuple[Against, ...] = Field(min_length=1)
    """The benchmarks."""

    action: Action = "mask"
    """What is done about an example of which a document holds a fifth or more: ``report`` it,
    ``mask`` it, so that it is read and not learned, ``excise`` it with what is around it, or
    ``drop`` the document. Held-out documents stay as they are."""

    actions: dict[Name, Action | dict[Name, Action]] = Field(
        default_factory=dict[Name, Action | dict[Name, Action]]
    )
    """Another action for a source, or for a source and a benchmark:
    ``{books = "drop", web = {lambada = "excise"}}``."""

    rules: Rules = "fast"
    """Where the published rules look for words in a row: inside the runs found, or everywhere,
    which is several times slower."""

    @model_validator(mode="after")
    def names_fit(self) -> "Overlap":
        """Refuse a benchmark that is named twice, and an action about one that is not."""
        names = [each.name for each in self.against]
        for name in names:
            if names.count(name) > 1:
                raise refusal(
                    "to name each benchmark once", got=f"'{name}' twice", fix="another name"
                )
        for source, action in self.actions.items():
            for name in action if isinstance(action, Mapping) else ():
                if name not in names:
                    raise refusal(
                        f"to have actions about benchmarks of overlap.against, {', '.join(names)}",
                        got=f"actions.{source}.{name}",
                        fix=nearest(name, names),
                    )
        return self

    def action_for(self, source: str, benchmark: str) -> Action:
        """Return what a source does about a benchmark."""
        given = self.actions.get(source, self.action)
        return given if isinstance(given, str) else given.get(benchmark, self.action)
