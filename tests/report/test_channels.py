import math

from growlm.report.byte_chart import byte_charts
from growlm.report.channels import columns, drawable, explorable, flattened, highlighted
from growlm.report.perplexity_chart import perplexity_chart


def test_only_finite_points_are_drawn():
    assert drawable(1.0, 2.0)
    assert not drawable(1.0, math.nan)
    assert not drawable(math.inf)


def parameters(specification):
    return {
        param["name"]: param
        for layer in specification["layer"]
        for param in layer.get("params", [])
    }


def test_zooming_asks_for_shift_so_that_the_page_still_scrolls(run):
    drawn = perplexity_chart(run, width=600, legend=False)
    assert drawn is not None
    plain = highlighted(drawn.chart, drawn.parameters)
    zoom = parameters(explorable(plain))["zoom"]

    assert "shiftKey" in zoom["select"]["zoom"]
    assert "shiftKey" in zoom["select"]["translate"]
    assert parameters(plain) == {}
    assert plain["params"][0] == {"name": "highlight", "value": ""}
    assert [param["name"] for param in plain["params"][1:4]] == ["horizontal", "since", "smoothing"]


def test_the_nearest_mark_answers_wherever_the_pointer_is(run):
    for chart in byte_charts(run, width=300):
        found = parameters(explorable(highlighted(chart)))
        assert found["nearest"]["select"]["nearest"] is True


def test_rows_of_a_stage_become_one_row_of_lists():
    rows = [
        {"stage": "a", "x": 1, "y": 2.0},
        {"stage": "b", "x": 5, "y": 6.0},
        {"stage": "a", "x": 3, "y": 4.0},
    ]

    assert columns(rows).to_dict()["values"] == [
        {"stage": "a", "x": [1, 3], "y": [2.0, 4.0]},
        {"stage": "b", "x": [5], "y": [6.0]},
    ]
    flatten = flattened(rows).mark_line().to_dict()["transform"]
    assert flatten == [{"flatten": ["x", "y"]}]
