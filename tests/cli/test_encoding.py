import json

import numpy as np
import pytest


@pytest.fixture
def prepared(growlm, recipe, monkeypatch):
    """Return a function: a fast path, or why there is none -> what prepare says, and its counts."""

    def prepare(fast):
        monkeypatch.setattr("growlm.corpus.encoding.fast_encoder", lambda _tokenizer: fast)
        done = growlm("prepare", recipe, "--out", recipe.parent / "run")
        assert done.returncode == 0, done.stderr
        return done.stderr, json.loads((recipe.parent / "run/corpus/tales/facts.json").read_text())

    return prepare


def test_a_fast_path_that_gives_other_ids_is_told_and_counted(prepared):
    said, facts = prepared(lambda text: np.zeros(len(text), dtype=np.int64))
    reason = "tiktoken gave other ids for data/tales.jsonl, from token 0 on"
    assert f"20 documents held out; all encoded without tiktoken: {reason} (" in said
    assert (facts["without_tiktoken"], facts["fast_faults"]) == (reason, 1)
    assert (facts["fast_documents"], facts["compared_documents"]) == (0, 0)


@pytest.mark.parametrize("largest_small", [20_000, 1 << 22])
def test_large_sources_without_a_fast_path_say_why(prepared, monkeypatch, largest_small):
    monkeypatch.setattr("growlm.pipeline.preparing.SMALL_BYTES", largest_small)
    said, facts = prepared("tiktoken is not installed")
    told = (
        "20 documents held out; all encoded without tiktoken: tiktoken is not installed (" in said
    )
    assert told == (facts["train_bytes"] > largest_small)
    assert facts["without_tiktoken"] == "tiktoken is not installed"
