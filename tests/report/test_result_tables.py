from growlm.report.result_tables import bits_per_byte, last_words, losses


def test_the_lowest_of_each_source_and_context_is_bold(run):
    bold = [line for line in bits_per_byte(run).splitlines() if "**" in line]

    assert [line.split(" | ")[:3] for line in bold] == [
        ["| `grown`", "average", "256 (1\u00d7)"],
        ["| `grown`", "average", "512 (2\u00d7)"],
        ["| `grown`", "average", "1,024 (4\u00d7)"],
    ]
    assert all(line.count("**") == 4 for line in bold)


def test_every_stage_checkpoint_and_context_has_its_row(run):
    rows = bits_per_byte(run).splitlines()[2:]

    assert len(rows) == sum(len(stage.evaluations) for stage in run.stages) == 21


def test_a_score_that_is_not_a_number_is_shown_and_not_bold(run, edit):
    scores = tuple(
        score.model_copy(update={"bits_per_byte": {"docs": float("nan")}})
        for score in run.stages[1].evaluations
    )

    rows = bits_per_byte(edit(run, "grown", evaluations=scores)).splitlines()

    assert "not finite | \u2013" in next(row for row in rows if "`grown`" in row)


def test_bits_per_byte_have_their_standard_errors_where_they_are_known(run, edit):
    scores = tuple(
        score.model_copy(update={"bits_per_byte_stderr": {"docs": 0.0123}})
        for score in run.stages[0].evaluations
    )
    (row, *_) = bits_per_byte(edit(run, "base", evaluations=scores)).splitlines()[2:]

    assert row.count("\u00b1 0.0123") == 1
    assert "\u00b1" not in bits_per_byte(run)


def test_accuracy_stands_with_its_error(run):
    assert "| 19.0% \u00b1 1.8 | 496.7 |" in last_words(run)


def test_losses_are_told_in_all_and_by_source(run):
    assert "| `grown` | 3.8801 | 48.43 | 4.0001 | 3.7001 |" in losses(run)
