"""``growlm study``: a grid of tiny runs, done, stopped and gone on with, and refused."""

import json
from pathlib import Path

import pytest

STUDY = """[study]
seeds = [1, 2]
peak_lr = [5e-3, 1e-2, 2e-2]

[[study.grid]]
stage = "grown"
values = { "grow.depth" = ["stack"], "schedule.warmup_steps" = [1, 2] }

[[study.grid]]
stage = "grown"
parent_share = [0.6]

[log]"""
SHORT = ("stage.base.tokens=512", "stage.grown.tokens=768")


def written(folder: Path) -> Path:
    recipe = folder / "tiny.toml"
    text = recipe.read_text(encoding="utf-8").replace("[log]", STUDY)
    recipe.write_text(text, encoding="utf-8")
    return recipe


@pytest.fixture(scope="module")
def told(growlm, write_tiny, setting, tmp_path_factory):
    """Return the folder of a finished study, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    write_tiny(folder)
    words = ("study", written(folder), "--out", folder / "out", "--json", *setting(*SHORT))
    done = growlm(*words)
    assert done.returncode == 0, done.stderr
    return folder, [json.loads(line) for line in done.stdout.splitlines()]


def test_a(told):
    folder, events = told
    print((folder / "out/study.md").read_text())
    print((folder / "out/seed-2/recipe.toml").read_text())
    for e in events:
        if e["event"] != "progress": print(e)
    assert 0
