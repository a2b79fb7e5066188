import pytest

from growlm.base.errors import EvaluationError
from growlm.evaluation.request import Request


@pytest.mark.parametrize(("inputs", "targets"), [((), ()), ((1, 2), ()), ((1,), (1, 2))])
def test_a_request_needs_targets_and_an_input_for_each(
    inputs: tuple[int, ...], targets: tuple[int, ...]
):
    with pytest.raises(EvaluationError, match="at least one target, and an input for each"):
        Request(inputs=inputs, targets=targets)


def test_the_context_of_a_request_ends_where_its_first_target_is_predicted():
    assert Request(inputs=(1, 2, 3, 4), targets=(4, 5)).context == (1, 2, 3)
    assert Request(inputs=(1, 2), targets=(2, 3)).context == (1,)
