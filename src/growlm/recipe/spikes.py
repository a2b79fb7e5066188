"""The spikes section: which steps stand out so far that they are not taken."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from growlm.recipe.values import Section, refusal


class Spikes(Section, frozen=True):
    """Steps whose loss or gradient stands out are read and not learned."""

    deviations: PositiveFloat = 6.0
    """Standard deviations over the mean of the latest losses, or of the latest norms of gradients,
    from which a step is not taken."""

    latest: Annotated[int, Field(ge=4)] = 128
    """The latest steps that a step is compared with; none stands out before there are half."""

    roll_back_after: PositiveInt | None = None
    """Steps among the latest that were not taken, from which the stage goes back to the weights of
    the checkpoint before them and reads on from where it is; never when absent."""

    @model_validator(mode="after")
    def within_the_latest(self) -> "Spikes":
        """Refuse to wait for more steps than are looked back on."""
        if self.roll_back_after is not None and self.roll_back_after > self.latest:
            raise refusal(
                f"to roll back after at most as many steps as are looked at, {self.latest}",
                got=f"roll_back_after = {self.roll_back_after}",
                fix=f"roll_back_after = {self.latest // 4}",
            )
        return self
