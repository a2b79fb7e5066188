import json
import math

import pytest
from pydantic import ValidationError

from growlm.report.view import RunView


def test_a_run_survives_json(run):
    assert RunView.model_validate_json(run.model_dump_json()) == run


def test_losses_that_are_not_finite_survive_json_that_any_reader_takes(run, edit):
    point = run.stages[0].train[0].model_copy(update={"loss": math.nan, "lr": math.inf})
    text = edit(run, "base", train=(point,)).model_dump_json()

    json.loads(text, parse_constant=pytest.fail)
    read = RunView.model_validate_json(text).stages[0].train[0]
    assert math.isnan(read.loss)
    assert read.lr == math.inf


def test_settings_of_a_shape_keep_their_types_and_order(run):
    read = RunView.model_validate_json(run.model_dump_json()).stages[0].shape

    assert list(read) == list(run.stages[0].shape)
    assert read["tied"] is True
    assert type(read["layers"]) is int
    assert type(read["dropout"]) is float


def test_a_view_is_frozen_and_closed(run):
    with pytest.raises(ValidationError, match="frozen"):
        run.title = "another"
    with pytest.raises(ValidationError, match="Extra inputs"):
        RunView.model_validate({**run.model_dump(), "titel": "misspelt"})
