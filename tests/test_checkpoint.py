"""Checkpoints: they come back bit for bit, or are refused by name, and are whole or absent."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowlmError, StorageError
from growlm.checkpoint import Ancestor, Contents, DataPosition, Meta
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

FILES = [
    "checkpoint.json",
    "model.safetensors",
    "optimizer.safetensors",
    "random.safetensors",
    "tokenizer.json",
]

SAVE = """
import os, resource, sys
from pathlib import Path
import torch
from growlm import checkpoint
from growlm.base.errors import GrowlmError
from growlm.checkpoint import Contents
from growlm.model.config import GPTConfig

path, what = Path(sys.argv[1]), sys.argv[2]
if what == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
if what == "kill":
    checkpoint.write_json = lambda *_: os._exit(9)
config = GPTConfig(**{config!r})
contents = Contents(
    config=config, stage="base", step=1, lineage=(), data=None, training={{}}, end_of_text="<>",
    tokenizer="{{}}", certificate=None, weights={{"a": torch.ones(50_000)}}, optimizer={{}},
    random={{}},
)
try:
    checkpoint.save(path, contents)
except GrowlmError as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""


def some_contents(model: GPT, **changes: Any) -> Contents:
    generator = torch.Generator().manual_seed(3)
    random = torch.empty(16, dtype=torch.uint8).random_(generator=generator)
    values: dict[str, Any] = {
        "config": model.config,
        "stage": "grown",
        "step": 40,
        "lineage": (
            ancestor("base", "scratch", "ab" * 32),
            ancestor("grown", "grown by insert", ""),
        ),
        "data": DataPosition(
            cursor=7, sampler={"seed": 1, "stages": [[0, 64]]}, sources={"a": "b"}
        ),
        "training": {"peak_lr": 0.1 + 0.2, "left": float("inf"), "decayed": True},
        "end_of_text": "<|endoftext|>",
        "tokenizer": '{"model": "caf\u00e9"}',
        "certificate": {"operator": "insert", "sources": [0, 0, 1]},
        "weights": model.state_dict(),
        "optimizer": {
            "step.norm.weight": torch.tensor(40.0),
            "exp_avg.norm.weight": torch.randn(16, generator=generator),
        },
        "random": {"cpu": random},
    }
    return Contents(**{**values, **changes})


def test_files_beside_the_tokenizer_come_back_and_are_watched_over(
    tmp_path: Path, model: GPT
) -> None:
    files = {"tokenizer_config.json": b'{"eos_token":  "<>"}', "merges.txt": b"a b\r\n\xff"}
    path = tmp_path / "final"
    meta = checkpoint.save(path, some_contents(model, tokenizer_files=files))
    assert checkpoint.load_tokenizer_files(path, meta) == files
    (path / "merges.txt").write_bytes(b"a b")
    with pytest.raises(CheckpointError, match=r"merges\.txt to have SHA-256"):
        checkpoint.verify(path, meta)


def test_a_moving_average_comes_back_is_watched_over_and_is_no_file_of_the_tokenizer(
    tmp_path: Path, model: GPT, saved: Path
) -> None:
    average = {name: tensor / 3 for name, tensor in model.state_dict().items()}
    path = tmp_path / "averaged"
    meta = checkpoint.save(path, some_contents(model, ema=average))
    assert equal(checkpoint.load_ema(path), average)
    assert checkpoint.load_tokenizer_files(path, meta) == {}
    assert checkpoint.load_ema(saved) == {}
    (path / checkpoint.EMA).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"ema\.safetensors to have SHA-256"):
        checkpoint.verify(path, meta)


def test_a_checkpoint_without_files_beside_its_tokenizer_has_none(saved: Path) -> None:
    assert checkpoint.load_tokenizer_files(saved, checkpoint.read_meta(saved)) == {}


def ancestor(stage: str, origin: str, weights_sha256: str) -> Ancestor:
    return Ancestor(
        stage=stage,
        origin=origin,
        layers=2,
        tokens=1_000,
        flops=1.5e12,
        weights_sha256=weights_sha256,
    )


@pytest.fixture
def model(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config(layers=1))


@pytest.fixture
def saved(tmp_path: Path, model: GPT) -> Path:
    checkpoint.save(tmp_path / "final", some_contents(model))
    return tmp_path / "final"


def equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return set(ours) == set(theirs) and all(
        ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name])
        for name in ours
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_everything_comes_back_bit_for_bit(
    tmp_path: Path,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    dtype: torch.dtype,
) -> None:
    contents = some_contents(tiny_model(tiny_config(), dtype=dtype))
    written = checkpoint.save(tmp_path / "final", contents)
    meta = checkpoint.read_meta(tmp_path / "final")
    checkpoint.verify(tmp_path / "final", meta)
    assert meta == written
    assert meta.gpt_config() == contents.config
    assert (meta.stage, meta.step, meta.end_of_text) == ("grown", 40, "<|endoftext|>")
    assert (meta.lineage, meta.data) == (contents.lineage, contents.data)
    assert (meta.training, meta.certificate) == (contents.training, contents.certificate)
    assert meta.tokens == 2_000
    assert equal(checkpoint.load_weights(tmp_path / "final"), dict(contents.weights or {}))
    assert equal(checkpoint.load_optimizer(tmp_path / "final"), dict(contents.optimizer))
    assert equal(checkpoint.load_random(tmp_path / "final"), dict(contents.random))
    assert checkpoint.load_tokenizer(tmp_path / "final") == contents.tokenizer
    assert sorted(path.name for path in (tmp_path / "final").iterdir()) == FILES


def test_the_weights_go_back_into_a_model_and_give_its_logits(saved: Path, model: GPT) -> None:
    again = GPT(checkpoint.read_meta(saved).gpt_config())
    again.load_state_dict(checkpoint.load_weights(saved))
    ids = torch.arange(16)[None]
    assert torch.equal(again.logits(ids), model.logits(ids))


def test_a_checkpoint_without_optimizer_and_random_states_has_none(
    tmp_path: Path, model: GPT
) -> None:
    checkpoint.save(tmp_path / "final", some_contents(model, optimizer={}, random={}))
    assert checkpoint.load_optimizer(tmp_path / "final") == {}
    assert checkpoint.load_random(tmp_path / "final") == {}
    assert set(checkpoint.read_meta(tmp_path / "final").files) == {FILES[1], FILES[4]}


def test_what_was_loaded_is_not_tied_to_the_file(saved: Path) -> None:
    loaded = checkpoint.load_weights(saved)
    for tensor in loaded.values():
        tensor.fill_(7.0)
    checkpoint.verify(saved, checkpoint.read_meta(saved))


def test_the_identity_sees_weights_and_facts(
    tmp_path: Path, model: GPT, tiny_model: Callable[..., GPT]
) -> None:
    contents = some_contents(model)
    metas = [
        checkpoint.save(tmp_path / name, each)
        for name, each in [
            ("one", contents),
            ("two", contents),
            ("three", some_contents(model, step=41)),
            ("four", some_contents(tiny_model(model.config, seed=1))),
        ]
    ]
    identities = [checkpoint.identity(meta) for meta in metas]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3
    assert metas[0].weights_sha256 == metas[2].weights_sha256 != metas[3].weights_sha256


def checked(path: Path) -> Meta:
    meta = checkpoint.read_meta(path)
    checkpoint.verify(path, meta)
    return meta


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file_is_caught_and_the_file_named(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    for place in (0, len(content) // 3, len(content) // 2, len(content) - 1):
        content[place] ^= 1
        (saved / name).write_bytes(content)
        with pytest.raises(GrowlmError, match=name.replace(".", r"\.")):
            checked(saved)
        content[place] ^= 1
    (saved / name).write_bytes(content)
    checked(saved)


def test_no_byte_of_the_description_can_change_unseen(saved: Path) -> None:
    content = bytearray((saved / "checkpoint.json").read_bytes())
    seen = 0
    for place in range(len(content)):
        content[place] ^= 4
        (saved / "checkpoint.json").write_bytes(content)
        try:
            checkpoint.read_meta(saved)
        except GrowlmError:
            seen += 1
        content[place] ^= 4
    assert seen == len(content) > 1_000


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    words = rf"{name} in .*final; got no such file\. Try another checkpoint of the stage"
    with pytest.raises(CheckpointError, match=words):
        checked(saved)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    words = r"a checkpoint's folder, with checkpoint\.json in it; got .*nowhere"
    with pytest.raises(CheckpointError, match=words):
        checkpoint.read_meta(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"format": 1}', r"checkpoint format 3; got format 1\. Try the growlm that wrote it"),
        ("{}", "checkpoint format 3; got no format"),
        ("[1]", "checkpoint format 3; got no format"),
        ('{"format": 3}', r"checkpoint\.json to be whole; got 'config': Field required"),
        (
            "{",
            r"checkpoint\.json to be as it was written; got 'Expecting property .* changed\. Try",
        ),
    ],
)
def test_a_description_of_another_kind_is_refused(saved: Path, content: str, words: str) -> None:
    (saved / "checkpoint.json").write_text(content, encoding="utf-8")
    with pytest.raises(GrowlmError, match=words):
        checkpoint.read_meta(saved)


def test_a_description_that_was_edited_is_refused(saved: Path) -> None:
    values = json.loads((saved / "checkpoint.json").read_text(encoding="utf-8"))
    values["step"] += 1
    (saved / "checkpoint.json").write_text(json.dumps(values), encoding="utf-8")
    words = r"checkpoint\.json to be as it was written; got other values under its digest"
    with pytest.raises(CheckpointError, match=words):
        checkpoint.read_meta(saved)


def test_a_config_of_another_version_is_refused(saved: Path) -> None:
    meta = checkpoint.read_meta(saved)
    config = {name: value for name, value in meta.config.items() if name != "tied"}
    other = Meta.model_validate({**meta.model_dump(), "config": {**config, "experts": 8}})
    with pytest.raises(CheckpointError, match="got experts, tied too much or missing"):
        other.gpt_config()


def test_weights_that_are_no_safetensors_are_refused(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(CheckpointError, match=r"model\.safetensors to be a whole safetensors file"):
        checkpoint.load_weights(saved)


def test_weights_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a file that is there; got .*model\.safetensors"):
        checkpoint.load_weights(tmp_path)


def test_an_existing_folder_is_refused_and_kept(saved: Path, model: GPT) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(StorageError, match=r"no file or folder at .*final yet; got one"):
        checkpoint.save(saved, some_contents(model, step=99))
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


@pytest.mark.parametrize("function", ["save_tensors", "sha256_file", "write_json"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("mine")], ids=["stop", "bug"])
def test_a_failure_anywhere_in_the_middle_leaves_nothing(
    *,
    tmp_path: Path,
    model: GPT,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    error: BaseException,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(checkpoint, function, fail)
    with pytest.raises(type(error)):
        checkpoint.save(tmp_path / "final", some_contents(model))
    assert list(tmp_path.iterdir()) == []


def save_elsewhere(path: Path, what: str, config: GPTConfig) -> subprocess.CompletedProcess[str]:
    code = SAVE.format(config=config.as_dict())
    return subprocess.run(
        [sys.executable, "-c", code, str(path), what], check=False, capture_output=True, text=True
    )


def test_a_kill_in_the_middle_leaves_no_checkpoint_and_the_next_save_is_clean(
    tmp_path: Path, model: GPT
) -> None:
    assert save_elsewhere(tmp_path / "final", "kill", model.config).returncode == 9
    assert not (tmp_path / "final").exists()
    checkpoint.save(tmp_path / "final", some_contents(model))
    checked(tmp_path / "final")
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_a_file_size_limit_is_one_clear_line_and_leaves_nothing(tmp_path: Path, model: GPT) -> None:
    done = save_elsewhere(tmp_path / "final", "limit", model.config)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith(
        "StorageError: expected a disk quota with room left; got 'File too large' at "
    )
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(small_disk: Path, model: GPT) -> None:
    weights = {"a": torch.ones(50_000)}
    with pytest.raises(StorageError) as caught:
        checkpoint.save(small_disk / "final", some_contents(model, weights=weights))
    assert caught.value.expected == "a disk with room left"
    assert caught.value.got.startswith("'No space left on device' at ")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_at_the_last_file_leaves_nothing(small_disk: Path, model: GPT) -> None:
    contents = some_contents(model, tokenizer="x" * 100_000, weights={"a": torch.ones(10)})
    with pytest.raises(StorageError, match="a disk with room left"):
        checkpoint.save(small_disk / "final", contents)
    assert list(small_disk.iterdir()) == []


def test_no_module_can_read_a_pickle() -> None:
    # Reading one runs whatever code it holds.
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    sources = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
    assert len(sources) > 30
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not banned & {alias.name.split(".")[0] for alias in node.names}, source
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in banned, source
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                called = f"{node.value.id}.{node.attr}"
                assert called not in ("torch.load", "torch.save"), source
            elif isinstance(node, ast.keyword):
                assert node.arg not in ("allow_pickle", "weights_only"), source
