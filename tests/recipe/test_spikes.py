"""The spikes section: its figures, and what is no such rule."""

import pydantic
import pytest

from growlm.recipe.spikes import Spikes


def test_a_spike_is_six_standard_deviations_over_the_latest_128_steps() -> None:
    assert Spikes().model_dump() == {
        "deviations": 6.0,
        "latest": 128,
        "roll_back_after": None,
    }


@pytest.mark.parametrize("values", [{"latest": 3}, {"deviations": 0.0}, {"sigma": 6.0}])
def test_what_is_no_rule_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Spikes.model_validate(values)


def test_a_roll_back_waits_for_no_more_steps_than_are_looked_at() -> None:
    assert Spikes(latest=16, roll_back_after=16).roll_back_after == 16
    with pytest.raises(pydantic.ValidationError, match="at most as many steps as are looked at"):
        Spikes(latest=16, roll_back_after=17)
