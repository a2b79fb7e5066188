"""Other models in a run: scored on its tasks and held-out documents, and shown beside its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from growlm.base.errors import CheckpointError, EvaluationError
from growlm.pipeline.baselining import baseline_views, check_baselines
from growlm.pipeline.events import Done, Skipped, Stop
from growlm.pipeline.open import plan_of, run_of
from growlm.pipeline.run import baselines
from growlm.report.view import BaselineView

LAST_WORDS = [
    {"text": f"The river was far, and the lantern {n} was near the river"} for n in range(6)
]


def asked_of(*paths: Path, context: int | None = None) -> str:
    """Return the change of a recipe that brings these models."""
    more = f", context={context}" if context else ""
    rows = ", ".join(f'{{name="Model {n}", checkpoint="{p}"{more}}}' for n, p in enumerate(paths))
    return f"baseline=[{rows}]"


def test_a_model_is_scored_as_the_run_s_own_checkpoints_are(
    again: Path, growlm: Any, tmp_path: Path
) -> None:
    final, exported = again / "run/stages/base/training/final", tmp_path / "exported"
    assert growlm("export", final, exported).returncode == 0
    content = "".join(json.dumps(each) + "\n" for each in LAST_WORDS)
    (tmp_path / "lambada_openai.jsonl").write_text(content, encoding="utf-8")
    tasks = ('evaluate.tasks=["lambada_openai"]', f'evaluate.data="{tmp_path}"')
    changes = (*tasks, asked_of(final, exported, context=16))
    with run_of(again / "tiny.toml", changes, out=again / "run", stop=Stop(), version="0") as job:
        assert baseline_views(job.plan, job.folder) == ()  # not scored yet
        first, second = list(baselines(job)), list(baselines(job))
        ours, theirs = baseline_views(job.plan, job.folder)
    done = ["baseline:model-0", "baseline:model-1"]
    assert [each.step for each in first if isinstance(each, Done)] == done
    assert [each.step for each in second if isinstance(each, Skipped)] == done
    own = json.loads(job.folder.evaluation("base").read_text())[0]  # at context 16, too
    for each in (ours, theirs):
        check_same(each, own)
    assert (ours.remark, theirs.remark) == ("", "nobody knows what it was trained on")


def check_same(found: BaselineView, own: dict[str, Any]) -> None:
    assert (found.here, found.context, own["context"]) == (True, 16, 16)
    assert found.bits_per_byte == own["bits_per_byte"]
    assert found.bits_per_byte_stderr == own["bits_per_byte_stderr"]
    assert set(found.scores["lambada_openai"]) == {"acc", "perplexity"}
    assert found.errors["lambada_openai"]["perplexity"] > 0


def test_a_folder_without_a_model_is_refused_before_anything_is_computed(recipe: Path) -> None:
    plan = plan_of(recipe, (asked_of(recipe.parent / "data"),))
    with pytest.raises(
        CheckpointError, match=r"baseline 'Model 0': expected a checkpoint's folder"
    ):
        check_baselines(plan)


def test_a_context_beyond_learned_positions_is_refused(recipe: Path, saved: Any) -> None:
    path = saved(positions="learned", context=16)
    check_baselines(plan_of(recipe, (asked_of(path),)))  # it takes what it can
    plan = plan_of(recipe, (asked_of(path, context=32),))
    with pytest.raises(EvaluationError, match=r"at most 16 tokens.*got 32. Try context = 16"):
        check_baselines(plan)
