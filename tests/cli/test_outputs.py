"""What each command prints: plain, nothing with ``--quiet``, and JSON with ``--json``."""

import json
import shutil
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def stages(finished):
    """Return the folder of the finished run's stages."""
    return finished / "run/stages"


def lines(done):
    """Return the objects of a JSON output, one a line."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_schema_is_the_committed_one(growlm):
    committed = (RECIPES / "recipe.schema.json").read_text(encoding="utf-8")
    assert growlm("schema").stdout == committed
    assert json.loads(committed)["title"] == "Experiment"


def test_quiet_commands_print_nothing(growlm, again):
    run, recipe = again / "run", again / "tiny.toml"
    final = run / "stages/grown/training/final"
    kept = next((run / "stages/grown/training").glob("step-*"))
    for words in (
        ("check", recipe, "--out", run),
        ("prepare", recipe, "--out", run),
        ("train", recipe, "--out", run, "--stage", "base"),
        ("run", recipe, "--out", run),
        ("grow", final, again / "child", "--layers", 3),
        ("certify", final, again / "child"),
        ("average", final, kept, "--out", again / "average"),
        ("evaluate", final),
        ("log", run),
        ("inspect", final),
    ):
        done = growlm(*words, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words


class TestInspect:
    def test_shows_shape_lineage_certificate_and_hashes(self, growlm, stages):
        final = stages / "grown/training/final"
        done = growlm("inspect", final)
        assert done.returncode == 0
        text = done.stdout
        assert text.startswith(f"{final}: stage 'grown', step 6; every file is whole\n")
        assert "shape        layers 2, heads 2, kv_heads 2, width 16" in text
        assert "parameters   12,368 (6,224 without embeddings)" in text
        assert "tokens seen  1,792 (" in text
        assert "lineage      base: scratch, 1 layers, 1.024K tokens\n" in text
        assert "lineage      grown: grown by interleave, 2 layers, 768 tokens\n" in text
        assert (
            "certificate  1 -> 2 layers by interleave (approximate); on 128 held-out tokens: "
            "largest logit difference "
        ) in text
        assert text.count("             largest logit difference ") == 6
        assert text.count("sha256 ") == 5

    def test_says_that_a_model_was_not_grown(self, growlm, stages):
        done = growlm("inspect", stages / "base/training/final")
        assert "certificate  none: this model was not grown\n" in done.stdout

    def test_gives_json_with_every_fact(self, growlm, stages):
        (found,) = lines(growlm("inspect", stages / "grown/training/final", "--json"))
        base, grown = found["lineage"]
        (parent,) = lines(growlm("inspect", stages / "base/training/final", "--json"))
        assert base["weights_sha256"] == parent["files"]["model.safetensors"]
        assert found["certificate"]["parent_sha256"] == base["weights_sha256"]
        assert found["flops"] == pytest.approx(base["flops"] + grown["flops"])
        assert found["tokens"] == base["tokens"] + grown["tokens"] == 1_792
        assert found["certificate"]["sources"] == [0, 0]
        assert found["certificate"]["child_parameters"] == found["parameters"] == 12_368
        assert found["data"]["cursor"] > parent["data"]["cursor"] == 64

    def test_shows_an_average_as_one(self, growlm, stages):
        done = growlm("inspect", stages / "grown/average")
        assert "grown: grown by interleave, average of 2, 2 layers" in done.stdout


class TestEvaluate:
    def test_scores_one_two_and_four_times_the_context(self, growlm, stages):
        final = stages / "base/training/final"
        found = [
            each["scores"]
            for each in lines(growlm("evaluate", final, "--json"))
            if "scores" in each
        ]
        assert [(each["multiple"], each["context"]) for each in found] == [
            (1, 16),
            (2, 32),
            (4, 64),
        ]
        recorded = json.loads((stages / "base/evaluation.json").read_text())
        for ours, theirs in zip(found, recorded, strict=True):
            assert ours["bits_per_byte"] == theirs["bits_per_byte"]
            assert ours["last_word"] == theirs["last_word"]
            assert ours["last_word"]["examples"] == 10

    def test_two_ranks_score_what_one_scores(self, *, growlm, forked, stages, monkeypatch):
        monkeypatch.setattr("growlm.pipeline.turns.CHUNK_CHARACTERS", 200)
        words = ("evaluate", stages / "base/training/final", "--json")
        alone, two = growlm(*words), forked(*words, in_ranks=[2, 0], chunk_characters=[200])
        assert two.returncode == 0, two.stderr
        one, other = (
            [each for each in map(json.loads, done.stdout.splitlines()) if "scores" in each]
            for done in (alone, two)
        )
        assert len(one) == 3
        assert one == other  # to the last bit

    def test_shows_a_row_for_each_context_of_each_checkpoint(self, growlm, stages):
        paths = [stages / "grown/grown", stages / "grown/average"]
        done = growlm("evaluate", *paths)
        assert done.returncode == 0, done.stderr
        for path in paths:
            assert done.stdout.count(str(path)) == 3
        assert "32 (1x)" in done.stdout
        assert "tales, bits per byte" in done.stdout

    def test_scores_a_checkpoint_from_elsewhere_on_the_run_that_is_named(
        self, *, growlm, finished, tmp_path, refusal
    ):
        moved = tmp_path / '[x] "moved"'
        shutil.copytree(finished / "run/stages/base/training/final", moved)
        line = refusal("evaluate", moved)
        assert "expected a checkpoint inside a run's folder, whose held-out documents" in line
        assert line.endswith("Try --run RUN.")
        found = lines(growlm("evaluate", moved, "--run", finished / "run", "--json"))
        assert {each["checkpoint"] for each in found if "scores" in each} == {str(moved)}
        done = growlm("evaluate", moved, "--run", finished / "run")
        assert str(moved) in done.stdout

    def test_shows_checkpoints_of_runs_with_other_sources_side_by_side(
        self, growlm, stages, recipe
    ):
        run = recipe.parent / "run"
        recipe.write_text(recipe.read_text().replace('name = "notes"', 'name = "essays"'))
        words = ("train", recipe, "--out", run, "--stage", "base", "--quiet")
        assert growlm(*words).returncode == 0
        final = "base/training/final"
        done = growlm("evaluate", stages / final, run / "stages" / final)
        assert done.returncode == 0, done.stderr
        assert "notes, bits per byte" in done.stdout
        assert "essays, bits per byte" in done.stdout


class TestGrow:
    @pytest.mark.parametrize("depth", ["interleave", "stack", "insert"])
    def test_writes_a_child_with_its_certificate(self, growlm, stages, tmp_path, depth):
        words = ("grow", stages / "base/training/final", tmp_path / "child", "--layers", 3)
        done = growlm(*words, "--depth", depth)
        assert done.returncode == 0, done.stderr
        claim = "exact" if depth == "insert" else "approximate"
        first, second = done.stdout.splitlines()
        assert first == (
            f"{tmp_path / 'child'}: 1 -> 3 layers by {depth} ({claim}), 9,264 -> 15,472 parameters"
        )
        assert second.startswith("on 128 held-out tokens: largest logit difference ")
        (found,) = lines(growlm("inspect", tmp_path / "child", "--json"))
        assert found["certificate"]["asked"]["operators"]["depth"] == depth
        assert found["certificate"]["batches"] == "held-out"
        differences = {
            each["max_logit_difference"] for each in found["certificate"]["measurements"]
        }
        assert (differences == {0.0}) == (depth == "insert")
        assert found["lineage"][-1]["stage"] == "child"

    def test_compares_on_random_tokens_where_no_run_is(self, growlm, stages, tmp_path):
        parent = shutil.copytree(stages / "base/training/final", tmp_path / "parent")
        done = growlm("grow", parent, tmp_path / "child", "--layers", 2, "--context", 64)
        assert "\non 64 random tokens: largest logit difference " in done.stdout
        assert "; on 64 random tokens: " in growlm("inspect", tmp_path / "child").stdout
        words = ("grow", parent, tmp_path / "other", "--layers", 2, "--json")
        (found,) = lines(growlm(*words))
        tokens = {each["tokens"] for each in found["measurements"]}
        assert (found["batches"], tokens) == ("random tokens", {64, 32})
        run = stages.parent
        (found,) = lines(growlm(*words[:2], tmp_path / "third", *words[3:], "--run", run))
        assert found["batches"] == "held-out"

    def test_grows_a_child_from_an_average_which_has_no_moments(self, growlm, stages, tmp_path):
        assert (
            growlm("grow", stages / "grown/average", tmp_path / "child", "--layers", 4).returncode
            == 0
        )
        assert not (tmp_path / "child/optimizer.safetensors").exists()

    def test_says_that_it_did_not_measure_where_it_was_told_not_to(self, growlm, stages, tmp_path):
        words = ("grow", stages / "base/training/final", tmp_path / "child", "--layers", 2)
        done = growlm(*words, "--unmeasured")
        assert done.stdout.splitlines()[1] == "not measured yet: growlm certify does it"
        assert "certificate  1 -> 2 layers by insert (exact)" in (
            growlm("inspect", tmp_path / "child").stdout
        )

    @pytest.mark.parametrize("how", [(), ("--new-tokens", "mean")])
    def test_adds_tokens_without_a_size(self, growlm, stages, tmp_path, how):
        words = ("--add-token", "<|user|>", "--add-token", "<|bot|>", *how, "--unmeasured")
        parent = stages / "base/training/final"
        done = growlm("grow", parent, tmp_path / "child", *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(
            f"{tmp_path / 'child'}: 300 -> 302 vocab_size (approximate), 9,264 -> 9,264 parameters"
        )
        (found,) = lines(growlm("inspect", tmp_path / "child", "--json"))
        pieces = found["certificate"]["asked"]["new_tokens"]
        assert (pieces == [[], []]) == bool(how)


class TestCertify:
    def test_shows_what_holds_and_what_was_measured(self, growlm, stages):
        parent, child = stages / "base/training/final", stages / "grown/grown"
        done = growlm("certify", parent, child)
        assert done.returncode == 0, done.stderr
        first, *rest = [line.rstrip() for line in done.stdout.splitlines()]
        assert first == f"{child}: its certificate holds"
        assert rest[:6] == [
            "growth       1 -> 2 layers by interleave (approximate)",
            "             layers are repeated and all of them are heard",
            "parameters   9,264 -> 12,368, as the formula has it",
            "weights      each is what the plan makes of the parent, to the last bit",
            "optimizer    13 weights decay and 5 do not; each is in one group",
            "norm cliff   1 times the parent's mean step between layers",
        ]
        (stored,) = lines(growlm("inspect", child, "--json"))
        assert f"plan         {stored['certificate']['plan_sha256']}" in rest
        rows = [line for line in rest if line.startswith((" float", " bfloat"))]
        assert [row.split()[:3] for row in rows] == [
            [dtype, context, tokens]
            for context, tokens in (("16", "128"), ("8", "64"))
            for dtype in ("float64", "float32", "bfloat16")
        ]

    def test_gives_json_with_the_certificate_made_anew(self, growlm, stages):
        parent, child = stages / "base/training/final", stages / "grown/grown"
        (found,) = lines(growlm("certify", parent, child, "--json"))
        (stored,) = lines(growlm("inspect", child, "--json"))
        assert found["certificate"] == stored["certificate"]
        assert found["measurements"] == stored["certificate"]["measurements"]
        assert (found["holds"], found["unclaimed"]) == (True, None)
        counts = (found["parent_parameters"], found["child_parameters"])
        assert counts == (9_264, 12_368)

    def test_compares_what_claims_nothing_and_says_why(self, growlm, stages):
        parent, child = stages / "base/training/final", stages / "grown/training/final"
        done = growlm("certify", parent, child)
        reason = "it was trained for 768 tokens since it was grown, and claims nothing now"
        assert done.stdout.splitlines()[:2] == [
            f"{child}: {reason}",
            "parameters   9,264 -> 12,368",
        ]
        assert " float32 " in done.stdout
        (found,) = lines(growlm("certify", parent, child, "--json"))
        assert (found["holds"], found["certificate"]) == (False, None)
        assert (found["unclaimed"], len(found["measurements"])) == (reason, 6)
        (found,) = lines(growlm("certify", parent, stages / "scratch/training/final", "--json"))
        assert found["unclaimed"] == "it has no certificate, so it claims nothing"

    def test_takes_the_texts_of_the_run_that_is_named(self, growlm, stages, tmp_path):
        parent = shutil.copytree(stages / "base/training/final", tmp_path / "parent")
        child = stages / "grown/grown"
        (alone,) = lines(growlm("certify", parent, child, "--json"))
        assert alone["certificate"]["batches"] == "random tokens"
        (found,) = lines(growlm("certify", parent, child, "--run", stages.parent, "--json"))
        assert found["certificate"]["batches"] == "held-out"


class TestShrink:
    @pytest.fixture
    def child(self, growlm, stages, tmp_path):
        words = ("grow", stages / "base/training/final", tmp_path / "child", "--layers", 2)
        assert growlm(*words, "--depth", "insert", "--unmeasured").returncode == 0
        return tmp_path / "child"

    def test_says_what_it_did_and_what_it_is_worth(self, growlm, child, tmp_path):
        done = growlm("shrink", child, tmp_path / "again")
        assert done.stdout == (
            f"{tmp_path / 'again'}: 12,368 -> 9,264 parameters\n"
            "grown again, it gives the child's weights with a largest difference of 0\n"
        )
        assert "shrunk from child, 1 layers" in growlm("inspect", tmp_path / "again").stdout

    def test_gives_json_or_nothing(self, growlm, child, tmp_path):
        (found,) = lines(growlm("shrink", child, tmp_path / "again", "--json"))
        assert found == {
            "child_parameters": 12_368,
            "parent_parameters": 9_264,
            "child_tokens": 0,
            "largest_change": 0.0,
        }
        assert growlm("shrink", child, tmp_path / "quiet", "--quiet").stdout == ""

    def test_refuses_what_was_not_grown_exactly(self, refusal, stages, tmp_path):
        assert refusal("shrink", stages / "grown/grown", tmp_path / "again") == (
            "expected an exact growth, which can be taken back; got layers are repeated and all of "
            "them are heard. Try the parent's own checkpoint."
        )
        base = stages / "base/training/final"
        assert refusal("shrink", base, tmp_path / "again") == (
            "expected a checkpoint that was grown, with its certificate; got "
            f"{base}, which has none. Try the parent's own checkpoint."
        )


class TestAverage:
    def test_writes_one_checkpoint_and_says_which(self, growlm, stages, tmp_path):
        place = stages / "grown/training"
        paths = [place / "final", *place.glob("step-*")]
        done = growlm("average", *paths, "--out", tmp_path / "plain")
        (found,) = lines(growlm("average", *paths, "--out", tmp_path / "json", "--json"))
        (recorded,) = lines(growlm("inspect", stages / "grown/average", "--json"))
        weights = recorded["files"]["model.safetensors"]
        assert done.stdout == f"{tmp_path / 'plain'}: average of 2, weights {weights}\n"
        assert found == {"path": str(tmp_path / "json"), "averaged": 2, "weights_sha256": weights}


class TestCheck:
    def test_shows_models_costs_and_data(self, growlm, finished):
        done = growlm("check", finished / "tiny.toml", "--out", finished / "run")
        assert done.stdout.startswith(f"{finished / 'tiny.toml'}: recipe 'tiny', 300 tokens of vo")
        for words in ("grown from base", "12,368 (0.0M)", "FLOPs with parents", "disk at once"):
            assert words in done.stdout
