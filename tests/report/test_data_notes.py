from growlm.report.data_notes import capped, left_out, masked, repeated, unlearned


def test_only_sources_read_more_than_once_are_named(run, edit):
    told = repeated(edit(run, "grown", source_epochs={"docs": 2.5, "code": 1.0}))

    assert "it and its parents had read `docs` 2.50 times." in told[0]
    assert "code" not in told[0]
    assert len(told) == 2


def test_the_cap_is_told_with_its_number(run, edit):
    scores = tuple(
        score.model_copy(update={"capped": ("code",)}) for score in run.stages[0].evaluations
    )

    (text,) = capped(edit(run, "base", evaluations=scores))

    assert "at most 3,000 documents per source; `code` had more" in text


def test_copies_and_lost_records_are_told_by_source(run):
    first, second = run.sources
    assert left_out(run) == ()
    changed = first.model_copy(update={"left_out": 1_200, "lost": 1})
    told = left_out(run.model_copy(update={"sources": (changed, second)}))
    assert told == (
        f"Copies of texts that were kept: 1,200 documents of `{first.name}`.",
        f"Not readable, and named in `problems.jsonl`: 1 record of `{first.name}`.",
    )


def test_tokens_without_loss_are_told_by_source(run):
    first, second = run.sources
    assert unlearned(run) == ()
    changed = first.model_copy(update={"masked_tokens": 1_200})
    (text,) = unlearned(run.model_copy(update={"sources": (changed, second)}))
    assert text.startswith(
        "These stand in benchmarks, and were read but not learned: "
        f"1,200 tokens of `{first.name}`. Training losses are means over the other tokens"
    )
    assert second.name not in text


def test_only_stages_that_masked_documents_are_named(run, edit):
    assert masked(run) == ()

    (text,) = masked(edit(run, "grown", document_masking=True))

    assert text.startswith("In `grown`, documents were masked from each other: a token saw only")
    assert "base" not in text
