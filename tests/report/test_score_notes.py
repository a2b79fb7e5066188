from growlm.report.score_notes import long_contexts


def test_multiples_and_positions_are_told(run):
    (text,) = long_contexts(run)

    assert text.startswith("Scores at 2\u00d7 and 4\u00d7 the training context")
    assert "ALiBi" in text


def test_a_stage_that_gets_worse_at_a_longer_context_is_named(run, edit):
    scores = tuple(
        score.model_copy(
            update={"bits_per_byte": {"docs": 1.5 + 0.1 * score.multiple, "code": 1.2}}
        )
        for score in run.stages[2].evaluations
    )

    told = long_contexts(edit(run, "scratch", evaluations=scores))

    assert told[1].startswith("`scratch` is worse at 4\u00d7")
    assert "`docs` 1.9000 against 1.6000" in told[1]
    assert "code" not in told[1]
