"""Tasks in a run: asked after training, shown in the log, held against what was searched."""

import json
from pathlib import Path
from typing import Any

import pytest

from growlm.base.errors import CorpusError, EvaluationError
from growlm.evaluation.sheet import read_sheet
from growlm.evaluation.tasks import Task, TaskFile, load_task
from growlm.pipeline.events import Skipped, Stop
from growlm.pipeline.open import plan_of, run_of
from growlm.pipeline.papers import Shelf
from growlm.pipeline.run import score
from growlm.pipeline.tasking import INDEX, check_tasks, key_of
from growlm.pipeline.viewing import run_view
from growlm.report.sections import sections

ROWS = 12


@pytest.fixture
def asked(tmp_path: Path) -> tuple[str, ...]:
    """Changes of a recipe that ask for LAMBADA, of a file with a few rows."""
    words = ["river", "lantern", "orchard", "harbour", "meadow", "candle"]
    rows = [{"text": f"The {words[i % 6]} was far, and the {words[i % 6]}"} for i in range(ROWS)]
    path = tmp_path / "lambada_openai.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return 'evaluate.tasks=["lambada_openai"]', f'evaluate.data="{tmp_path}"'


def test_tasks_are_asked_once_and_shown_beside_published_models(
    again: Path, asked: tuple[str, ...]
) -> None:
    with run_of(again / "tiny.toml", asked, out=again / "run", stop=Stop(), version="0") as job:
        stage = job.plan.stages[-1]
        first, second = list(score(job, stage)), list(score(job, stage))
        view = run_view(job.plan, job.folder, version="0")
    assert not any(isinstance(each, Skipped) and "tasks" in each.step for each in first)
    assert [each.step for each in second if isinstance(each, Skipped)][-1] == f"tasks:{stage.name}"
    place = job.folder.tasks(stage.name)
    rows = json.loads((place / INDEX).read_text())
    multiples = job.plan.experiment.evaluate.context_multiples
    assert {row["context"] for row in rows} == {each * stage.context for each in multiples}
    _, found = read_sheet(place / rows[0]["sheet"])
    assert len(found.examples) == ROWS
    shown = next(each for each in view.stages if each.name == stage.name).evaluations[0].tasks
    assert shown[0].scores["acc"].value == found.mean("acc").value
    (scored, *_) = view.contamination
    assert (scored.stage, scored.task, scored.verdict) == (
        stage.name,
        "lambada_openai",
        "not searched",
    )
    titles = [each.title for each in sections(view)]
    assert titles.index("Contamination") == titles.index("Results") + 1


def test_a_task_is_read_once_however_often_it_is_asked_for(
    recipe: Path, asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def counted(file: TaskFile, *places: Path, **options: Any) -> Task:
        reads.append(file.name)
        return load_task(file, *places, **options)

    monkeypatch.setattr("growlm.pipeline.papers.load_task", counted)
    plan, shelf = plan_of(recipe, asked), Shelf()
    check_tasks(plan, shelf)
    before = key_of(plan, [], shelf)
    assert key_of(plan, [], shelf) == before
    assert reads == ["lambada_openai"]
    path = recipe.parent / "lambada_openai.jsonl"
    path.write_text(path.read_text().replace("river", "brook"))  # under the same name
    assert key_of(plan, [], shelf) != before
    assert reads == ["lambada_openai"] * 2


def test_a_task_that_nobody_knows_is_refused_before_anything_is_computed(
    recipe: Path, tmp_path: Path
) -> None:
    plan = plan_of(recipe, ('evaluate.tasks=["lambda_openai"]', f'evaluate.data="{tmp_path}"'))
    with pytest.raises(EvaluationError, match=r"'lambda_openai'.*lambada_openai"):
        check_tasks(plan, Shelf())


def test_a_row_without_its_field_is_named(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "piqa.jsonl").write_text('{"goal": "a", "sol1": "b", "label": 0}\n')
    plan = plan_of(recipe, ('evaluate.tasks=["piqa"]', f'evaluate.data="{tmp_path}"'))
    with pytest.raises(CorpusError, match=r"'sol2' in .*piqa.jsonl line 1"):
        check_tasks(plan, Shelf())


def test_without_data_the_harness_has_to_be_there(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("growlm.pipeline.tasking.find_spec", lambda _: None)
    with pytest.raises(CorpusError, match=r"package lm_eval, to have piqa.*growlm\[eval\]"):
        check_tasks(plan_of(recipe, ('evaluate.tasks=["piqa"]',)), Shelf())


def test_nothing_is_asked_of_a_run_without_tasks(again: Path) -> None:
    with run_of(again / "tiny.toml", (), out=again / "run", stop=Stop(), version="0") as job:
        steps = [each.step for each in score(job, job.plan.stages[0]) if isinstance(each, Skipped)]
    assert steps == [f"evaluate:{job.plan.stages[0].name}"]
    assert not job.folder.tasks(job.plan.stages[0].name).exists()
