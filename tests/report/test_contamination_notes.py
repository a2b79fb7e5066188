import pytest

from growlm.report.contamination_notes import evident, unknown_lineage


@pytest.fixture
def of(run):
    """A function from scores to the run that has them."""
    return lambda *found: run.model_copy(update={"contamination": found})


def test_scores_of_unknown_lineage_are_named_once(contamination, of):
    unknown = contamination(stage="tuned", known="unknown")
    some = contamination(stage="grown", known="partial")
    told = unknown_lineage(of(contamination(), unknown, unknown, some))
    assert told[0].startswith("Unknown lineage: nobody knows whether `tuned` was trained on what")
    assert told[1].startswith("Not all that `grown` was trained on was searched")
    assert unknown_lineage(of(contamination())) == ()


def test_where_overlap_shows_the_clean_score_is_the_one_to_quote(contamination, of):
    nothing = contamination().difference.model_copy(update={"verdict": "none"})
    clean = {"verdict": "none", "difference": nothing}
    (told,) = evident(of(contamination(difference=None), contamination(**clean)))
    assert evident(of(contamination(verdict="none"))) == (told,)
    assert evident(of(contamination(verdict="no overlap", difference=None))) == ()
    assert told.startswith("`leaked` scores better on what overlaps")
    assert "`quiz`, `acc`, on clean examples only" in told
