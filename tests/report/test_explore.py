import json

import pytest

from growlm.report.curves import SPAN_SHARES
from growlm.report.explore import FRAMES, SHARE_CUT, STARTS, axes, controls, parameters, ticks

TITLES = {"tokens": "Tokens", "flops": "FLOPs"}


def row(tokens, loss, *, share=0.5):
    losses = {f"s{at}": loss for at in range(len(SPAN_SHARES))}
    return {"stage": "a", "tokens": tokens, "flops": 6.0 * tokens, "share": share, **losses}


def validated(tokens, loss):
    return {"stage": "a", "tokens": tokens, "flops": 6.0 * tokens, "share": 0.5, "loss": loss}


def frames(train, validation, room=0.0):
    return dict(parameters(train, validation, TITLES, room=room))[FRAMES]


def test_every_choice_of_axis_and_stretch_has_its_ends():
    found = frames([row(0, 4.0, share=0.0), row(100, 2.0)], [validated(100, 2.5)])

    assert list(found) == ["tokens", "flops"]
    assert [stretch["x"] for stretch in found["flops"]["stretches"]] == [
        [start * 600, pytest.approx(606)] for start in STARTS
    ]
    assert all(len(stretch["y"]) == len(SPAN_SHARES) for stretch in found["tokens"]["stretches"])


def test_the_upright_axis_holds_what_is_shown_but_for_a_stages_beginning():
    start = row(0, 9.0, share=SHARE_CUT / 2)
    whole, half, *_ = frames([start, row(40, 3.0), row(100, 2.0)], [])["tokens"]["stretches"]

    low, high = whole["y"][0]
    assert low < 7.389 < 20.08 < high < 30
    assert half["y"][0][1] < 10


def test_room_for_labels_is_left_on_top():
    rows = [row(10, 2.0), row(100, 3.0)]
    assert frames(rows, [], 0.4)["tokens"]["stretches"][0]["y"][0][1] > (
        2 * frames(rows, [], 0.0)["tokens"]["stretches"][0]["y"][0][1]
    )


def test_an_axis_on_which_nothing_lies_is_not_offered():
    rows = [{"tokens": 5, "flops": 30.0, "time": 0.0}]

    assert list(axes(rows, "seconds")) == ["tokens", "flops"]
    assert "minutes" in axes([{**rows[0], "time": 3.0}], "minutes")["time"]


def test_every_choice_is_a_value_that_json_can_read():
    found = controls(TITLES)

    assert [json.loads(value) for value in found[0].choices] == ["tokens", "flops"]
    for control in found[1:]:
        assert [json.loads(value) for value in control.choices] == list(range(len(control.choices)))
    assert list(found[2].choices.values())[found[2].chosen] == "2% of its steps"


def test_a_short_axis_has_more_ticks_than_a_long_one_for_its_length():
    assert ticks(90.0, 110.0) == [90.0, 100.0]
    assert ticks(10.0, 1_000.0) == [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]
