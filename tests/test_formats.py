"""What docs/formats.md promises of files on the disk, checked on files."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from growlm.base.errors import CorpusError, FolderError, StorageError
from growlm.base.files import write_json
from growlm.corpus import index, shards
from growlm.corpus.manifest import TokenizerFacts
from growlm.corpus.source_facts import SourceFacts
from growlm.pipeline.data import first_windows
from growlm.pipeline.events import Stop
from growlm.pipeline.folder import RunFolder, opened
from growlm.pipeline.open import recorded_run
from growlm.pipeline.preparing import facts_of
from growlm.pipeline.viewing import _evaluations

ABOUT = {"format": 1, "name": "tiny", "recipe_folder": "recipes", "overrides": []}
FACTS = SourceFacts(
    source="docs",
    train_documents=9,
    heldout_documents=1,
    train_tokens=900,
    heldout_tokens=100,
    train_bytes=3600,
    heldout_bytes=400,
    bad_utf8=0,
    empty=0,
    too_short=0,
    other_language=0,
    bad_json=0,
    no_field=0,
    broken_file=0,
    duplicates=0,
    trimmed=0,
    overlap_dropped=0,
    overlap_cut=0,
    masked_tokens=0,
    fast_documents=4,
    compared_documents=6,
    fast_faults=0,
    cleaned={"nfc": 2},
    without_tiktoken=None,
    benchmarks={"piqa": 64 * "a"},
    files={"heldout.jsonl": 64 * "b"},
)


def tokenizer(digit: str) -> TokenizerFacts:
    return TokenizerFacts(sha256=64 * digit, vocab=300, eos=0, impl="hf", version="1")


def test_an_index_has_the_bytes_of_the_table() -> None:
    content = index.encode(np.array([3, 5]), dtype="u16")
    assert content[:9] == b"MMIDIDX\0\0"
    assert struct.unpack_from("<QBQQ", content, 9) == (1, 8, 2, 3)
    assert struct.unpack_from("<2i2q3q", content, 34) == (3, 5, 0, 6, 0, 1, 2)
    assert len(content) == 42 + 20 * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "run.json to be of run format 1; got 'format': Input should be 1"),
        ({"overrides": None}, "run.json to be of run format 1; got 'overrides': Input should be"),
        ({"later": 1}, "run.json to be of run format 1; got 'later': Extra inputs"),
    ],
)
def test_a_run_folder_of_another_format_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write_json(tmp_path / "run.json", {**ABOUT, **change})
    with pytest.raises(FolderError, match=words):
        recorded_run(tmp_path, stop=Stop(), version="1")
    recipe = tmp_path.with_suffix(".toml")
    recipe.write_text("")
    with (
        pytest.raises(FolderError, match=words),
        opened(tmp_path, name="tiny", recipe=recipe, overrides=()),
    ):
        pass


def test_a_run_folder_says_which_recipe_it_was_opened_with(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text("")
    with opened(tmp_path / "run", name="tiny", recipe=recipe, overrides=("seed=2",)):
        pass
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == {
        "format": 1,
        "name": "tiny",
        "recipe_folder": str(tmp_path),
        "overrides": ["seed=2"],
    }


def test_counts_of_another_version_name_the_folder_to_remove(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    path = folder.corpus / "docs" / "facts.json"
    write_json(path, FACTS.model_dump())
    assert facts_of(folder, "docs") == FACTS
    write_json(path, {**FACTS.model_dump(), "later": 1})
    with pytest.raises(
        CorpusError, match=r"facts.json to hold this growlm's counts; got 'later': Extra inputs"
    ):
        facts_of(folder, "docs")


def test_scores_of_another_version_name_the_file_to_remove(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    write_json(folder.evaluation("base"), [{"checkpoint": "final"}])
    with pytest.raises(StorageError, match=r"evaluation.json to hold this growlm's scores; got"):
        _evaluations(folder, "base")


def test_held_out_shards_that_another_tokenizer_wrote_are_left_out(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    for name, digit, token in (("earlier", "a", 299), ("now", "b", 7)):
        shards.write(
            folder.corpus / name / "validation",
            [[token] * 19 + [0]],
            source=name,
            tokenizer=tokenizer(digit),
            shard_tokens=1024,
        )
    (windows,) = first_windows(folder, 8, count=2, tokenizer_sha256=64 * "b")
    assert torch.equal(windows, torch.full((2, 9), 7))
    assert first_windows(folder, 8, count=2, tokenizer_sha256=64 * "c") == []
