import pytest
from pydantic import ValidationError

from growlm.report.contamination_view import ContaminationView


def test_a_view_survives_json_with_its_open_range(contamination):
    view = contamination()
    assert view.doses[-1].most == float("inf")
    assert ContaminationView.model_validate_json(view.model_dump_json()) == view


def test_an_unknown_key_is_refused(contamination):
    content = {**contamination().model_dump(), "later": 1}
    with pytest.raises(ValidationError, match="later"):
        ContaminationView.model_validate(content)


def test_a_subset_is_had_by_its_name(contamination):
    assert contamination().subset("dirty").mean.count == 40
    assert contamination(subsets=()).subset("dirty") is None
