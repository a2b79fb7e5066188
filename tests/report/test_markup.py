import json
import re

import pytest

from growlm.report.document import document
from growlm.report.markup import as_html, rendered


@pytest.fixture(scope="module")
def page(run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("growlm.report.markup.bundle", lambda: "bundle()")
        patch.setattr("growlm.report.figures.still", lambda figure: f"<svg>{figure.name}</svg>")
        return as_html(document(run))


def charts_of(page):
    (found,) = re.findall(r'id="charts">(.*?)</script>', page)
    return json.loads(found)["charts"]


def test_every_control_has_a_label_and_sets_a_parameter_of_a_chart(page):
    charts = charts_of(page)
    known = {param["name"] for chart in charts for param in chart["params"]}
    found = re.findall(r'<label>([^<]+) <(?:select|input)[^>]*data-parameter="(\w+)"', page)

    assert [label for label, _ in found] == ["Along", "Show", "Training loss smoothed over"]
    assert {name for _, name in found} <= known


def test_every_figure_has_a_picture_with_words_for_those_who_do_not_see_it(page):
    pictures = re.findall(r'<img class="still" alt="([^"]+)" src="data:image/svg', page)

    assert len(pictures) == 3
    assert "grown ends at 48.43" in pictures[0]


def test_every_chart_says_in_words_what_it_shows(page):
    charts = charts_of(page)

    assert all(chart["description"].endswith(".") for chart in charts)


def test_the_first_thing_on_the_keyboard_is_a_way_past_the_contents(page):
    body = page[page.index("<body>") :]

    assert body.index('<a class="skip" href="#start">') < body.index("<nav")
    assert '<main id="start">' in page


def test_a_table_scrolls_in_a_box_that_the_keyboard_reaches():
    assert rendered("| a |\n|---|\n| b |").startswith(
        '<div class="table" tabindex="0" role="region" aria-label="Table">'
    )
