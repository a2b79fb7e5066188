import json
import re
from statistics import stdev

import pytest

from growlm.report.document import as_markdown
from growlm.report.overlay import labels, overlay, spread, together
from growlm.report.page import FILES, write_several


@pytest.fixture(scope="module")
def second(run):
    """The same run with another seed, a little worse."""
    stages = tuple(
        stage.model_copy(
            update={
                "validation": tuple(
                    point.model_copy(update={"loss": point.loss + 0.02})
                    for point in stage.validation
                )
            }
        )
        for stage in run.stages
    )
    return run.model_copy(update={"seed": 2, "stages": stages})


def test_runs_of_one_name_are_told_apart_by_seed_or_number(run, second):
    assert labels([run, run.model_copy(update={"name": "other"})]) == ("demo", "other")
    assert labels([run, second]) == ("demo, seed 1", "demo, seed 2")
    assert labels([run, run]) == ("demo, seed 1, 1", "demo, seed 1, 2")


def test_stages_keep_their_own_runs_parents_and_controls(run, second):
    merged = {stage.name: stage for stage in together([run, second]).stages}

    assert len(merged) == 8
    assert merged["demo, seed 2: grown"].parent == "demo, seed 2: base"
    assert merged["demo, seed 1: scratch"].control_of == "demo, seed 1: grown"


def test_the_spread_is_over_runs_that_trained_one_shape(run, second, edit):
    found = spread([run, second])
    longer = edit(second, "grown", tokens=1)

    assert found["grown"][1] - found["grown"][0] == pytest.approx(0.02)
    assert set(spread([run, longer])) == {"base", "scratch", "scratch-half"}
    text = as_markdown(overlay([run, second]))
    assert f"\u00b1 {stdev(found['grown']):.4f}" in text


def test_what_differs_is_told_and_nothing_else(run, second):
    text = as_markdown(overlay([run, second]))
    _, _, rest = text.partition("## What differs")
    table, _, _ = rest.partition("## Curves")

    assert re.findall(r"^\| ([A-Z`][^|]*) \|", table, re.MULTILINE) == ["Seed"]
    assert "Nothing that the logs record" in as_markdown(overlay([run, run]))


def test_losses_of_different_tokenizers_are_not_put_side_by_side(run, second):
    other = second.model_copy(
        update={"tokenizer": second.tokenizer.model_copy(update={"sha256": "cd" * 32})}
    )
    text = as_markdown(overlay([run, other]))

    assert "do not compare" in text
    assert "### Over runs" not in text


def test_several_seeds_answer_the_question_of_chance(run, second):
    assert "What chance does" in as_markdown(overlay([run, run]))
    assert "What chance does" not in as_markdown(overlay([run, second]))


def test_the_page_of_several_runs_has_all_four_files(run, second, tmp_path, monkeypatch):
    monkeypatch.setattr("growlm.report.markup.bundle", lambda: "bundle()")
    monkeypatch.setattr("growlm.report.figures.still", lambda _: "<svg/>")
    monkeypatch.setattr("growlm.report.page.png", lambda _: b"png")
    write_several([run, second], tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["format"] == 1
    assert list(found["runs"]) == ["demo, seed 1", "demo, seed 2"]
    assert 'data-stage="demo, seed 2: grown"' in (tmp_path / "log.html").read_text()
