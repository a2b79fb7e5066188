"""``growlm check``: what a recipe will do and cost, before and after its texts are packed."""

import json
import shutil
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
PUBLISHED = {
    "gpt-580m": ("gpt-580m", 587_210_000, "587.2M"),
    "gpt-760m": ("gpt-760m", 757_200_000, "757.2M"),
    "gpt-1.1b": ("gpt-1.1b", 1_097_200_000, "1,097.2M"),
}
"""Parameters of the published runs, as their logs give them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_runs_have_the_parameters_of_their_logs(growlm, name):
    stage, parameters, shown = PUBLISHED[name]
    recipe = RECIPES / f"{name}.toml"
    plain = growlm("check", recipe)
    assert plain.returncode == 0, plain.stderr
    row = next(line for line in plain.stdout.splitlines() if f"({shown})" in line)
    assert row.split()[0] == stage
    found = json.loads(growlm("check", recipe, "--json").stdout)
    (row,) = (each for each in found["stages"] if each["name"] == stage)
    assert row["parameters"] == pytest.approx(parameters, rel=1e-4)
    assert f"{row['parameters']:,} ({shown})" in plain.stdout
    assert row["flops"] == pytest.approx(row["tokens"] * row["flops_per_token"])
    assert {source["known"] for source in found["sources"]} == {"declared"}


@pytest.mark.parametrize(
    ("name", "stages", "memory"),
    [
        ("gpt-124m", {"base": 6, "grown": 12, "scratch": 12}, "24GiB"),
        ("gpt-350m-16gb", {"base": 12, "grown": 24}, "16GiB"),
    ],
)
def test_the_recipes_for_one_gpu_are_recipes_and_fit_it(growlm, name, stages, memory):
    recipe = RECIPES / f"{name}.toml"
    checked = growlm("check", recipe, "--json")
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout)["stages"]
    assert {each["name"]: each["layers"] for each in found} == stages
    planned = json.loads(growlm("plan", recipe, "--device-memory", memory, "--json").stdout)
    assert all(stage["fits"] for stage in planned["stages"])


def test_a_recipe_is_checked_before_and_after_its_texts_are_packed(growlm, recipe):
    words = ("check", recipe, "--out", recipe.parent / "run", "--json")
    before = json.loads(growlm(*words).stdout)
    assert [source["known"] for source in before["sources"]] == ["estimated", "estimated"]
    assert not (recipe.parent / "run").exists()

    assert growlm("prepare", recipe, "--out", recipe.parent / "run").returncode == 0
    after = json.loads(growlm(*words).stdout)
    assert [source["known"] for source in after["sources"]] == ["packed", "packed"]
    facts = json.loads((recipe.parent / "run/corpus/tales/facts.json").read_text())
    assert after["sources"][0]["tokens"] == facts["train_tokens"]
    assert [row["parameters"] for row in before["stages"]] == [
        row["parameters"] for row in after["stages"]
    ]


def test_tokens_of_an_earlier_recipe_are_not_taken_for_this_one_s(growlm, recipe):
    run = recipe.parent / "run"
    assert growlm("prepare", recipe, "--out", run).returncode == 0
    words = ("check", recipe, "--out", run, "--json", "--set", "tokenizer.vocab_size=310")
    found = json.loads(growlm(*words).stdout)
    assert [source["known"] for source in found["sources"]] == ["estimated", "estimated"]


def test_tokens_are_known_from_the_shards_where_the_texts_are_gone(growlm, recipe):
    run = recipe.parent / "run"
    assert growlm("prepare", recipe, "--out", run).returncode == 0
    shutil.rmtree(recipe.parent / "data")
    found = json.loads(growlm("check", recipe, "--out", run, "--json").stdout)
    assert [source["known"] for source in found["sources"]] == ["packed", "packed"]


def test_what_check_says_a_stage_reads_is_what_it_read(growlm, finished):
    told = growlm("check", finished / "tiny.toml", "--out", finished / "run", "--json")
    found = json.loads(told.stdout)
    results = json.loads((finished / "run/results.json").read_text())
    for planned, done in zip(found["stages"], results["stages"], strict=True):
        for key in ("name", "steps", "tokens", "parameters", "source_tokens", "source_epochs"):
            assert planned[key] == done[key]
        assert planned["flops"] == done["flops"]
        assert sum(planned["source_tokens"].values()) == planned["tokens"]


def test_masking_is_shown_where_a_stage_asks_for_it(growlm, recipe):
    assert "document masking" not in growlm("check", recipe).stdout
    words = ("check", recipe, "--set", "stage.grown.document_masking=true")
    heading, _, *rows = growlm(*words).stdout.splitlines()[2:7]
    assert heading.split()[-2:] == ["document", "masking"]
    assert [row.split()[-1] for row in rows] == ["no", "yes", "no"]
    found = json.loads(growlm(*words, "--json").stdout)
    assert [row["document_masking"] for row in found["stages"]] == [False, True, False]


def test_checkpointing_is_shown_where_a_stage_asks_for_it(growlm, recipe):
    assert "activation" not in growlm("check", recipe).stdout
    words = ("check", recipe, "--set", "stage.grown.activation_checkpointing=selective")
    heading, _, *rows = growlm(*words).stdout.splitlines()[2:7]
    assert heading.split()[-2:] == ["activation", "checkpointing"]
    assert [row.split()[-1] for row in rows] == ["none", "selective", "none"]


def test_the_control_gets_the_compute_of_the_grown_stage_and_its_parent(growlm, recipe):
    rows = json.loads(growlm("check", recipe, "--json").stdout)["stages"]
    base, grown, scratch = rows
    whole = base["flops"] + grown["flops"]
    one_batch = 128 * scratch["flops_per_token"]
    assert grown["flops_before"] == base["flops"]
    assert whole <= scratch["flops"] < whole + one_batch


def test_a_stage_that_grows_from_a_folder_whose_name_looks_like_markup_is_shown_by_it(
    growlm, finished, recipe
):
    parent = shutil.copytree(
        finished / "run/stages/base/training/final", recipe.parent / "[bold]parent [x]"
    )
    text = recipe.read_text().replace('from = "base"', f'from = "./{parent.name}"')
    recipe.write_text(text)
    told = growlm("check", recipe)
    assert told.returncode == 0, told.stderr
    assert "[bold]parent [x]" in told.stdout
