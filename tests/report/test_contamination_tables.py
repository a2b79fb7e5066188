import pytest

from growlm.report import contamination_tables as tables

UNSEARCHED = {"verdict": "not searched", "subsets": (), "thresholds": (), "labels": {}}


def rows(text):
    """Return the cells of a table's rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_subsets_stand_with_errors_counts_z_and_verdict(contamination):
    ((stage, task, everything, *parts, z, verdict, others),) = rows(
        tables.subsets([contamination()])
    )
    assert (stage, task) == ("`leaked`", "`quiz`, `acc`")
    assert everything == "50.0% ± 5.0"
    assert parts == ["20.0% ± 5.2 (60)", "95.0% ± 3.5 (40)", "20.0% ± 5.2 (60)", "95.0% ± 3.5 (40)"]
    assert z == "\u22124.6 / 5.7 / \u22124.6 / 5.7"
    assert verdict == "evidence"
    assert others == "3 short hit; 12 with their answer: 100.0% ± 0.0"


def test_a_metric_that_is_no_share_is_shown_as_a_number(contamination):
    found = contamination(metric="log_likelihood_nats")
    assert "0.500 ± 0.050" in tables.subsets([found])


@pytest.mark.parametrize(
    ("known", "words"),
    [("unknown", " (unknown lineage)"), ("partial", " (lineage partly unknown)")],
)
def test_an_unknown_lineage_stands_beside_every_score(contamination, known, words):
    for found in (contamination(known=known), contamination(known=known, **UNSEARCHED)):
        assert rows(tables.subsets([found]))[0][2] == "50.0% ± 5.0" + words


def test_what_was_not_searched_has_a_score_and_dashes(contamination):
    (cells,) = rows(tables.subsets([contamination(answered=None, **UNSEARCHED)]))
    assert cells[3:] == ["\u2013"] * 5 + ["not searched", "\u2013"]


def test_of_edges_that_leave_out_the_same_the_last_is_shown(contamination):
    found = rows(tables.thresholds([contamination()]))
    assert [row[2:4] for row in found] == [["anything", "45"], ["0.8 or more", "40"]]
    assert found[1][4:] == ["20.0% ± 5.2", "30.0% ± 6.5", "4.6"]


def test_where_nothing_is_left_there_are_dashes(contamination):
    edge = contamination().thresholds[0].model_copy(update={"rest": None})
    found = rows(tables.thresholds([contamination(thresholds=(edge,))]))
    assert found[0][4:] == ["\u2013"] * 3


def test_doses_stand_with_their_range_gain_and_what_an_exposure_brings(contamination):
    found = rows(tables.doses([contamination()]))
    assert [row[2:6] for row in found] == [
        ["score", "never", "0.00", "60"],
        ["score", "up to 1.5", "0.95", "20"],
        ["score", "more than 24", "32.00", "20"],
        ["score less the parent's", "never", "0.00", "60"],
        ["score less the parent's", "3 to 6", "3.50", "40"],
    ]
    assert found[0][7:] == ["\u2013", "\u2013"]
    assert found[1][7:] == ["70.0% ± 6.0", "73.7%"]


def test_one_example_alone_has_no_error(contamination):
    dose = contamination().doses[1]
    one = dose.model_copy(update={"mean": dose.mean.model_copy(update={"count": 1})})
    never = contamination().doses[0]
    found = rows(tables.doses([contamination(doses=(never, one), gains=())]))
    assert found[1][5:] == ["1", "90.0%", "70.0%", "73.7%"]


def test_without_exposures_there_is_no_table_of_them(contamination):
    never = contamination().doses[:1]
    assert tables.doses([contamination(doses=never, gains=never)]) == ""


def test_the_difference_stands_beside_its_groups(contamination):
    ((_, _, parent, exposed, unexposed, *told),) = rows(
        tables.differences([contamination(parent_known="unknown")])
    )
    assert parent == "`base`, parent's unknown lineage"
    assert exposed == "60.0% ± 4.0 (40 examples)"
    assert unexposed == "5.0% ± 3.0 (60 examples)"
    assert told == ["55.0% ± 5.0", "11.0", "evidence"]


def test_without_a_parent_there_is_no_difference(contamination):
    assert tables.differences([contamination(difference=None)]) == ""
    assert tables.differences([contamination(parent=None)]) == ""


def test_the_section_has_what_is_known_and_the_rule(contamination):
    whole = tables.section([contamination()])
    heads = [line for line in whole.splitlines() if line.startswith("#")]
    assert heads == ["### Scores by overlap", "### Scores by exposures", "### Against the parent"]
    assert whole.startswith(tables.RULE)
    bare = contamination(**UNSEARCHED, doses=(), gains=(), difference=None)
    assert "###" not in tables.section([bare])
    assert tables.section([]) == ""
