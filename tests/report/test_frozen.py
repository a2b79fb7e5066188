"""What the log's data have in common."""

import math

import pytest
from pydantic import ValidationError

from growlm.report.frozen import MeanView


def test_infinity_and_what_is_no_number_survive_json() -> None:
    found = MeanView(value=math.inf, stderr=math.nan, count=3)
    back = MeanView.model_validate_json(found.model_dump_json())
    assert back.value == math.inf
    assert math.isnan(back.stderr)


def test_a_key_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        MeanView.model_validate({"value": 1.0, "stderr": 0.0, "count": 1, "median": 1.0})


def test_nothing_in_it_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        MeanView(value=1.0, stderr=0.0, count=1).value = 2.0  # pyright: ignore[reportAttributeAccessIssue]
