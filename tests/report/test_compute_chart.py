import math

import pytest

from growlm.report.compute_chart import caption, compute_chart


def rows(run, key):
    chart = compute_chart(run, width=600, legend=True)
    assert chart is not None
    specification = chart.to_dict()
    return [row for rows in specification["datasets"].values() for row in rows if key in row]


def test_only_finished_controls_have_an_end(run, edit):
    ends = [row["stage"] for row in rows(run, "mark") if row["mark"] == "control"]
    fewer = rows(edit(run, "scratch", complete=False), "mark")

    assert ends == ["scratch", "scratch-half"]
    assert [row["stage"] for row in fewer if row["mark"] == "control"] == ["scratch-half"]


def test_the_grown_run_ends_twice_with_its_parent_charged_and_free(run):
    base, grown = run.stages[:2]
    ends = {row["account"]: row["compute"] for row in rows(run, "mark") if row["stage"] == "grown"}

    assert ends["parents charged"] == pytest.approx((base.flops + grown.flops) / 1e12, rel=1e-5)
    assert ends["parents free"] == pytest.approx(grown.flops / 1e12, rel=1e-5)


def test_the_rule_lies_at_the_grown_stages_final_loss(run):
    (rule,) = {(row["loss"], row["text"]) for row in rows(run, "text")}

    assert rule == (pytest.approx(3.8801, abs=1e-3), "final loss of grown")


def test_a_run_of_any_size_fits_its_axis(run, edit):
    tiny = run.model_copy(update={"stages": run.stages[:1]})

    for flops in (0.5, 3e21):
        chart = compute_chart(edit(tiny, "base", flops=flops), width=600, legend=True)
        assert chart is not None
        domain = chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]
        assert 0 < domain[1] < 1100
        assert math.isfinite(domain[1])


def test_the_caption_tells_what_is_there(run):
    assert "Dotted" in caption(run)
    alone = caption(run.model_copy(update={"stages": run.stages[:1]}))
    assert "Dotted" not in alone
    assert "diamonds" not in alone
