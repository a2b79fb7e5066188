import math

import pytest

from growlm.report.curves import SPAN_SHARES
from growlm.report.explore import FRAMES
from growlm.report.perplexity_chart import caption, growth_label, perplexity_chart


def drawn(run, *, legend=True):
    found = perplexity_chart(run, width="container", legend=legend)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def whole(run):
    return drawn(run)


def data(found, key):
    specification = found.chart.to_dict()
    return [row for rows in specification["datasets"].values() for row in rows if key in row]


def frame(found):
    return dict(found.parameters)[FRAMES]["tokens"]["stretches"][0]


def test_the_scale_is_logarithmic_and_leaves_room_for_the_labels(run, whole):
    bare = run.model_copy(update={"stages": run.stages[:1]})
    scale = whole.chart.to_dict()["layer"][0]["encoding"]["y"]["scale"]
    worst = max(
        point.loss
        for stage in run.stages
        for point in stage.validation
        if point.tokens > 0.04 * stage.tokens
    )

    assert scale["type"] == "log"
    assert frame(whole)["y"][2][1] > 1.2 * math.exp(worst)
    assert frame(drawn(bare))["y"][2][0] < math.exp(run.stages[0].validation[-1].loss)


def test_growth_is_marked_where_the_parent_stopped_on_every_axis(run, whole):
    base = run.stages[0]
    (mark,) = {(row["tokens"], row["flops"], row["time"]) for row in data(whole, "text")}

    assert mark == (
        base.tokens,
        pytest.approx(base.flops, rel=1e-5),
        pytest.approx(base.seconds / 60, rel=1e-5),
    )


def test_every_smoothing_is_in_the_data_and_the_first_smooths_nothing(run, whole):
    base = next(row for row in data(whole, "s0") if row["stage"] == "base")

    assert base["s0"] == [pytest.approx(point.loss, rel=1e-5) for point in run.stages[0].train]
    assert len({tuple(base[f"s{at}"][-5:]) for at in range(len(SPAN_SHARES))}) == len(SPAN_SHARES)


def test_a_run_without_a_clock_offers_no_time(run, whole):
    timeless = run.model_copy(
        update={
            "stages": tuple(
                stage.model_copy(
                    update={
                        "seconds": 0.0,
                        "seconds_before": 0.0,
                        "train": (),
                        "validation": tuple(
                            point.model_copy(update={"seconds": 0.0}) for point in stage.validation
                        ),
                    }
                )
                for stage in run.stages
            )
        }
    )

    assert list(drawn(timeless).controls[0].choices) == ['"tokens"', '"flops"']
    assert '"time"' in whole.controls[0].choices


def test_a_label_names_the_layers_where_they_are_known(run):
    grown = run.stages[1]

    assert growth_label(grown) == "grown: 3 \u2192 6 layers"
    bare = grown.model_copy(update={"certificate": None})
    assert growth_label(bare) == "grown grows from base"


@pytest.mark.parametrize("legend", [True, False])
def test_a_legend_is_drawn_only_where_it_is_asked_for(run, legend):
    chart = drawn(run, legend=legend).chart.to_dict()

    assert (chart["layer"][0]["encoding"]["color"]["legend"] is not None) == legend
    assert chart["width"] == "container"


def test_the_caption_speaks_of_controls_only_where_there_are_any(run):
    assert "Dashed" in caption(run)
    assert "Dashed" not in caption(run.model_copy(update={"stages": run.stages[:2]}))
