from growlm.report.byte_chart import byte_charts, caption


def test_each_source_that_was_scored_has_its_chart(run):
    unscored = run.sources[0].model_copy(update={"name": "unscored"})
    more = run.model_copy(update={"sources": (*run.sources, unscored)})

    assert [chart.title.text for chart in byte_charts(more, width=300)] == ["docs", "code"]


def test_the_contexts_are_the_ticks(run):
    (first, _) = byte_charts(run, width=300)

    assert first.to_dict()["layer"][0]["encoding"]["x"]["axis"]["values"] == [256, 512, 1024]


def test_one_score_alone_has_an_axis_around_it(run, edit):
    base = run.stages[0]
    alone = edit(
        run.model_copy(update={"stages": (base,)}), "base", evaluations=base.evaluations[:1]
    )

    (first, _) = byte_charts(alone, width=300)

    low, high = first.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < base.evaluations[0].bits_per_byte["docs"] < high


def test_the_caption_names_only_the_checkpoints_scored(run):
    assert "triangles" in caption(run)
    assert "triangles" not in caption(run.model_copy(update={"stages": run.stages[2:]}))
