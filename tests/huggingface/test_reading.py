"""Reading folders: whole, in shards, in narrow types; and refusing the others by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from growlm.base.errors import CheckpointError, StorageError
from growlm.huggingface.reading import load, read_folder, reader, stream
from growlm.model.families.links import by_ours
from growlm.model.gpt import GPT


def change_config(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **changes}), encoding="utf-8")


def change_tensors(folder: Path, **changes: Any) -> None:
    """Replace tensors, dots written as two underscores; None removes one."""
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in changes.items():
        if tensor is None:
            del tensors[name.replace("__", ".")]
        else:
            tensors[name.replace("__", ".")] = tensor
    save_file(tensors, folder / "model.safetensors")


def in_shards(folder: Path) -> dict[str, str]:
    """Spread a folder's tensors over three files, and return which is where."""
    tensors = load_file(folder / "model.safetensors")
    where = {
        name: f"model-{place % 3 + 1:05}-of-00003.safetensors" for place, name in enumerate(tensors)
    }
    for shard in set(where.values()):
        part = {name: tensor for name, tensor in tensors.items() if where[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "model.safetensors").unlink()
    return where


def assert_is(found: dict[str, torch.Tensor], model: GPT) -> None:
    expected = model.state_dict()
    assert set(found) == set(expected)
    for name, tensor in found.items():
        rows = 300 if name in {"embedding.weight", "head.weight"} else None
        assert torch.equal(tensor[:rows], expected[name][:rows]), name


def test_a_folder_gives_our_weights(their_folder: Callable[..., Path], model: GPT) -> None:
    folder = read_folder(their_folder())
    assert folder.family.name == "Llama"
    assert folder.config == model.config
    assert_is(load(folder), model)
    assert not folder.ignores_code


def test_rows_of_padding_are_zero(their_folder: Callable[..., Path]) -> None:
    weights = load(read_folder(their_folder()))
    for name in ("embedding.weight", "head.weight"):
        assert weights[name].shape == (384, 16)
        assert not weights[name][300:].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_narrow_weights_become_fp32(
    their_folder: Callable[..., Path], model: GPT, dtype: torch.dtype
) -> None:
    weights = load(read_folder(their_folder(dtype=dtype)))
    expected = model.state_dict()["norm.weight"].to(dtype).float()
    assert {each.dtype for each in weights.values()} == {torch.float32}
    assert torch.equal(weights["norm.weight"], expected)


def test_shards_are_one_model(their_folder: Callable[..., Path], model: GPT) -> None:
    path = their_folder()
    in_shards(path)
    assert_is(load(read_folder(path)), model)


def test_a_single_weight_is_what_the_stream_yields(their_folder: Callable[..., Path]) -> None:
    path = their_folder()
    in_shards(path)
    folder = read_folder(path)
    streamed = list(stream(folder))
    names = [name for name, _ in by_ours([link for link, _ in folder.links])]
    assert [name for name, _ in streamed] == names
    read = reader(folder)
    assert all(torch.equal(read(name), tensor) for name, tensor in streamed)
    rows = slice(290, 310)
    assert torch.equal(read("head.weight", rows), read("head.weight")[rows])
    assert not read("head.weight", slice(301, 384)).any()


def test_a_folder_is_checked_before_a_tensor_is_read(
    their_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("growlm.huggingface.reading.load_tensor", fail)
    read_folder(their_folder())


@pytest.mark.parametrize("name", ["nowhere", "theirs"])
def test_what_is_no_such_folder_is_refused(
    their_folder: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    (their_folder() / "config.json").unlink()
    words = rf"a Hugging Face folder, with config\.json in it; got .*{name}\. Try the folder that"
    with pytest.raises(CheckpointError, match=words):
        read_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [("{", StorageError, "to be JSON"), ("[1]", CheckpointError, "to hold a JSON object; got")],
)
def test_a_config_that_is_none_is_refused(
    their_folder: Callable[..., Path], content: str, error: type[Exception], words: str
) -> None:
    path = their_folder()
    (path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(error, match=words):
        read_folder(path)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_a_pickle_is_never_read(their_folder: Callable[..., Path], pickle: str) -> None:
    path = their_folder()
    (path / "model.safetensors").rename(path / pickle)
    words = rf"got {pickle}: a pickle, which may run code\. Try saving the model with safetensors"
    with pytest.raises(CheckpointError, match=words):
        read_folder(path)
    (path / pickle).unlink()
    with pytest.raises(CheckpointError, match=r"its shards, in .*; got neither"):
        read_folder(path)


def test_code_beside_a_model_is_left_alone(their_folder: Callable[..., Path], model: GPT) -> None:
    path = their_folder(auto_map={"AutoModelForCausalLM": "modeling_bad.Bad"})
    (path / "modeling_bad.py").write_text("raise SystemExit('run')", encoding="utf-8")
    folder = read_folder(path)
    assert folder.ignores_code
    assert_is(load(folder), model)


class TestShards:
    def test_a_missing_shard_is_named(self, their_folder: Callable[..., Path]) -> None:
        path = their_folder()
        in_shards(path)
        (path / "model-00002-of-00003.safetensors").unlink()
        words = r"index\.json: expected the shard model-00002-of-00003\.safetensors; got no such f"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)

    def test_a_shard_that_was_cut_short_is_named(self, their_folder: Callable[..., Path]) -> None:
        path = their_folder()
        in_shards(path)
        shard = path / "model-00003-of-00003.safetensors"
        shard.write_bytes(shard.read_bytes()[:-5])
        with pytest.raises(
            CheckpointError, match=r"model-00003-of-00003.safetensors to be a whole"
        ):
            read_folder(path)

    def test_a_tensor_in_another_shard_than_said_is_named(
        self, their_folder: Callable[..., Path]
    ) -> None:
        path = their_folder()
        where = in_shards(path)
        where["model.norm.weight"] = next(
            shard for shard in where.values() if shard != where["model.norm.weight"]
        )
        index = path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": where}), encoding="utf-8")
        words = r"expected 'model\.norm\.weight' in model-.*, as it says; got no such tensor"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)

    @pytest.mark.parametrize("place", ["../theirs/model.safetensors", "/etc/passwd", 3])
    def test_a_shard_outside_the_folder_is_refused(
        self, their_folder: Callable[..., Path], place: Any
    ) -> None:
        path = their_folder()
        where = {**in_shards(path), "model.norm.weight": place}
        index = path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": where}), encoding="utf-8")
        with pytest.raises(CheckpointError, match="names of files in its own folder; got"):
            read_folder(path)

    def test_an_index_without_a_map_is_refused(self, their_folder: Callable[..., Path]) -> None:
        path = their_folder()
        in_shards(path)
        (path / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"index\.json: expected a weight_map; got none"):
            read_folder(path)


class TestTensors:
    def test_a_missing_one_is_named(self, their_folder: Callable[..., Path]) -> None:
        path = their_folder()
        change_tensors(path, model__layers__1__mlp__up_proj__weight=None)
        words = r"every tensor of Llama; got none called 'model\.layers\.1\.mlp\.up_proj\.weight'"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)

    def test_one_too_many_is_named(self, their_folder: Callable[..., Path]) -> None:
        path = their_folder()
        change_tensors(path, model__layers__0__self_attn__q_proj__bias=torch.ones(16))
        words = r"Llama has and no other; got 'model\.layers\.0\.self_attn\.q_proj\.bias' too"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)

    def test_a_buffer_of_older_versions_is_left_aside(
        self, their_folder: Callable[..., Path], model: GPT
    ) -> None:
        path = their_folder()
        change_tensors(path, model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(4))
        assert_is(load(read_folder(path)), model)

    def test_one_of_another_shape_is_named(self, their_folder: Callable[..., Path]) -> None:
        path = their_folder()
        change_tensors(path, model__norm__weight=torch.ones(17))
        words = r"'model\.norm\.weight' of shape \[16\], as the config has it; got \[17\]"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)

    @pytest.mark.parametrize(
        ("dtype", "name"),
        [(torch.int8, "I8"), (torch.float64, "F64"), (torch.float8_e4m3fn, "F8_E4M3")],
    )
    def test_one_of_another_type_is_named(
        self, their_folder: Callable[..., Path], dtype: torch.dtype, name: str
    ) -> None:
        path = their_folder()
        change_tensors(path, model__norm__weight=torch.ones(16).to(dtype))
        words = rf"'model\.norm\.weight' to be one of F32, BF16, F16; got {name}\. Try the model as"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)


class TestTies:
    def test_a_tied_head_that_was_written_too_is_the_embedding(
        self, their_folder: Callable[..., Path]
    ) -> None:
        path = their_folder(tie_word_embeddings=True)
        embedding = load_file(path / "model.safetensors")["model.embed_tokens.weight"]
        change_tensors(path, lm_head__weight=embedding.clone())
        folder = read_folder(path)
        assert folder.config.tied
        assert "head.weight" not in load(folder)

    def test_a_tied_head_of_its_own_is_refused(self, their_folder: Callable[..., Path]) -> None:
        words = (
            r"'lm_head\.weight' to equal 'model\.embed_tokens\.weight', as tie_word_embeddings has "
            r'it; got other values\. Try "tie_word_embeddings": false'
        )
        with pytest.raises(CheckpointError, match=words):
            read_folder(their_folder(tie_word_embeddings=True))

    def test_an_untied_head_that_is_missing_is_refused(
        self, their_folder: Callable[..., Path]
    ) -> None:
        path = their_folder()
        change_tensors(path, lm_head__weight=None)
        words = r"none called 'lm_head\.weight', though tie_word_embeddings is false"
        with pytest.raises(CheckpointError, match=words):
            read_folder(path)
