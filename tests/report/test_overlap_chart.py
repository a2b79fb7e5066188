from growlm.report.overlap_chart import overlap_charts


def points(chart):
    (values,) = chart.to_dict()["datasets"].values()
    return values


def test_each_task_and_metric_has_its_chart_with_a_line_for_each_stage(run, contamination):
    found = [contamination(stage="base"), contamination(stage="grown")]
    found.append(contamination(stage="base", metric="acc_norm"))
    first, second = overlap_charts(run.stages, found, width=300)
    drawn = first.to_dict()
    assert (first.title.text, len(drawn["layer"])) == ("quiz", 3)
    values = points(first)
    assert {row["stage"] for row in values} == {"base", "grown"}
    assert [row["edge"] for row in values if row["stage"] == "base"] == [0.02, 0.1, 0.2, 0.8, 1.0]
    assert values[-1] == {
        "stage": "grown",
        "edge": 1.0,
        "flagged": 0,
        "score": 0.5,
        "low": 0.45,
        "high": 0.55,
    }
    assert second.to_dict()["layer"][0]["encoding"]["y"]["axis"]["title"] == "acc_norm"


def test_without_overlap_there_is_no_chart(run, contamination):
    assert overlap_charts(run.stages, [], width=300) == []
    for changes in ({"verdict": "no overlap"}, {"thresholds": ()}):
        assert overlap_charts(run.stages, [contamination(**changes)], width=300) == []


def test_an_edge_that_leaves_nothing_has_no_point(run, contamination):
    edges = contamination().thresholds
    bare = edges[0].model_copy(update={"rest": None})
    (chart,) = overlap_charts(
        run.stages, [contamination(stage="base", thresholds=(bare, *edges[1:]))], width=300
    )
    assert len(points(chart)) == 4
