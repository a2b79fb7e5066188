"""Recipes and runs from Python: drafted, checked, planned, carried out, watched, written up."""

import json
from pathlib import Path
from typing import Any

import pytest

import growlm as package
from growlm.base.errors import FolderError, RecipeError, StorageError
from growlm.pipeline.events import Skipped


def test_a_finished_run_is_checked_and_run_from_python(again: Path):
    recipe = package.Recipe(again / "tiny.toml")
    assert recipe.out == Path("runs/tiny")
    told = []
    assert recipe.run(out=again / "run", tell=told.append) == again / "run"
    assert {type(each) for each in told} == {Skipped}
    assert [stage.name for stage in recipe.check(out=again / "run").stages] == [
        "base",
        "grown",
        "scratch",
    ]
    assert package.run(again / "tiny.toml", out=again / "run") == again / "run"
    assert package.prepare(again / "tiny.toml", out=again / "run") == again / "run"
    assert package.check(again / "tiny.toml", out=again / "run").name == "tiny"
    base = package.train(again / "tiny.toml", stage="base", out=again / "run")
    assert base.path == again / "run/stages/base/training/final"


def test_a_recipe_is_drafted_as_the_command_drafts_it(growlm, tmp_path: Path):
    made = package.new(tmp_path / "mine.toml", size="1M", source=["builtin"], control=True)
    words = ("--size", "1M", "--source", "builtin", "--control")
    (tmp_path / "other").mkdir()
    assert growlm("new", tmp_path / "other" / "mine.toml", *words).returncode == 0
    assert Path(made.path).read_text() == (tmp_path / "other" / "mine.toml").read_text()
    with pytest.raises(StorageError, match="no file at"):
        package.new(tmp_path / "mine.toml")


def test_a_plan_is_the_command_s(growlm, finished: Path):
    recipe, run = finished / "tiny.toml", finished / "run"
    found = package.plan(recipe, device_memory="16GiB", devices=2, on="cpu", out=run)
    words = ("--device-memory", "16GiB", "--devices", 2, "--on", "cpu", "--out", run, "--json")
    told = json.loads(growlm("plan", recipe, *words).stdout)
    assert json.loads(json.dumps(found.as_dict()))["stages"] == told["stages"]
    assert package.plan(recipe, device_memory=2**34, out=run).machine.memory_bytes == 2**34


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"device_memory": "much"}, r"device_memory to be .+; got 'much'\. Try device_memory="),
        ({"devices": 3, "devices_per_node": 2}, "--devices to be a multiple of"),
        ({"mfu": 0.4}, "--peak-flops beside --mfu"),
        ({"peak_flops": 1e12}, "--mfu beside --peak-flops"),
    ],
)
def test_a_machine_that_cannot_be_is_one_line(finished: Path, changes: Any, line: str):
    with pytest.raises(RecipeError, match=line):
        package.plan(finished / "tiny.toml", **({"device_memory": "1GiB"} | changes))


def test_runs_are_watched_and_written_up(again: Path, monkeypatch):
    monkeypatch.setattr("growlm.report.page.png", lambda *_, **__: b"png")
    monkeypatch.setattr("growlm.report.page.html", lambda *_, **__: "<html></html>")
    run = again / "run"
    standings = package.watch(run, run)
    assert {each.state for each in standings} == {"done"}
    (run / "log.html").unlink()
    assert package.log(run) == run
    assert (run / "log.html").is_file()
    with pytest.raises(RecipeError, match="--out with several runs, and with them only"):
        package.log(run, run)
    with pytest.raises(RecipeError, match="different runs"):
        package.log(run, run, out=again / "together")


def test_the_demo_and_a_study_go_through_the_pipeline(again: Path, monkeypatch):
    monkeypatch.setattr("growlm.api.recipes.demo_recipe", lambda: again / "tiny.toml")
    assert package.demo(out=again / "run") == again / "run"
    with pytest.raises(RecipeError, match="a recipe with a study"):
        package.study(again / "tiny.toml")


def test_the_machine_and_the_schema_are_told(growlm, tmp_path: Path):
    found = package.doctor(tmp_path)
    assert found[0].name == "growlm"
    assert package.schema() + "\n" == growlm("schema").stdout


def test_mistakes_are_the_commands_own(finished: Path, tmp_path: Path):
    with pytest.raises(FolderError, match="a run's folder"):
        package.log(tmp_path)
    with pytest.raises(RecipeError, match="stage"):
        package.train(package.Recipe(finished / "tiny.toml"), stage="bose", out=tmp_path / "run")
    wrong = package.Recipe(finished / "tiny.toml", ("stage.base.tokens=many",))
    with pytest.raises(RecipeError, match="tokens"):
        _ = wrong.experiment
