"""Many ranks in one run: the same losses, the same files, and one line when one of them ends."""

import math
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch._C._distributed_c10d import HashStore

from growlm import checkpoint
from growlm.base.errors import Stopped, TrainingError
from growlm.model.gpt import weight_shapes
from growlm.pipeline.ranks import joined
from growlm.runlog import Notice, Saved, Start, Step, ValidationLoss, read
from growlm.training.parallel import World

CHANGES = (
    "stage.base.optimizer.kind=muon",
    "stage.grown.optimizer.kind=muon",
    "stage.base.ema.decay=0.9",
    "stage.base.model.dropout=0.0",
    "stage.base.checkpoint_every=512",
    "validation.tokens=32",
)
SETS = [word for change in CHANGES for word in ("--set", change)]
TRAINING = "stages/base/training"
LOG = f"{TRAINING}/log.jsonl"
TWO = [2, 0]
"""Ranks, and how often they may be started anew."""


def curve(run):
    records = list(read(run / LOG))
    losses = [each.loss for each in records if isinstance(each, Step | ValidationLoss)]
    return losses, [each.gradient_norm for each in records if isinstance(each, Step)]


def same(one, other):
    return all(a == pytest.approx(b, rel=0, abs=1e-6) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_tiny, forked):
    """Return a function: options of a run's ranks -> what it said, and its folder; sources once.

    Told, it is not run: the words of its command are returned in place of what it said.
    """
    home = tmp_path_factory.mktemp("ranks")
    recipe = write_tiny(home)
    assert forked("prepare", recipe, "--out", home / "run", *SETS).returncode == 0

    def train(name, *words, told=False, **ranks):
        run = home / name
        if not run.exists():
            shutil.copytree(home / "run", run)
        words = ("train", recipe, "--out", run, "--stage", "base", *SETS, *words)
        return words if told else forked(*words, **ranks), run

    return train


@pytest.fixture(scope="module")
def alone(trained):
    """Return the folder that one process trained in."""
    done, run = trained("alone")
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture(scope="module")
def two(trained):
    """Return the folder that two ranks trained in."""
    done, run = trained("two", in_ranks=TWO)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("train:base …") == 1
    return run


def test_two_ranks_train_as_one_process_does(alone, two):
    assert same(curve(two), curve(alone))
    starts = [each.device for each in read(two / LOG) if isinstance(each, Start)]
    assert [device.endswith(", 2 ranks, zero1") for device in starts] == [True]
    ranks = [each.ranks for each in read(two / LOG) if isinstance(each, Step)]
    assert all(each and 0 < each.reading < each.fastest <= each.slowest for each in ranks)
    assert {each.slowest_rank for each in ranks if each} <= {0, 1}
    saves = [each for each in read(two / LOG) if isinstance(each, Saved)]
    assert [(each.path, each.stood_seconds is None) for each in saves] == [
        ("step-00000004", False),
        ("final", True),
    ]


KILLED = """\
import os

if (os.environ.get("RANK"), os.environ.get("TORCHELASTIC_RESTART_COUNT")) == ("1", "0"):
    from growlm.training import saving

    def save_half(path, tensors, *, facts):
        save(path, tensors, facts=facts)
        if "step-00000004" in path.parent.name:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), 9)

    save, saving.save_tensors = saving.save_tensors, save_half
"""
"""What Python runs first: the second rank dies as it writes its part, the first time."""
SAVED_OFTEN = ("--set", "stage.base.checkpoint_every=256")


def by_forks(trained, script):
    done, run = trained("killed", *SAVED_OFTEN, run_first=[str(script)], in_ranks=[2, 1])
    return done, run


def by_torchrun(trained, script):
    words, run = trained("killed by torchrun", *SAVED_OFTEN, told=True)
    paths = [str(script.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("torchrun"), "--standalone", "--nproc-per-node=2"),
            *("--max-restarts=1", "--monitor-interval=0.1", "-m", "growlm", *words),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, run


@pytest.mark.parametrize("launched", [by_forks, pytest.param(by_torchrun, marks=pytest.mark.slow)])
def test_a_run_whose_rank_is_killed_in_a_save_goes_on_by_itself_and_ends_with_the_same_bits(
    trained, two, outcome, tmp_path, *, launched
):
    script = tmp_path / "sitecustomize.py"
    script.write_text(KILLED, encoding="utf-8")
    done, run = launched(trained, script)
    assert done.returncode == 0, done.stderr
    assert outcome(run) == outcome(two)
    assert [each.step for each in read(run / LOG) if isinstance(each, Start)] == [0, 2]


def test_a_signal_to_one_rank_stops_all_and_one_process_goes_on_from_their_parts(trained, alone):
    done, run = trained("stopped", in_ranks=TWO, second_rank=["stopped", 3])
    assert done.returncode == 1
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("growlm:")]
    assert f"got signal {int(signal.SIGTERM)}; stage 'base' was saved at step 3 of 8" in line
    saved = run / TRAINING / "step-00000003"
    meta = checkpoint.read_meta(saved)
    assert [name for name in meta.files if name.endswith(".safetensors")] == [
        "part-00000.safetensors",
        "part-00001.safetensors",
        "random.safetensors",
    ]
    weights, ema = checkpoint.load_weights(saved), checkpoint.load_ema(saved)
    shapes = weight_shapes(meta.gpt_config())
    assert {name: tuple(each.shape) for name, each in weights.items()} == shapes
    assert ema.keys() == weights.keys()
    assert "momentum_buffer.layers.0.mlp.up.weight" in checkpoint.load_optimizer(saved)
    rows = checkpoint.reader(saved)("embedding.weight", slice(100, 200))
    assert torch.equal(rows, weights["embedding.weight"][100:200])
    assert (meta.format, meta.keeps_optimizer, len(meta.weights_sha256)) == (4, True, 64)
    part = saved / "part-00001.safetensors"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + b"x")
    done, _ = trained("stopped")
    assert done.returncode == 1
    assert f"expected {part} to have SHA-256" in done.stderr
    part.write_bytes(whole)
    done, run = trained("stopped")
    assert done.returncode == 0, done.stderr
    assert same(curve(run), curve(alone))


def test_two_ranks_go_on_from_what_one_process_saved_where_its_last_checkpoint_is_damaged(
    trained, alone
):
    done, run = trained("fallen", signal_at=[int(signal.SIGTERM), 6])
    assert done.returncode == 75
    (run / TRAINING / "step-00000006" / "model.safetensors").write_bytes(b"x")
    done, _ = trained("fallen", in_ranks=TWO)
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("growlm:")]
    assert "step-00000006/model.safetensors to have SHA-256" in line
    assert "--allow-fallback" in line
    done, _ = trained("fallen", "--allow-fallback", in_ranks=TWO)
    assert done.returncode == 0, done.stderr
    assert same(curve(run), curve(alone))
    (notice,) = [each.text for each in read(run / LOG) if isinstance(each, Notice)]
    assert "step-00000006 is damaged" in notice


def test_two_ranks_go_back_to_the_checkpoint_that_one_process_goes_back_to(trained):
    rule = "stage.base.spikes={latest = 8, deviations = 50.0, roll_back_after = 3}"
    words = ("--set", rule, "--set", "stage.base.checkpoint_every=256")
    spoilt = [{"4": math.nan, "5": math.nan, "6": math.inf}]
    ends = list[tuple[float, object]]()
    for name, ranks in (("back alone", {}), ("back in two", {"in_ranks": TWO})):
        done, run = trained(name, *words, spoil=spoilt, **ranks)
        assert done.returncode == 0, done.stderr
        *_, last = (each.loss for each in read(run / LOG) if isinstance(each, ValidationLoss))
        ends.append((last, checkpoint.read_meta(run / TRAINING / "final").training["skipped"]))
    assert ends[0][1] == ends[1][1] == {"rolled back": [3, 4, 5, 6]}
    assert ends[1][0] == pytest.approx(ends[0][0], rel=0, abs=1e-6)


def test_an_error_of_one_rank_ends_all_with_one_line(trained):
    done, _ = trained("failed", in_ranks=TWO, second_rank=["failed", 2])
    assert done.returncode == 1
    assert [each for each in done.stderr.splitlines() if each.startswith("growlm:")] == [
        "growlm: expected every rank to go on; got 'rank 1: expected shards that can be read; got "
        "none. Try another disk.'. Try the same command again: it goes on from the last checkpoint."
    ]
    assert "growlm/cli" not in done.stderr  # no traceback of ours


def test_a_rank_that_reads_without_end_is_named_with_its_shard(trained):
    done, run = trained("stalled", "--patience", "1s", in_ranks=TWO, stall=["1", 2])
    assert done.returncode == 1
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("growlm:")]
    shards = run / "corpus"
    assert line.startswith(
        "growlm: expected step 3 to go on within 1.0 s (--patience); got rank 1 that reads "
        f"{shards}"
    )
    assert line.endswith(
        "00000.bin in step 3 and comes to no end. Try that disk or machine, then the same command: "
        "it goes on from the last checkpoint."
    )


def test_a_mistake_in_the_recipe_is_told_once(trained):
    done, _ = trained("failed", "--set", "stage.base.context=15", in_ranks=TWO)
    lines = [each for each in done.stderr.splitlines() if each.startswith("growlm:")]
    assert len(lines) == 1
    assert "stage.base.batch to be a multiple of its context" in lines[0]


@pytest.mark.parametrize(("at_once", "kind"), [(False, Stopped), (True, TrainingError)])
def test_ranks_that_stop_together_are_no_error_of_one_of_them(monkeypatch, *, at_once, kind):
    store = HashStore()
    worlds = iter([World(rank=rank, size=2, store=store) for rank in (1, 0)])
    monkeypatch.setattr("growlm.pipeline.ranks.started", lambda **_: nullcontext(next(worlds)))
    up = Stopped(None, saved="it was saved", fix="again", at_once=at_once)

    with pytest.raises(SystemExit) as left, joined():
        raise up
    with pytest.raises(kind, match="the end of its time; it was saved"), joined():
        raise up

    assert left.value.code == up.exit_code
