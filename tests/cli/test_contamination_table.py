"""The table of scores beside overlap that ``growlm evaluate`` can print."""

from typing import Any

from growlm.cli.contamination_table import contamination_table
from growlm.report.contamination_view import ContaminationView, DifferenceView, SubsetView
from growlm.report.frozen import MeanView

SOME = MeanView(value=0.5, stderr=0.05, count=1234)
DIFFERENCE = DifferenceView(
    exposed=SOME, unexposed=SOME, value=0.25, stderr=0.07, verdict="evidence"
)


def view(**changes):
    given: dict[str, Any] = {
        "stage": "grown",
        "checkpoint": "final",
        "task": "piqa",
        "metric": "acc",
        "known": "known",
        "everything": SOME,
        "labels": {},
        "subsets": (SubsetView(name="clean", mean=SOME, z=0.0, z_finite=0.0),),
        "verdict": "evidence",
        "thresholds": (),
        "answered": None,
        "doses": (),
        "parent": "base",
        "parent_known": "known",
        "gains": (),
        "difference": DIFFERENCE,
    }
    return ContaminationView(**{**given, **changes})


def cells(*found):
    columns = [list(column.cells) for column in contamination_table(found).columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_a_score_stands_beside_what_is_known_of_it():
    (row,) = cells(view())
    some = "0.500 ± 0.050 (1,234)"
    assert row == [
        "grown",
        "piqa",
        "acc",
        some,
        some,
        "-",
        "evidence",
        "known",
        "+0.250 ± 0.070 (evidence)",
    ]


def test_what_is_not_known_is_said():
    few = DIFFERENCE.model_copy(update={"verdict": "insufficient"})
    rows = cells(
        view(known="unknown", subsets=(), verdict="not searched", difference=None),
        view(checkpoint="runs/x", known="partial", difference=few),
    )
    assert rows[0][4:] == ["-", "-", "not searched", "unknown lineage", "-"]
    assert rows[1][0] == "grown, runs/x"
    assert rows[1][-2:] == ["lineage partly unknown", "+0.250 ± 0.070 (insufficient)"]
