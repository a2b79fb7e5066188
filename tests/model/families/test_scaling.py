"""What configs of old and new transformers say of scaling, and the refusal of what is not ours."""

from typing import Any

import pytest

from growlm.base.errors import CheckpointError
from growlm.model.config import RotaryScaling
from growlm.model.families.scaling import read_scaling, write_scaling

OURS = RotaryScaling(factor=8.0, low=1.0, high=4.0, context=8_192)
THEIRS = write_scaling(OURS)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"rope_scaling": None},
        {"rope_parameters": {"rope_theta": 5e5}},
        {"rope_parameters": {"rope_type": "default"}, "rope_scaling": None},
    ],
    ids=str,
)
def test_nothing_said_is_nothing_scaled(given: dict[str, Any]) -> None:
    assert read_scaling(given) is None


def test_what_is_no_table_is_refused_and_not_passed_over() -> None:
    with pytest.raises(CheckpointError, match="rope_scaling to be a table, or null; got linear"):
        read_scaling({"rope_scaling": "linear"})


def test_what_is_written_comes_back() -> None:
    assert read_scaling({"rope_scaling": THEIRS}) == OURS


def test_the_first_name_that_says_something_has_the_say() -> None:
    other = {**THEIRS, "factor": 2.0}
    assert read_scaling({"rope_parameters": THEIRS, "rope_scaling": other}) == OURS
    assert (
        read_scaling({"rope_parameters": {"rope_type": "default"}, "rope_scaling": other}) != OURS
    )


def test_old_configs_call_the_kind_otherwise() -> None:
    old = {**THEIRS, "type": "llama3"}
    del old["rope_type"]
    assert read_scaling({"rope_scaling": old}) == OURS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rope_type": "yarn"}, r'rope_scaling\.rope_type to be "default" or "llama3"; got "yarn"'),
        ({"factor": None}, r"rope_scaling\.factor to be a number; got none"),
        ({"low_freq_factor": "1"}, r"rope_scaling\.low_freq_factor to be a number; got 1"),
        (
            {"original_max_position_embeddings": 8.5},
            r"original_max_position_embeddings to be a whole number; got 8\.5",
        ),
        ({"factor": 0.5}, "factor >= 1, 0 < low < high and context >= 1; got factor=0.5"),
    ],
)
def test_what_cannot_be_ours_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=f"^config.json: expected .*{words}"):
        read_scaling({"rope_scaling": {**THEIRS, **change}})
