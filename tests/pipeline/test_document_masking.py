"""Document masking: the same tokens, and none of them sees another document's."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import PREEMPTED
from growlm.model.gpt import GPT, with_weights
from growlm.pipeline.data import (
    batch_at,
    batcher,
    held_out_windows,
    manifest,
    packed_sources,
    stage_data,
)
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.open import recorded_plan
from growlm.runlog import ValidationLoss, read
from growlm.training.step import Batch
from growlm.training.validation import validation_losses

CPU = torch.device("cpu")
MASKED = ("base", "grown")
CHANGES = (
    "validation.tokens=4096",  # so that documents end in the windows of each source
    *(f"stage.{stage}.document_masking=true" for stage in MASKED),
)
WORDS = tuple(word for change in CHANGES for word in ("--set", change))


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny: Callable[[Path], Path],
    forked: Callable[..., CompletedProcess[str]],
) -> RunFolder:
    """Return the folder of a base and its child, both trained with masking, undisturbed."""
    recipe = write_tiny(tmp_path_factory.mktemp("masked"))
    folder = RunFolder(path=recipe.parent / "run")
    done = forked("train", recipe, "--out", folder.path, "--stage", "grown", *WORDS)
    assert done.returncode == 0, done.stderr
    return folder


def windows(run: RunFolder, stage: str) -> dict[str, Batch]:
    plan = recorded_plan(run)
    tokens = plan.experiment.validation.tokens
    return held_out_windows(run, plan.stage(stage), tokens=tokens, device=CPU)


def trained(run: RunFolder, stage: str) -> GPT:
    path = run.final(stage)
    config = checkpoint.read_meta(path).gpt_config()
    return with_weights(config, checkpoint.load_weights(path)).eval()


@torch.no_grad()
def loss_alone(model: GPT, ids_T1: Tensor, end_of_text: int) -> float:
    """Return a window's summed loss when each of its documents is read alone."""
    inputs, targets = ids_T1[:-1], ids_T1[1:]
    ends = (inputs[:-1] == end_of_text).nonzero()[:, 0] + 1
    pairs = zip(inputs.tensor_split(ends), targets.tensor_split(ends), strict=True)
    return sum(
        float(F.cross_entropy(model.logits(text[None])[0], following, reduction="sum"))
        for text, following in pairs
    )


@pytest.mark.parametrize("stage", MASKED)
def test_tokens_are_the_same_with_and_without_masking(run: RunFolder, stage: str) -> None:
    plan = recorded_plan(run)
    data = stage_data(plan, plan.stage(stage), packed_sources(plan, run))
    batches, count = batcher(data, run), data.last_cursor - data.first_cursor
    masked = batch_at(batches, data.first_cursor, count, masked=True)
    plain = batch_at(batches, data.first_cursor, count, masked=False)
    assert torch.equal(masked.ids, plain.ids)
    assert plain.documents is None
    assert masked.documents is not None
    assert masked.documents.shape == masked.ids[:, 1:].shape
    assert masked.documents.max() >= 1


@pytest.mark.parametrize("stage", MASKED)
def test_a_run_with_masking_stands_where_it_would_without_and_learned_something_else(
    run: RunFolder, finished: Path, stage: str
) -> None:
    plain = RunFolder(path=finished / "run")
    ours, theirs = (checkpoint.read_meta(each.final(stage)) for each in (run, plain))
    assert ours.data == theirs.data
    assert ours.weights_sha256 != theirs.weights_sha256
    assert (ours.training["document_masking"], theirs.training["document_masking"]) == (True, False)


@pytest.mark.parametrize("stage", MASKED)
def test_the_validation_loss_is_that_of_each_document_read_alone(
    run: RunFolder, stage: str
) -> None:
    records = read(run.log(stage))
    *_, logged = (each for each in records if isinstance(each, ValidationLoss))
    model, found = trained(run, stage), windows(run, stage)
    unmasked = {
        name: Batch(ids=each.ids, documents=None, counted=None) for name, each in found.items()
    }
    without = validation_losses(model, unmasked, micro_sequences=4)
    for name, batch in found.items():
        eos = manifest(run, name, "validation").tokenizer.eos
        alone = sum(loss_alone(model, ids_T1, eos) for ids_T1 in batch.ids) / batch.targets
        assert logged.losses[name] == pytest.approx(alone, rel=1e-5)
        assert without[name] != pytest.approx(alone, rel=1e-4)


def test_a_run_with_masking_that_was_stopped_and_killed_ends_with_the_same_bits(
    run: RunFolder,
    recipe: Path,
    forked: Callable[..., CompletedProcess[str]],
    outcome: Callable[[Path], dict[str, str]],
) -> None:
    out = recipe.parent / "run"
    words = ("train", recipe, "--out", out, "--stage", "grown", *WORDS)
    assert forked(*words, signal_at=[signal.SIGTERM, 5]).returncode == PREEMPTED
    assert forked(*words, kill_at=["train:grown", 30]).returncode == -signal.SIGKILL
    assert forked(*words).returncode == 0
    assert outcome(out) == outcome(run.path)


def test_a_probe_masks_as_its_parent_was_trained(
    growlm: Callable[..., CompletedProcess[str]], run: RunFolder
) -> None:
    words = ("--layers", 2, "--tokens", "9K", "--probe", 1, "--run", run.path, "--json")
    done = growlm("advise", run.final("base"), *words)
    assert done.returncode == 0, done.stderr
    rows = {row["model"]: row for row in json.loads(done.stdout.splitlines()[-1])["probe"]}
    *_, last = (each for each in read(run.log("base")) if isinstance(each, ValidationLoss))
    assert rows["parent continued"]["loss_before"] == pytest.approx(last.loss, rel=1e-6)
