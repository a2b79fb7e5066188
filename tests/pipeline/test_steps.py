"""Steps: each is done once, and once more when what it depends on has changed, and only then."""

import json
import os
import shutil

import pytest

from growlm import checkpoint
from growlm.runlog import Apart, Copies, ValidationLoss, read

ALL = [
    "prepare:tokenizer",
    "prepare:tales",
    "prepare:notes",
    "train:base",
    "evaluate:base",
    "grow:grown",
    "train:grown",
    "average:grown",
    "evaluate:grown",
    "train:scratch",
    "evaluate:scratch",
    "log",
]
BASE = ["train:base", "evaluate:base"]
GROWN = ["grow:grown", "train:grown", "average:grown", "evaluate:grown"]
SCRATCH = ["train:scratch", "evaluate:scratch"]

pytestmark = pytest.mark.usefixtures("light_log")


def test_a_second_run_skips_every_step_and_says_so(growlm, again, steps):
    told = growlm("run", again / "tiny.toml", "--out", again / "run", "--json")
    assert steps(told, "skipped") == ALL
    assert steps(told, "begun") == steps(told, "done") == []
    plain = growlm("run", again / "tiny.toml", "--out", again / "run")
    assert plain.stderr.splitlines() == [
        f"{step}: skipped, nothing it depends on has changed" for step in ALL
    ]


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ("stage.scratch.schedule.warmup_steps=3", [*SCRATCH, "log"]),
        ("stage.scratch.document_masking=true", [*SCRATCH, "log"]),
        ("stage.grown.grow.depth=insert", [*GROWN, "log"]),
        ("evaluate.documents=1", ["evaluate:base", "evaluate:grown", "evaluate:scratch", "log"]),
        ("log.title=Another", ["log"]),
        ("stage.base.keep=1", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_edit_of_the_recipe_redoes_what_depends_on_it(growlm, again, steps, *, change, redone):
    words = ("run", again / "tiny.toml", "--out", again / "run", "--json", "--set", change)
    told = growlm(*words)
    assert steps(told, "done") == redone
    assert steps(told, "skipped") == [step for step in ALL if step not in redone]
    assert steps(growlm(*words), "skipped") == ALL


def test_an_average_is_made_anew_of_the_same_weights_that_say_another_thing(growlm, again, steps):
    final = again / "run/stages/grown/training/final"
    meta = checkpoint.read_meta(final)
    other = meta.model_copy(update={"training": {**meta.training, "context": 31}})
    content = {**other.model_dump(mode="json"), checkpoint.DIGEST: checkpoint.identity(other)}
    (final / checkpoint.META).write_text(json.dumps(content))
    before = checkpoint.read_meta(again / "run/stages/grown/average")
    told = growlm("run", again / "tiny.toml", "--out", again / "run", "--json")
    assert "average:grown" in steps(told, "done")
    after = checkpoint.read_meta(again / "run/stages/grown/average")
    assert after.weights_sha256 == before.weights_sha256
    assert (before.training["context"], after.training["context"]) == (32, 31)


def test_an_edited_parent_is_followed_by_its_child_but_not_by_the_control(growlm, again, steps):
    kept = json.loads((again / "run/stages/base/training/final/checkpoint.json").read_bytes())
    words = ("--json", "--set", "stage.base.optimizer.peak_lr=2e-2")
    told = growlm("run", again / "tiny.toml", "--out", again / "run", *words)
    assert steps(told, "done") == [*BASE, *GROWN, "log"]
    assert steps(told, "skipped") == [*ALL[:3], *SCRATCH]
    assert "set aside in" in told.stdout

    places = sorted(path.name for path in (again / "run/superseded").iterdir())
    assert [place.rpartition("-")[0] for place in places] == [
        "average.grown",
        "grow.grown",
        "train.base",
        "train.grown",
    ]
    (aside,) = (again / "run/superseded").glob("train.base-*/training/final/checkpoint.json")
    assert json.loads(aside.read_bytes()) == kept
    assert growlm("inspect", aside.parent).returncode == 0


def test_copied_units_are_metered_with_every_validation(growlm, again):
    change = ("--set", "stage.grown.grow.mlp=96", "--set", "stage.grown.grow.layers=1")
    growlm("run", again / "tiny.toml", "--out", again / "run", *change)
    records = list(read(again / "run/stages/grown/training/log.jsonl"))
    copies = [each for each in records if isinstance(each, Copies)]
    validations = [each for each in records if isinstance(each, ValidationLoss)]
    assert [each.step for each in copies] == [each.step for each in validations]
    assert copies[0].distance is None
    assert copies[0].spaces == {"mlp": Apart(copies=32, equal=32, largest=0.0, relative=0.0)}
    assert copies[-1].spaces["mlp"].equal == 0
    assert copies[-1].spaces["mlp"].largest > 1e-4


def test_a_result_set_aside_twice_is_there_twice(growlm, again):
    for lr in ("2e-2", "1e-2", "2e-2"):
        words = ("--stage", "base", "--set", f"stage.base.optimizer.peak_lr={lr}")
        done = growlm("train", again / "tiny.toml", "--out", again / "run", *words)
        assert done.returncode == 0, done.stderr
    found = sorted((again / "run/superseded").glob("train.base-*/*/final/model.safetensors"))
    assert len(found) == 3


def test_a_changed_text_is_packed_anew_with_all_that_follows(growlm, again, steps):
    shutil.copy(again / "run/corpus/tokenizer.json", again / "brought.json")
    recipe = again / "tiny.toml"
    text = recipe.read_text().replace("vocab_size = 300", 'file = "brought.json"')
    recipe.write_text(text)
    words = (recipe, "--out", again / "run", "--json")
    assert steps(growlm("prepare", *words), "done") == ["prepare:tokenizer"]

    (again / "data/notes/00.txt").write_text("Another text of the same source.")
    told = growlm("train", *words, "--stage", "grown")
    assert steps(told, "done") == ["prepare:notes", "train:base", *GROWN[:3]]
    assert steps(told, "skipped") == ["prepare:tokenizer", "prepare:tales"]


def test_a_text_that_was_only_touched_gives_the_same_shards_so_nothing_is_trained(
    growlm, again, steps
):
    os.utime(again / "data/tales.jsonl", ns=(1, 1))
    told = growlm("train", again / "tiny.toml", "--out", again / "run", "--json", "--stage", "base")
    assert steps(told, "done") == ["prepare:tokenizer", "prepare:tales"]
    assert steps(told, "skipped") == ["prepare:notes", "train:base"]


def test_another_version_of_the_cleaning_rules_reads_the_text_anew(
    growlm, again, steps, monkeypatch
):
    monkeypatch.setattr("growlm.pipeline.inputs.CLEAN_VERSION", 2)
    told = growlm("prepare", again / "tiny.toml", "--out", again / "run", "--json")
    assert steps(told, "done") == ALL[:3]
    assert steps(told, "skipped") == []


def test_another_tokenizer_packs_and_trains_everything_anew(growlm, again, steps):
    words = ("--out", again / "run", "--json", "--stage", "grown")
    told = growlm("train", again / "tiny.toml", *words, "--set", "tokenizer.vocab_size=310")
    assert steps(told, "done") == [*ALL[:3], "train:base", *GROWN[:3]]
    assert len(list((again / "run/superseded").iterdir())) == 4


def test_a_tokenizer_put_in_the_place_of_the_run_s_is_refused_and_can_be_made_again(
    growlm, again, steps, outcome
):
    before, path = outcome(again / "run"), again / "run/corpus/tokenizer.json"
    path.write_text(path.read_text().replace("<|endoftext|>", "<|endofdoc|>"))
    words = ("run", again / "tiny.toml", "--out", again / "run", "--json")
    refused = growlm(*words)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"growlm: expected {path} as this run made it: shards and checkpoints depend on it; got "
        "another tokenizer, or a damaged one. Try restoring it, or removing it: it is then made "
        "again.\n"
    )
    path.unlink()
    assert steps(growlm(*words), "done") == ["prepare:tokenizer"]
    assert outcome(again / "run") == before


def test_another_weight_of_a_source_trains_anew_on_the_same_shards(growlm, again, steps):
    words = (again / "tiny.toml", "--out", again / "run", "--json", "--stage", "base")
    told = growlm("train", *words, "--set", "source.notes.weight=0.25")
    assert steps(told, "skipped") == ALL[:3]
    assert steps(told, "done") == ["train:base"]


def test_a_stage_alone_is_trained_with_what_it_grows_from_and_a_run_goes_on_from_there(
    growlm, again, steps
):
    for name in ("base", "grown"):
        shutil.rmtree(again / "run/stages" / name)
    words = (again / "tiny.toml", "--out", again / "run", "--json")
    told = growlm("train", *words, "--stage", "grown")
    assert steps(told, "done") == ["train:base", *GROWN[:3]]
    assert steps(told, "skipped") == ALL[:3]
    told = growlm("run", *words)
    assert steps(told, "done") == ["evaluate:base", "evaluate:grown", "log"]


def test_a_run_continued_from_its_own_copy_of_the_recipe_is_the_same_run(growlm, again, steps):
    words = ("--out", again / "run", "--json")
    assert growlm("run", again / "tiny.toml", *words, "--set", "log.title=Mine").returncode == 0
    assert steps(growlm("run", again / "run/recipe.toml", *words), "skipped") == ALL
    words = (*words, "--set", "log.title=Yours")
    assert steps(growlm("run", again / "run/recipe.toml", *words), "done") == ["log"]
    about = json.loads((again / "run/run.json").read_text())
    assert about["overrides"] == ["log.title=Mine", "log.title=Yours"]
    assert about["recipe_folder"] == str(again)


def test_an_average_asked_for_after_training_names_the_missing_checkpoints(growlm, again):
    done = growlm("run", again / "tiny.toml", "--out", again / "run", "--set", "average.last=1.0")
    assert done.returncode == 1
    assert "expected checkpoints of stage 'grown' at steps 3; got a stage that was" in done.stderr


def test_scores_of_earlier_weights_are_not_shown_beside_new_ones(growlm, again):
    words = ("train", again / "tiny.toml", "--out", again / "run", "--stage", "base")
    assert (again / "run/stages/base/evaluation.json").is_file()
    assert growlm(*words, "--set", "stage.base.optimizer.peak_lr=2e-2").returncode == 0
    assert not (again / "run/stages/base/evaluation.json").exists()
