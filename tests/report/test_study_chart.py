from dataclasses import replace

from growlm.recipe.grid import Arm
from growlm.report.interval import Interval
from growlm.report.law import Point
from growlm.report.study import Findings, Result, Saved, Time
from growlm.report.study_chart import STEPS, chart, png

ONE = Interval(mean=3.5, low=None, high=None, count=1)
POINTS = tuple((Point(compute=at, loss=2 + 3 * at**-0.5),) for at in (1.0, 2.0, 4.0))


def saved(convention: str, flops: float) -> Saved:
    cost = Interval(mean=flops, low=flops, high=flops, count=1)
    return Saved(convention=convention, flops=cost, saved=None, over=None, under=None, better=None)


FOUND = Findings(
    seeds=(1,),
    results=(
        Result(
            arm=Arm(name="grown", differs=""),
            seeds=1,
            loss=ONE,
            accounts=(saved("parent charged", 3.0), saved("parent free", 1.5)),
            bases=("fit",),
            extrapolated=False,
            between=None,
            time=Time(parents=1.0, stage=1.0, scratch=None, saved=None),
        ),
    ),
    tried=(),
    continued=None,
    misfit=None,
    flops=1.0,
    seconds=1.0,
)


def layers(found=FOUND, points=POINTS):
    drawn = chart(found, points).to_dict()
    rows = [drawn["datasets"][layer["data"]["name"]] for layer in drawn["layer"]]
    return drawn, rows


def test_an_arm_is_a_disc_with_its_parent_charged_and_a_ring_with_it_free():
    _, (_, rows, *_) = layers()
    arms = [(row["mark"], row["compute"], row["loss"]) for row in rows if row["stage"] == "grown"]
    assert arms == [("charged", 3.0, 3.5), ("free", 1.5, 3.5)]


def test_the_law_is_drawn_between_the_controls_only():
    _, (law, *_) = layers()
    assert len(law) == STEPS + 1
    assert (law[0]["compute"], law[-1]["compute"]) == (1.0, 4.0)
    # The law's exponent is searched, not known.
    assert abs(law[0]["loss"] - 5.0) < 1e-4


def test_a_single_seed_has_a_bar_of_no_length():
    _, (_, rows, *_) = layers()
    assert all(row["low"] == row["high"] == row["loss"] for row in rows)


def test_the_figure_is_a_png_even_of_nothing():
    empty = replace(FOUND, seeds=(), results=())
    assert png(empty, ())[:8] == b"\x89PNG\r\n\x1a\n"


def test_no_two_arms_look_the_same_however_many_there_are():
    many = [replace(FOUND.results[0], arm=Arm(name=f"arm-{at}", differs="")) for at in range(20)]
    drawn, _ = layers(replace(FOUND, results=tuple(many)))
    marked = next(layer for layer in drawn["layer"] if "shape" in layer["encoding"])["encoding"]
    ranges = (marked[channel]["scale"]["range"] for channel in ("color", "shape"))
    looks = list(zip(*ranges, strict=True))
    assert len(set(looks)) == len(looks) == 21
