"""Models on the disk: checkpoints of ours and Hugging Face folders, opened alike."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from safetensors.torch import load_file, save_file

from growlm import checkpoint
from growlm.base.errors import CheckpointError
from growlm.base.files import digest_of
from growlm.corpus.tokenizer import Tokenizer
from growlm.huggingface.reading import load, read_folder
from growlm.model.gpt import with_weights
from growlm.pipeline.converting import import_folder
from growlm.pipeline.models import Model, open_model

END = "<|endoftext|>"


@pytest.fixture
def both(folders: Path, tmp_path: Path) -> tuple[Model, Model]:
    """Return a folder and the checkpoint that was imported from it."""
    import_folder(folders / "mpt", tmp_path / "imported", end_of_text=None)
    return open_model(folders / "mpt"), open_model(tmp_path / "imported")


def test_a_folder_and_the_checkpoint_made_of_it_are_one_model(both: tuple[Model, Model]) -> None:
    theirs, ours = both
    assert theirs.config == ours.config
    weights = checkpoint.load_weights(ours.path)
    for name, weight in weights.items():
        rows = slice(0, weight.shape[0])
        assert torch.equal(theirs.read(name, rows), ours.read(name, rows))
        assert torch.equal(ours.read(name), weight)
    assert theirs.tokens() == ours.tokens()
    assert theirs.tokens().end_of_text == END
    assert set(ours.tokens().files) == {"special_tokens_map.json", "generation_config.json"}


def test_a_model_runs_as_it_lies_there(both: tuple[Model, Model]) -> None:
    ids = torch.arange(16)[None]
    for model in both:
        whole = with_weights(model.config, checkpoint.load_weights(both[1].path)).eval()
        (hidden,) = model.streamed.hidden([ids], torch.float32)
        assert torch.equal(hidden, whole(ids))


def test_a_checkpoint_of_another_type_is_read_in_fp32(saved: Callable[..., Path]) -> None:
    model = open_model(saved(dtype=torch.bfloat16))
    stored = checkpoint.load_weights(model.path)["norm.weight"]
    assert stored.dtype == torch.bfloat16
    assert model.read("norm.weight").dtype == torch.float32
    assert torch.equal(model.read("norm.weight"), stored.float())


def test_a_checkpoint_is_known_by_its_weights_digest_and_proves_it(
    both: tuple[Model, Model],
) -> None:
    _, ours = both
    content = bytearray((ours.path / "model.safetensors").read_bytes())
    assert ours.identity() == hashlib.sha256(content).hexdigest()
    ours.verify()
    content[-1] ^= 1
    (ours.path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="the file was damaged or changed"):
        ours.verify()


def test_a_folder_is_known_by_the_digests_of_its_files_of_weights(
    write_folder: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_folder(tmp_path / "shards", "mpt", shard="20KB")
    model = open_model(path)
    shards = sorted(path.glob("model-*.safetensors"))
    digests = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in shards}
    assert len(digests) > 2
    assert model.identity() == digest_of(digests)
    model.verify()  # it knows no digest that it could be compared with
    shutil.copy(path / "tokenizer.json", path / "notes.json")
    assert open_model(path).identity() == digest_of(digests)


def test_weights_of_bf16_in_a_folder_are_read_in_fp32(
    write_folder: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_folder(tmp_path / "narrow", "llama")
    narrow = {name: each.bfloat16() for name, each in load_file(path / "model.safetensors").items()}
    save_file(narrow, path / "model.safetensors")
    model = open_model(path)
    assert model.read("norm.weight").dtype == torch.float32
    assert torch.equal(load(read_folder(path))["norm.weight"], narrow["model.norm.weight"].float())


def test_each_kind_refuses_to_be_the_other(
    both: tuple[Model, Model], vocabulary: Tokenizer
) -> None:
    theirs, ours = both
    assert ours.known_meta.stage == "imported"
    assert ours.tokens().json == vocabulary.json
    with pytest.raises(CheckpointError, match=r"a checkpoint of ours; got .*mpt\. Try growlm imp"):
        assert theirs.known_meta


@pytest.mark.parametrize("kind", ["nothing", "a file", "a folder of other things"])
def test_what_is_no_model_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    if kind == "a file":
        path.write_text("text", encoding="utf-8")
    if kind == "a folder of other things":
        path.mkdir()
        (path / "model.safetensors").write_bytes(b"")
    words = r"with checkpoint\.json in it, or a Hugging Face one, with config\.json; got .*model\."
    with pytest.raises(CheckpointError, match=words):
        open_model(path)


def test_how_long_an_imported_model_was_trained_is_not_known(
    both: tuple[Model, Model], growlm: Callable[..., CompletedProcess[str]]
) -> None:
    (line,) = [
        line
        for line in growlm("inspect", both[1].path).stdout.splitlines()
        if line.startswith("lineage")
    ]
    assert "imported from MPT" in line
    assert line.endswith(", tokens not known")
