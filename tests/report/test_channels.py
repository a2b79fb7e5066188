import math

from growlm.report.channels import drawable, highlighted, zoomable
from growlm.report.perplexity_chart import perplexity_chart


def test_only_finite_points_are_drawn():
    assert drawable(1.0, 2.0)
    assert not drawable(1.0, math.nan)
    assert not drawable(math.inf)


def test_zooming_asks_for_shift_so_that_the_page_still_scrolls(run):
    chart = perplexity_chart(run, width=600, legend=False)
    assert chart is not None
    plain = highlighted(chart)
    moving = zoomable(plain)

    (zoom,) = [
        param
        for layer in moving["layer"]
        for param in layer.get("params", [])
        if param["name"] == "zoom"
    ]
    assert "shiftKey" in zoom["select"]["zoom"]
    assert "shiftKey" in zoom["select"]["translate"]
    assert "zoom" not in str(plain)
    assert moving["params"][0] == {"name": "highlight", "value": ""}
