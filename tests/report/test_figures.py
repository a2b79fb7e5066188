import math

import pytest
import vl_convert

from growlm.report.channels import explorable, highlighted, unchecked
from growlm.report.figures import PNG_SCALE, compute_ends, ends, figures, picture, png, still

PNG_HEADER = b"\x89PNG\r\n\x1a\n"


def drawn(run):
    return figures(run, width=600, small_width=300, legend=True)


@pytest.fixture(scope="module")
def whole(run):
    return drawn(run)


def width_of(picture):
    return int.from_bytes(picture[16:20], "big")


def test_a_full_run_has_three_figures(whole):
    assert [figure.name for figure in whole] == ["perplexity", "compute", "bits-per-byte"]
    assert [len(figure.charts) for figure in whole] == [1, 1, 2]


def test_every_chart_is_a_specification_that_compiles_without_warnings(whole, recwarn):
    for figure in whole:
        for chart in figure.charts:
            specification = highlighted(chart, figure.parameters)
            vl_convert.vegalite_to_vega(explorable(specification), show_warnings=True)
    assert not recwarn.list


def test_what_is_drawn_unchecked_is_what_is_drawn(run):
    with unchecked():
        drawn_alone = picture(run)
    assert drawn_alone == picture(run)


def test_a_run_without_stages_still_gives_a_picture(empty_run):
    assert drawn(empty_run) == []
    picture = png(empty_run)
    assert picture.startswith(PNG_HEADER)
    assert width_of(picture) > 800 * PNG_SCALE


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_losses_and_scores_that_are_not_finite_are_left_out(run, edit, value):
    base = run.stages[0]
    odd = edit(
        run.model_copy(update={"stages": (base,)}),
        "base",
        train=tuple(point.model_copy(update={"loss": value}) for point in base.train),
        validation=tuple(point.model_copy(update={"loss": value}) for point in base.validation),
        evaluations=tuple(
            score.model_copy(update={"bits_per_byte": {"docs": value}})
            for score in base.evaluations
        ),
    )

    assert drawn(odd) == []


def test_a_stage_that_has_just_begun_is_drawn(run, edit):
    base = run.stages[0]
    young = edit(
        run.model_copy(update={"stages": (base,)}),
        "base",
        train=base.train[:1],
        validation=base.validation[:1],
        evaluations=(),
        complete=False,
    )

    assert [figure.name for figure in drawn(young)] == ["perplexity", "compute"]
    assert png(young).startswith(PNG_HEADER)


def test_every_figure_says_in_words_what_it_shows(run, whole):
    perplexity, compute, bits = whole

    assert "base ends at 73.73 after 8.192M tokens" in perplexity.alternative
    assert "scratch ends at 3.931 nats" in compute.alternative
    assert "table" in bits.alternative
    assert ends(run.model_copy(update={"stages": ()})) == ""
    assert compute_ends(run.model_copy(update={"stages": ()})) == ""


def test_a_figure_can_be_a_picture_alone(whole):
    picture = still(whole[-1])

    assert picture.startswith("<svg ")
    assert "docs" in picture
