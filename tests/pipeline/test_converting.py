"""``growlm import`` and ``growlm export``: whole commands, on folders that transformers wrote."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowlmError, RecipeError, StorageError
from growlm.cli.main import main
from growlm.model.gpt import GPT, with_weights
from growlm.pipeline import converting
from growlm.pipeline.averaging import average
from growlm.pipeline.converting import export, import_folder
from growlm.pipeline.growing import Growth, grow

END = "<|endoftext|>"


@pytest.fixture
def imported(folders: Path, tmp_path: Path) -> Path:
    import_folder(folders / "mpt", tmp_path / "imported", end_of_text=None)
    return tmp_path / "imported"


def ours(path: Path) -> GPT:
    config = checkpoint.read_meta(path).gpt_config()
    return with_weights(config, checkpoint.load_weights(path)).eval()


class TestEveryFamily:
    def test_a_folder_goes_in_and_comes_out_as_it_was(
        self,
        *,
        folders: Path,
        tmp_path: Path,
        model_type: str,
        theirs: Callable[[Path], Any],
        check_same_logits: Callable[..., None],
    ) -> None:
        source = folders / model_type
        import_folder(source, tmp_path / "ckpt", end_of_text=None)
        check_same_logits(theirs(source), ours(tmp_path / "ckpt"), relative=1e-5)
        export(tmp_path / "ckpt", tmp_path / "out", family=model_type, context=None)
        before, after = (
            load_file(path / "model.safetensors") for path in (source, tmp_path / "out")
        )
        assert set(before) == set(after)
        assert all(torch.equal(before[name], after[name]) for name in before)
        check_same_logits(theirs(source), theirs(tmp_path / "out"), relative=0.0)
        for name in ("tokenizer.json", "special_tokens_map.json"):
            assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()

    def test_an_imported_model_is_a_checkpoint_of_unknown_data(
        self, folders: Path, tmp_path: Path, model_type: str
    ) -> None:
        found = import_folder(folders / model_type, tmp_path / "ckpt", end_of_text=None)
        meta = checkpoint.read_meta(tmp_path / "ckpt")
        checkpoint.verify(tmp_path / "ckpt", meta)
        (stretch,) = meta.lineage
        assert stretch.origin == f"imported from {found.family}"
        assert (meta.tokens, meta.step, meta.data) == (0, 0, None)
        assert (meta.stage, meta.end_of_text, stretch.layers) == ("ckpt", END, 2)
        assert meta.gpt_config().vocab_size == 300
        assert meta.gpt_config().padded_vocab_size == 384

    def test_an_imported_model_grows_and_leaves_with_what_came_along(
        self,
        *,
        folders: Path,
        tmp_path: Path,
        model_type: str,
        theirs: Callable[[Path], Any],
        check_same_logits: Callable[..., None],
        growth_of: Callable[..., Growth],
    ) -> None:
        import_folder(folders / model_type, tmp_path / "ckpt", end_of_text=None)
        found = grow(growth_of(tmp_path / "ckpt", tmp_path / "child", layers=3), run=None)
        assert [each.max_logit_difference for each in found.measurements] == [0.0] * 6
        export(tmp_path / "child", tmp_path / "out", family=model_type, context=None)
        check_same_logits(theirs(folders / model_type), theirs(tmp_path / "out"), relative=1e-6)
        assert (tmp_path / "out" / "special_tokens_map.json").is_file()


def test_our_own_model_leaves_as_mpt_for_a_longer_context(
    saved: Callable[..., Path],
    tmp_path: Path,
    theirs: Callable[[Path], Any],
    check_same_logits: Callable[..., None],
) -> None:
    path = saved(dropout=0.1, attention_dropout=0.1)
    found = export(path, tmp_path / "out", family=None, context=64)
    assert (found.family, found.context, found.vocab_size) == ("MPT", 64, 270)
    assert found.tokens_compared == 16
    model = theirs(tmp_path / "out")
    assert model.config.max_seq_len == 64
    check_same_logits(model, ours(path), relative=1e-5)
    ids = torch.randint(0, 270, (1, 64), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        difference = (model(ids).logits - ours(path).logits(ids)).abs().max()
    assert difference <= 1e-4


def test_transformers_generates_from_our_model_what_we_would(
    saved: Callable[..., Path], tmp_path: Path, theirs: Callable[[Path], Any]
) -> None:
    path = saved()
    export(path, tmp_path / "out", family=None, context=32)
    start = torch.tensor([[5, 9, 40, 7]])
    generated = theirs(tmp_path / "out").generate(
        start, max_new_tokens=8, do_sample=False, eos_token_id=None
    )
    ids, model = start, ours(path)
    for _ in range(8):
        ids = torch.cat([ids, model.logits(ids)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(generated, ids)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"linear_bias": True}, "qkv_bias=true where it has false, output_bias=true where"),
        ({"norm": "rmsnorm"}, 'norm="rmsnorm" where it has "layernorm"'),
        ({"kv_heads": 1}, "kv_heads=1 where it has 2"),
        ({"mlp": 32}, "mlp=32 where it has 64"),
        ({"tied": False}, "tied=false where it has true"),
    ],
)
def test_a_model_that_no_layout_holds_is_refused_and_nothing_is_written(
    *, saved: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CheckpointError, match=f"a family that holds this model; got .*{reason}"):
        export(saved(**changes), tmp_path / "out", family=None, context=None)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_learned_positions_are_not_stretched(saved: Callable[..., Path], tmp_path: Path) -> None:
    path = saved(positions="learned", linear_bias=True, norm_bias=True)
    with pytest.raises(CheckpointError, match="that many positions were learned; got 32"):
        export(path, tmp_path / "out", family=None, context=32)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("context", [0, -16])
def test_a_context_of_nothing_is_refused(imported: Path, tmp_path: Path, context: int) -> None:
    with pytest.raises(RecipeError, match=rf"one token or more; got {context}\. Try"):
        export(imported, tmp_path / "out", family=None, context=context)


def test_a_folder_that_computes_something_else_never_appears(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = converting.stream

    def other(folder: Any) -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in plain(folder):
            yield name, tensor + (name == "layers.1.mlp.up.weight") * 1e-3

    monkeypatch.setattr(converting, "stream", other)
    words = "read again, to compute what the checkpoint does; got a largest difference of "
    with pytest.raises(CheckpointError, match=words):
        export(imported, tmp_path / "out", family=None, context=None)
    assert [path.name for path in tmp_path.iterdir()] == ["imported"]


def test_weights_that_are_not_finite_do_not_leave(
    saved: Callable[..., Path], tmp_path: Path
) -> None:
    path = saved()
    weights = load_file(path / "model.safetensors")
    weights["norm.weight"][0] = torch.nan
    save_file(weights, path / "model.safetensors")
    meta = checkpoint.read_meta(path)
    files = {**meta.files, "model.safetensors": checkpoint.sha256_file(path / "model.safetensors")}
    changed = meta.model_copy(update={"files": files})
    checkpoint.write_json(
        path / "checkpoint.json",
        {**changed.model_dump(mode="json"), "sha256": checkpoint.identity(changed)},
    )
    with pytest.raises(CheckpointError, match="Try a checkpoint whose weights are finite"):
        export(path, tmp_path / "out", family=None, context=None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_weights_of_other_types_leave_if_fp32_holds_them(
    saved: Callable[..., Path], tmp_path: Path, dtype: torch.dtype
) -> None:
    path = saved(dtype=dtype)
    if dtype == torch.float64:
        with pytest.raises(CheckpointError, match="read again, to compute what the checkpoint"):
            export(path, tmp_path / "out", family=None, context=None)
    else:
        export(path, tmp_path / "out", family=None, context=None)


def test_a_damaged_checkpoint_does_not_leave(imported: Path, tmp_path: Path) -> None:
    content = bytearray((imported / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (imported / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="the file was damaged or changed"):
        export(imported, tmp_path / "out", family=None, context=None)


def test_what_is_there_already_is_kept(imported: Path, folders: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    words = "no file or folder at .*out yet; got one"
    with pytest.raises(StorageError, match=words):
        import_folder(folders / "mpt", tmp_path / "out", end_of_text=None)
    with pytest.raises(StorageError, match=words):
        export(imported, tmp_path / "out", family=None, context=None)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("model.safetensors", "its shards, in .*; got neither"),
        ("tokenizer.json", r"tokenizer\.json in .*; got only special_tokens_map\.json"),
        ("config.json", "a Hugging Face folder"),
    ],
)
def test_a_failed_import_leaves_nothing(
    *, folders: Path, tmp_path: Path, damage: str, words: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in (folders / "gpt2").iterdir():
        if path.name not in {damage, "generation_config.json"}:
            (source / path.name).write_bytes(path.read_bytes())
    with pytest.raises(GrowlmError, match=words):
        import_folder(source, tmp_path / "ckpt", end_of_text=None)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_an_average_keeps_what_came_along(imported: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(imported, tmp_path / "again"))
    average([imported, again], tmp_path / "average")
    export(tmp_path / "average", tmp_path / "out", family=None, context=None)
    assert json.loads((tmp_path / "out" / "special_tokens_map.json").read_bytes()) == {
        "eos_token": END
    }


class TestTheCommands:
    def test_they_say_what_they_did(
        self, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, ckpt, out = (
            str(path) for path in (folders / "mpt", tmp_path / "a", tmp_path / "b")
        )
        assert main(["import", source, ckpt]) == 0
        said = capsys.readouterr().out
        assert re.search(r"/a: MPT, [\d,]+ parameters; texts end with <\|endoftext\|>; carr", said)
        assert "tokenizer.json, special_tokens_map.json" in said
        assert main(["export", ckpt, out, "--context", "32"]) == 0
        said = capsys.readouterr().out
        assert "MPT (MptForCausalLM), 300 tokens of vocabulary, inputs of up to 32 tokens" in said
        assert "the checkpoint's logits on 16 tokens, to the last bit" in said

    def test_they_speak_json_or_nothing(
        self, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, ckpt = str(folders / "llama"), str(tmp_path / "a")
        assert main(["import", source, ckpt, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["family"] == "Llama"
        words = ["export", ckpt, str(tmp_path / "b"), "--family", "mistral"]
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["architecture"] == "MistralForCausalLM"
        assert main(["export", ckpt, str(tmp_path / "c"), "--quiet"]) == 0
        assert capsys.readouterr().out == ""

    def test_a_mistake_is_one_line(
        self, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["import", str(folders / "mpt"), str(tmp_path / "a"), "--end-of-text", "</s>"]
        assert main(words) == 1
        said = capsys.readouterr().err
        assert said.startswith("growlm: ")
        assert "to have the token '</s>'" in said
        assert said.count("\n") == 1

    def test_code_that_was_not_run_is_mentioned(
        self, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = tmp_path / "source"
        source.mkdir()
        for path in (folders / "mpt").iterdir():
            (source / path.name).write_bytes(path.read_bytes())
        values = json.loads((source / "config.json").read_bytes())
        values["auto_map"] = {"AutoModelForCausalLM": "modeling_mpt.MPTForCausalLM"}
        (source / "config.json").write_text(json.dumps(values), encoding="utf-8")
        assert main(["import", str(source), str(tmp_path / "a")]) == 0
        assert "code of its own (auto_map); it was not run" in capsys.readouterr().out


RECIPE = """
name = "onward"
compile = false

[tokenizer]
file = "imported/tokenizer.json"

[[source]]
name = "notes"
files = ["notes"]
weight = 1.0

[validation]
share = 0.2
tokens = 64

[[stage]]
name = "child"
grow = { from = "./imported", layers = 3, depth = "insert", optimizer_state = "drop" }
context = 16
tokens = 128
batch = 32
optimizer = { peak_lr = 1e-3 }
schedule = { kind = "cosine", warmup_steps = 1 }
"""


def test_a_recipe_grows_an_imported_model_and_what_came_along_stays_with_it(
    imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its embedding has more rows than its tokenizer has ids, as Pythia's has.
    assert checkpoint.read_meta(imported).gpt_config().vocab_size == 300
    (tmp_path / "notes").mkdir()
    for number in range(40):
        text = f"{number} gardens, rivers of marble and {number % 7} more. " * 8
        (tmp_path / "notes" / f"{number}.txt").write_text(text, encoding="utf-8")
    recipe = tmp_path / "onward.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    words = ["train", str(recipe), "--stage", "child", "--out", str(tmp_path / "run"), "--quiet"]
    assert main(words) == 0, capsys.readouterr().err
    final = tmp_path / "run" / "stages" / "child" / "training" / "final"
    meta = checkpoint.read_meta(final)
    assert [each.origin for each in meta.lineage] == ["imported from MPT", "grown by insert"]
    assert checkpoint.load_tokenizer_files(final, meta) == checkpoint.load_tokenizer_files(
        imported, checkpoint.read_meta(imported)
    )


def test_a_recipe_with_another_tokenizer_than_the_parents_is_refused(
    imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported.is_dir()
    recipe = tmp_path / "onward.toml"
    other = RECIPE.replace('file = "imported/tokenizer.json"', "vocab_size = 290")
    recipe.write_text(other, encoding="utf-8")
    assert main(["check", str(recipe)]) == 2
    assert "the parent's tokenizer, of 270 tokens, or a file with more behind them; got a" in (
        capsys.readouterr().err
    )
