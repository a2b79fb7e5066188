"""The duplicates section: which copies of a text are looked for, and which one is kept."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from growlm.recipe.values import Name, Section, Share, refusal


class Duplicates(Section, frozen=True):
    """What becomes of texts that the sources hold more than once."""

    near: bool = True
    """Look for texts that are nearly the same, too; without it, only for those that are the
    same."""

    order: tuple[Name, ...] = ()
    """Sources from the one whose documents are kept first; those left out follow, in their own
    order. In a source, the document that is read first is kept."""

    least_similarity: Share = 0.7
    """Share of five words in a row, of those in either text, that near-duplicates have in common,
    as signatures estimate it."""

    book_drop_share: Share = 0.8
    """Drop a book when this share of its words stands in books that are kept."""

    book_report_share: Share = 0.2
    """Report a book when this share does."""

    book_parts: Literal["report", "trim"] = "report"
    """What becomes of the parts of a reported book: nothing, or they are taken out."""

    workers: PositiveInt | None = None
    """Processes; one for each core unless said otherwise."""

    engine: Literal["local", "trove", "slurm", "ray"] = "local"
    """What carries the reading out: processes of this machine, or one of datatrove's executors."""

    engine_options: dict[str, str | int] = Field(default_factory=dict[str, str | int])
    """What datatrove's executor is to be told: ``partition``, ``time``, ``cpus_per_task``."""

    @model_validator(mode="after")
    def shares_rise(self) -> "Duplicates":
        """Refuse to drop books that would not be reported."""
        if self.book_drop_share < self.book_report_share:
            raise refusal(
                "to have book_report_share at or below book_drop_share",
                got=f"{self.book_report_share:g} and {self.book_drop_share:g}",
                fix=f"book_report_share = {self.book_drop_share:g}",
            )
        return self
