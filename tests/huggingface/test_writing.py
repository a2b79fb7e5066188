"""Writing folders: what transformers reads of them, in one file or in shards."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from growlm.base.errors import CheckpointError
from growlm.huggingface.reading import load, read_folder
from growlm.huggingface.writing import Outgoing, shards, write
from growlm.model.families.links import links
from growlm.model.families.table import FAMILIES
from growlm.model.gpt import GPT
from growlm.model.weights import EVERY, held

END = "<|endoftext|>"


@pytest.fixture
def outgoing(model: GPT, tokenizer_json: str) -> Outgoing:
    return Outgoing(
        family=FAMILIES["llama"],
        config=model.config,
        context=48,
        end_of_text=END,
        tokenizer=tokenizer_json,
        tokenizer_files={},
    )


@pytest.fixture
def folder(tmp_path: Path, model: GPT, outgoing: Outgoing) -> Path:
    path = tmp_path / "ours"
    path.mkdir()
    write(path, outgoing, held(model.state_dict()))
    return path


def test_a_folder_is_read_as_it_was_written(folder: Path, model: GPT) -> None:
    found = read_folder(folder)
    assert found.config == replace(model.config, context=48)
    again = load(found)
    for name, tensor in model.state_dict().items():
        rows = 300 if name in {"embedding.weight", "head.weight"} else None
        assert torch.equal(again[name][:rows], tensor[:rows])


def test_transformers_reads_it(folder: Path, model: GPT) -> None:
    transformers: Any = pytest.importorskip("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("the river of marble", return_tensors="pt")["input_ids"]
    assert ids.shape[1] > 3
    with torch.no_grad():
        expected = theirs(ids).logits
        difference = (expected - model.logits(ids)).abs().max()
    assert difference <= 1e-5 * expected.abs().max()
    assert (tokenizer.eos_token, tokenizer.model_max_length) == (END, 48)
    assert theirs.config.eos_token_id == tokenizer.eos_token_id
    assert theirs.config.bos_token_id is None
    assert tokenizer.decode(ids[0]) == "the river of marble"


def test_rows_of_padding_stay_at_home(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert tensors["model.embed_tokens.weight"].shape == (300, 16)
    assert tensors["lm_head.weight"].shape == (300, 16)
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"] == 300


def test_files_that_came_along_lie_there_as_they_were(
    tmp_path: Path, model: GPT, outgoing: Outgoing
) -> None:
    files = {
        "tokenizer_config.json": b'{"eos_token":  "<|endoftext|>", "bos_token": "a"}',
        "merges.txt": b"\xff\r\n",
    }
    write(tmp_path, replace(outgoing, tokenizer_files=files), held(model.state_dict()))
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert values["bos_token_id"] is not None
    assert (tmp_path / "tokenizer.json").read_bytes().decode() == outgoing.tokenizer


@pytest.mark.parametrize("shard_bytes", [1, 6_000, 40_000])
def test_shards_are_one_model_for_transformers_and_for_us(
    *, tmp_path: Path, model: GPT, outgoing: Outgoing, folder: Path, shard_bytes: int
) -> None:
    transformers: Any = pytest.importorskip("transformers")
    path = tmp_path / "shards"
    path.mkdir()
    write(path, outgoing, held(model.state_dict()), shard_bytes=shard_bytes)
    files = sorted(path.glob("*.safetensors"))
    assert files[0].name == f"model-00001-of-{len(files):05}.safetensors"
    index = json.loads((path / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert index["metadata"]["total_size"] == sum(
        each.numel() * 4 for each in load_file(folder / "model.safetensors").values()
    )
    whole, parts = load(read_folder(folder)), load(read_folder(path))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path)
    assert torch.equal(theirs.lm_head.weight, whole["head.weight"][:300])


@pytest.mark.parametrize("shard_bytes", [1, 6_000, 40_000, 10**9])
def test_no_shard_is_too_large_unless_one_tensor_is(model: GPT, shard_bytes: int) -> None:
    every = links(FAMILIES["llama"], model.config)
    files = shards(every, shard_bytes)
    assert [link for part in files.values() for link in part] == list(every)
    for part in files.values():
        size = sum(4 * torch.Size(link.shape).numel() for link in part)
        assert size <= shard_bytes or len(part) == 1


def test_our_tensors_are_asked_for_one_after_the_other(
    tmp_path: Path, model: GPT, outgoing: Outgoing
) -> None:
    asked: list[str] = []
    weights = held(model.state_dict())

    def read(name: str, rows: slice = EVERY) -> torch.Tensor:
        asked.append(name)
        return weights(name, rows)

    write(tmp_path, outgoing, read)
    assert asked == list(model.state_dict())


def test_a_context_that_the_model_has_no_positions_for_is_refused(
    tmp_path: Path, tiny_config: Any, outgoing: Outgoing
) -> None:
    learned = replace(
        outgoing,
        family=FAMILIES["gpt2"],
        config=tiny_config(positions="learned", vocab_size=300, padded_vocab_size=384),
    )
    with pytest.raises(CheckpointError, match="a context of 16: that many positions were learned"):
        write(tmp_path, learned, held({}))
