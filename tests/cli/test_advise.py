"""``growlm advise``: what a person reads, what a program reads, and every mistake in one line."""

import json
import shutil
import signal

import pytest

from growlm.growth import apply
from growlm.pipeline import probing
from growlm.pipeline.probing import LIMITS


def rows(done):
    """Return the rows of a probe that was told as JSON, by the model's name."""
    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.splitlines()
    return {row["model"]: row for row in json.loads(last)["probe"]}


@pytest.fixture(scope="session")
def final(finished):
    """Return the checkpoint that the grown stage of the finished run ends with: 2 layers."""
    return finished / "run/stages/grown/training/final"


def test_every_answer_says_how_sure_it_is_and_why(growlm, final, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = growlm("advise", final, "--layers", 4, "--tokens", "20K")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == f"{final}: 2 -> 4 layers"
    counts = " ".join(lines[1:3])
    assert counts.startswith("12,368 -> 18,576 parameters (12,432 without embeddings), ")
    assert counts.endswith(" FLOPs per token at context 32")
    questions = [line[:14].strip() for line in lines if line[:1] not in {"", " "}]
    assert questions[3:-1] == [
        "tokens seen",
        "annealed",
        "layer norms",
        "order",
        "exact",
        "to pay",
        "made to grow",
    ]
    assert max(map(len, lines[2:-8])) <= 80
    assert lines[-1] == f"next: growlm grow {final} CHILD --layers 4 --depth stack"
    sureties = ("computed", "reported", "second hand", "contested", "guess", "unknown")
    told = [
        line.strip() for line in lines if line.strip().startswith(tuple(f"{s}:" for s in sureties))
    ]
    assert len(told) == 7


def test_a_written_map_is_a_candidate_too(growlm, final):
    words = ("--layers", 4, "--depth", "explicit", "--layer-map", "0,-1,1,1")
    found = json.loads(growlm("advise", final, "--tokens", "20K", *words, "--json").stdout)
    assert [each["operator"] for each in found["candidates"]] == [
        "interleave",
        "stack",
        "insert",
        "explicit",
    ]


def test_a_parent_is_never_in_memory_as_a_whole(growlm, final, monkeypatch):
    def refuse(_path):
        raise AssertionError("all of its weights are read")

    monkeypatch.setattr("growlm.checkpoint.load_tensors", refuse)
    monkeypatch.setattr("growlm.tensorfile.load_file", refuse)
    assert growlm("advise", final, "--layers", 4, "--tokens", "20K").returncode == 0


def test_the_next_command_holds_all_that_was_asked_for(growlm, final):
    words = ("--mlp", 96, "--kv-heads", 2, "--context", 16, "--units", "new")
    done = growlm("advise", final, "--tokens", "20K", *words)
    assert done.stdout.splitlines()[-1] == (
        f"next: growlm grow {final} CHILD --kv-heads 2 --mlp 96 --units new --context 16"
    )
    assert "norm cliff, depth alone" in done.stdout


def test_a_program_reads_the_numbers(growlm, final):
    done = growlm("advise", final, "--layers", 4, "--tokens", "20K", "--context", 16, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sizes"] == {"layers": [2, 4]}
    assert found["order"] == "stack"
    assert found["context"] == 16
    assert found["scratch_tokens"] == 20_000
    assert found["tokens_seen"] == 1_792
    assert found["break_even"]["free"] == 20_000
    assert found["break_even"]["charged"] < found["break_even"]["shared"] < 20_000
    assert [each["operator"] for each in found["candidates"]] == ["interleave", "stack", "insert"]
    assert {"question", "text", "surety", "source"} == set(found["answers"][0])


def test_quiet_advice_is_none(growlm, final):
    done = growlm("advise", final, "--layers", 4, "--tokens", "20K", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (["--tokens", "1K"], 2, "expected a size of the child; got none. Try --layers 12."),
        (
            ["--layers", 4, "--tokens", "many"],
            2,
            "expected --tokens to be a count such as 4096, 350K, 1.5M or 48B; got 'many'. "
            "Try --tokens 20B.",
        ),
        (
            ["--layers", 4, "--tokens", "0"],
            2,
            "expected --tokens to be above 0; got '0'. Try --tokens 20B.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--parent-tokens", "1K"],
            2,
            "expected --parent-tokens for a parent that was trained elsewhere; got one whose "
            "lineage holds 1,792 tokens. Try leaving it out.",
        ),
        (
            ["--layers", 1, "--tokens", "1K"],
            1,
            "expected a child with at least its parent's layers; got 2 -> 1. Try layers=4.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--depth", "solr"],
            1,
            "expected a depth operator, one of interleave, stack, insert, solar, middle, "
            "middle-layerwise, append, explicit; got 'solr'. Try solar.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--layer-map", "0,0,1,1"],
            2,
            "expected --depth explicit with --layer-map; got none. Try --depth explicit.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--probe", 2],
            2,
            "expected --run RUN with --probe; got none. Try --run runs/NAME.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--peak-lr", "1e-3"],
            2,
            "expected --probe STEPS with --peak-lr; got none. Try --probe 200.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--probe", 2, "--peak-lr", "-1"],
            2,
            "expected --peak-lr to be a number above 0; got '-1'. Try --peak-lr 2e-4.",
        ),
        (
            ["--layers", 4, "--tokens", "1K", "--probe", 2, "--run", "nowhere"],
            1,
            "expected a run's folder, with run.json in it; got nowhere. "
            "Try growlm run RECIPE --out FOLDER.",
        ),
    ],
)
def test_impossible_advice_is_refused(*, refusal, final, options, code, line):
    assert refusal("advise", final, *options, code=code) == line


def test_advice_without_its_tokens_says_what_it_takes(growlm, final):
    done = growlm("advise", final, "--layers", 4)
    assert done.returncode == 2
    assert "got no --tokens. Try growlm advise --help." in done.stderr


def test_a_damaged_parent_is_refused(refusal, again, flip):
    path = again / "run/stages/base/training/final/model.safetensors"
    flip(path)
    line = refusal("advise", path.parent, "--layers", 2, "--tokens", "1K")
    assert f"expected {path} to have SHA-256 " in line


def test_a_probe_measures_every_way_and_writes_nothing(*, growlm, finished, final, contents):
    before = contents(finished)
    words = ("advise", final, "--layers", 4, "--tokens", "20K", "--depth", "append")
    words += ("--probe", 3, "--run", finished / "run", "--peak-lr", "1e-3", "--json")
    found = rows(growlm(*words))
    assert contents(finished) == before
    assert list(found) == ["parent continued", "interleave", "stack", "insert", "append"]
    parent, insert = found["parent continued"], found["insert"]
    # Silent layers add zeros: not one bit of the loss moves.
    assert insert["loss_before"] == parent["loss_before"] == found["append"]["loss_before"]
    assert found["stack"]["loss_before"] != parent["loss_before"]
    assert all(row["loss_after"] != row["loss_before"] for row in found.values())
    advice = json.loads(growlm(*words[:6], "--json").stdout)
    assert insert["flops"] == pytest.approx(3 * 128 * advice["flops_per_token"])
    assert parent["flops"] < insert["flops"]
    assert rows(growlm(*words)) == found
    other = rows(growlm(*words, "--seed", 2))
    assert other["insert"]["loss_before"] == insert["loss_before"]


def test_a_probe_goes_on_where_the_parent_stopped_in_its_data(*, growlm, finished, monkeypatch):
    seen = []
    real = probing.train

    def train(state, batches, schedule, **settings):
        seen.append((state.cursor, settings["peak_lr"], schedule(0), schedule(1)))
        return real(state, batches, schedule, **settings)

    monkeypatch.setattr(probing, "train", train)
    base = finished / "run/stages/base/training/final"
    words = ("advise", base, "--layers", 2, "--tokens", "9K", "--probe", 2)
    done = growlm(*words, "--run", finished / "run", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # 1,024 tokens in samples of 16; a cosine that ended at a tenth of 1e-2.
    assert seen == [(64, pytest.approx(1e-3), 1.0, 1.0)] * 4


def test_a_parent_that_was_grown_to_another_context_is_probed_at_it(
    *, growlm, finished, monkeypatch
):
    seen = []
    real = probing.train

    def train(state, batches, schedule, **settings):
        seen.append((state.cursor, tuple(batches(state.cursor).ids.shape)))
        return real(state, batches, schedule, **settings)

    monkeypatch.setattr(probing, "train", train)
    grown = finished / "run/stages/grown/grown"
    words = ("advise", grown, "--mlp", 96, "--tokens", "9K", "--probe", 1, "--peak-lr", "1e-3")
    found = rows(growlm(*words, "--run", finished / "run", "--json"))
    assert list(found) == ["parent continued", "any operator"]
    # Its parent read 64 samples of 16 tokens, two blocks of 16 slots of 32; 4 sequences are 128.
    assert seen == [(64, (4, 33))] * 2


def test_a_rate_that_ended_at_zero_is_no_rate_to_probe_at(*, refusal, finished, final):
    words = ("advise", final, "--layers", 4, "--tokens", "20K", "--probe", 2)
    assert refusal(*words, "--run", finished / "run", code=2) == (
        "expected --peak-lr, the learning rate to probe at; got a parent that ended at 0. "
        "Try --peak-lr 0.01."
    )


def test_a_probe_shows_its_table_and_its_limits(*, growlm, finished, final, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ("advise", final, "--layers", 4, "--tokens", "20K", "--probe", 1)
    done = growlm(*words, "--run", finished / "run", "--batch", 64, "--peak-lr", "1e-4")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "model layers loss before after 1 steps change FLOPs" in told
    assert "each step 64 tokens at a learning rate of 0.0001;" in told
    assert told.endswith(LIMITS)
    assert "probe:insert: held-out loss" in done.stderr


def test_a_signal_leaves_what_was_measured_before_it(*, growlm, finished, final, monkeypatch):
    calls = []

    def grow_weights(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return apply.grow_weights(*arguments)

    monkeypatch.setattr(probing, "grow_weights", grow_weights)
    words = ("advise", final, "--layers", 4, "--tokens", "20K", "--probe", 1, "--peak-lr", "1e-3")
    done = growlm(*words, "--run", finished / "run")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == (
        "growlm: expected the run to end; got signal 2; what was whole before is kept. "
        "Try the same command again."
    )
    table = done.stdout[done.stdout.index("loss before") :]
    assert "parent continued" in table
    assert "interleave" in table
    assert "insert" not in table
    calls.clear()
    done = growlm(*words, "--run", finished / "run", "--json")
    assert done.returncode == 130
    kept = json.loads(done.stdout.splitlines()[-1])["probe"]
    assert [row["model"] for row in kept] == ["parent continued", "interleave"]


def test_a_probe_wants_the_parent_s_tokens(*, growlm, refusal, final, recipe, setting):
    run = recipe.parent / "run"
    words = ("prepare", recipe, "--out", run, *setting("tokenizer.vocab_size=310"))
    assert growlm(*words).returncode == 0
    asked = ("advise", final, "--layers", 4, "--tokens", "1K", "--probe", 1, "--run", run)
    assert refusal(*asked) == (
        f"expected run {run} to hold shards in the tokens of {final}; got those of another "
        "tokenizer. Try --run with a run whose tokenizer.file is the parent's."
    )


def test_a_probe_wants_shards(*, refusal, final, again):
    shutil.rmtree(again / "run/corpus/notes")
    asked = ("advise", final, "--layers", 4, "--tokens", "1K", "--probe", 1, "--run", again / "run")
    assert refusal(*asked) == (
        f"expected run folder {again / 'run'} to hold prepared sources; got none for notes. "
        "Try growlm prepare RECIPE."
    )


def test_a_probe_refuses_damaged_shards_before_it_says_anything(growlm, again, flip):
    flip(again / "run/corpus/tales/train/00000.bin")
    base = again / "run/stages/base/training/final"
    asked = ("advise", base, "--layers", 4, "--tokens", "1K", "--probe", 1, "--run", again / "run")
    done = growlm(*asked)
    assert done.returncode == 1
    assert "tales/train/00000.bin" in done.stderr
    assert done.stdout == ""


def test_a_batch_holds_a_sequence(*, refusal, finished, final):
    asked = ("advise", final, "--layers", 4, "--tokens", "1K", "--probe", 1)
    asked += ("--run", finished / "run", "--peak-lr", "1e-3")
    line = refusal(*asked, "--batch", 31, code=2)
    assert line == (
        "expected --batch of one sequence of 32 tokens or more; got 31. Try --batch 256."
    )


def test_a_parent_from_elsewhere_is_probed_at_a_rate_that_somebody_names(
    *, growlm, refusal, finished, final, tmp_path
):
    theirs = tmp_path / "theirs"
    assert growlm("export", final, theirs).returncode == 0
    asked = ("advise", theirs, "--layers", 4, "--tokens", "20K", "--probe", 2)
    asked += ("--run", finished / "run")
    assert refusal(*asked, code=2) == (
        "expected --peak-lr, the learning rate to probe at; got a parent whose own is not "
        "recorded. Try --peak-lr 2e-4."
    )
    done = growlm(*asked, "--peak-lr", "1e-3", "--json")
    found = rows(done)
    assert any(json.loads(line).get("event") == "notice" for line in done.stdout.splitlines())
    assert found["insert"]["loss_before"] == found["parent continued"]["loss_before"]
    ours = rows(growlm("advise", final, *asked[2:], "--peak-lr", "1e-3", "--json"))
    before = ours["parent continued"]["loss_before"]
    assert found["parent continued"]["loss_before"] == pytest.approx(before, rel=1e-6)
