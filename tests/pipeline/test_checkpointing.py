"""Activation checkpointing in a run: the same weights, noted where they are described."""

import json

import pytest

from growlm import checkpoint
from growlm.runlog import Memory, read

pytestmark = pytest.mark.usefixtures("light_log")


def test_a_stage_that_computes_again_ends_with_the_bits_of_one_that_keeps(growlm, again, steps):
    final = again / "run/stages/base/training/final"
    kept = checkpoint.read_meta(final).weights_sha256
    change = ("--set", "stage.base.activation_checkpointing=full")
    told = growlm("run", again / "tiny.toml", "--out", again / "run", "--json", *change)
    assert "train:base" in steps(told, "done")
    assert "grow:grown" in steps(told, "skipped")
    assert checkpoint.read_meta(final).weights_sha256 == kept


def test_memory_is_noted_with_every_validation(finished):
    records = list(read(finished / "run/stages/base/training/log.jsonl"))
    kinds = [each.kind for each in records]
    assert kinds.count("memory") == kinds.count("validation") > 1
    assert all(each.gpu is None for each in records if isinstance(each, Memory))
    shown = json.loads((finished / "run/results.json").read_text())["stages"][0]
    most = max(each.peak_resident_bytes for each in records if isinstance(each, Memory))
    assert shown["memory"]["peak_resident_bytes"] == most
    assert shown["hyperparameters"]["activation checkpointing"] == "none"
    assert "### Memory" in (finished / "run/log.md").read_text()
