import pytest

from growlm.report.perplexity_chart import caption, growth_label, perplexity_chart


def rows(chart, key):
    specification = chart.to_dict()
    return [row for rows in specification["datasets"].values() for row in rows if key in row]


def y_scale(chart):
    return chart.to_dict()["layer"][0]["encoding"]["y"]["scale"]


def test_the_scale_is_logarithmic_and_leaves_room_for_the_labels(run):
    labelled = perplexity_chart(run, width=600, legend=True)
    bare = perplexity_chart(
        run.model_copy(update={"stages": run.stages[:1]}), width=600, legend=True
    )

    late = [row["perplexity"] for row in rows(labelled, "perplexity") if row["share"] >= 0.04]
    assert y_scale(labelled)["type"] == "log"
    assert y_scale(labelled)["domain"][1] > 1.2 * max(late)
    assert y_scale(bare)["domain"][0] < min(row["perplexity"] for row in rows(bare, "perplexity"))


def test_growth_is_marked_where_the_parent_stopped(run):
    (mark,) = {row["tokens"] for row in rows(perplexity_chart(run, width=600, legend=True), "text")}

    assert mark == run.stages[0].tokens


def test_a_label_names_the_layers_where_they_are_known(run):
    grown = run.stages[1]

    assert growth_label(grown) == "grown: 3 \u2192 6 layers"
    bare = grown.model_copy(update={"certificate": None})
    assert growth_label(bare) == "grown grows from base"


@pytest.mark.parametrize("legend", [True, False])
def test_a_legend_is_drawn_only_where_it_is_asked_for(run, legend):
    drawn = perplexity_chart(run, width="container", legend=legend)
    assert drawn is not None

    chart = drawn.to_dict()
    assert (chart["layer"][0]["encoding"]["color"]["legend"] is not None) == legend
    assert chart["width"] == "container"


def test_the_caption_speaks_of_controls_only_where_there_are_any(run):
    assert "Dashed" in caption(run)
    assert "Dashed" not in caption(run.model_copy(update={"stages": run.stages[:2]}))
