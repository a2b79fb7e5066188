"""Parents that are not whole, targets that do not fit, layouts that nobody knows: one line each."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"
FETCH = "Try fetching the folder again, whole."


@pytest.fixture(scope="module")
def exported(growlm, finished, tmp_path_factory):
    """Return the finished run's base as a Hugging Face folder; for reading only."""
    folder = tmp_path_factory.mktemp("exported") / "mpt"
    done = growlm("export", finished / "run/stages/base/training/final", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """Return that folder, for changing."""
    return shutil.copytree(exported, tmp_path / "mpt")


@pytest.fixture
def refused(refusal, tmp_path):
    """Return a function: a parent, options -> the line that growing it says; nothing is left."""

    def line(parent, *options, **rest):
        before = sorted(tmp_path.iterdir())
        said = refusal("grow", parent, tmp_path / "child", *options, **rest)
        assert sorted(tmp_path.iterdir()) == before
        return said

    return line


def in_shards(folder):
    """Spread a folder's weights over two files."""
    weights = load_file(folder / WEIGHTS)
    names = sorted(weights)
    (folder / WEIGHTS).unlink()
    where = {}
    for number in (1, 2):
        shard = f"model-0000{number}-of-00002.safetensors"
        part = {name: weights[name] for name in names[number - 1 :: 2]}
        save_file(part, folder / shard, metadata={"format": "pt"})
        where |= dict.fromkeys(part, shard)
    index = {"metadata": {}, "weight_map": where}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


def configure(folder, **changes):
    values = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


class TestParentsThatAreNotWhole:
    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
    def test_a_flipped_byte_of_a_checkpoint(self, *, refusal, again, flip, tmp_path, name):
        stages = again / "run/stages"
        parent, child = stages / "base/training/final", stages / "grown/grown"
        flip(parent / name)
        for words in (
            ("grow", parent, tmp_path / "child", "--layers", 2),
            ("certify", parent, child),
            ("certify", child, parent),
            ("shrink", child, tmp_path / "parent"),
        ):
            if words[0] == "shrink":
                flip(child / name)
            line = refusal(*words)
            assert f"/{name} to have SHA-256 " in line
            assert line.endswith(
                "…: the file was damaged or changed. Try another checkpoint of the stage."
            )

    def test_a_flipped_byte_of_a_folder_s_header(self, refused, folder):
        content = bytearray((folder / WEIGHTS).read_bytes())
        content[9] ^= 1
        (folder / WEIGHTS).write_bytes(content)
        line = refused(folder, "--layers", 2)
        assert line.startswith(f"expected {folder / WEIGHTS} to be a whole safetensors file; got ")
        assert line.endswith("Try another copy of it.")

    def test_a_flipped_byte_of_a_folder_s_weights_once_it_has_a_child(
        self, *, growlm, refusal, folder, flip, tmp_path
    ):
        child = tmp_path / "child"
        words = ("grow", folder, child, "--layers", 2, "--depth", "insert", "--unmeasured")
        assert growlm(*words).returncode == 0
        flip(folder / WEIGHTS)
        line = refusal("certify", folder, child)
        assert line.startswith("expected the parent that the certificate names, ")
        assert line.endswith(f"… in {folder}. Try the parent as it was when the child was grown.")

    def test_a_file_that_was_cut_short(self, refused, folder):
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4])
        line = refused(folder, "--layers", 2)
        assert line.startswith(f"expected {folder / WEIGHTS} to be a whole safetensors file; got ")

    def test_a_missing_shard(self, growlm, refused, folder, tmp_path):
        in_shards(folder)
        child = tmp_path / "whole"
        assert growlm("grow", folder, child, "--layers", 2, "--unmeasured").returncode == 0
        shutil.rmtree(child)
        (folder / "model-00002-of-00002.safetensors").unlink()
        assert refused(folder, "--layers", 2) == (
            f"{folder / WEIGHTS}.index.json: expected the shard model-00002-of-00002.safetensors; "
            f"got no such file. {FETCH}"
        )

    def test_a_shard_of_another_model(self, refused, folder):
        in_shards(folder)
        shutil.copy(
            folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors"
        )
        line = refused(folder, "--layers", 2)
        assert "as it says; got no such tensor. " in line
        assert line.endswith(FETCH)

    def test_weights_that_are_a_pickle(self, refused, folder):
        (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
        assert refused(folder, "--layers", 2) == (
            f"expected {WEIGHTS}, or {WEIGHTS}.index.json and its shards, in {folder}; got "
            "pytorch_model.bin: a pickle, which may run code. "
            "Try saving the model with safetensors: save_pretrained does."
        )

    def test_a_folder_without_a_tokenizer_or_an_end_of_text(self, refused, folder):
        (folder / "tokenizer_config.json").write_text("{}")
        configure(folder, eos_token_id=None)
        assert refused(folder, "--layers", 2) == (
            "expected a folder that says which token ends a text; got none in "
            "tokenizer_config.json, special_tokens_map.json or config.json. "
            'Try "eos_token" in tokenizer_config.json, or growlm import --end-of-text TOKEN.'
        )
        (folder / "tokenizer.json").unlink()
        assert refused(folder, "--layers", 2).startswith(f"expected tokenizer.json in {folder}; ")


class TestTargetsThatDoNotFit:
    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (
                ["--heads", 3],
                "expected a child that MPT, its parent's layout, holds; got 16 and 3 where it "
                "wants d_model to be a multiple of n_heads. Try other sizes, or growlm import "
                "first: a checkpoint of ours holds them.",
            ),
            (
                ["--heads", 4],
                "expected a child that MPT, its parent's layout, holds; got head_width=8 where it "
                "has 4. Try other sizes, or growlm import first: a checkpoint of ours holds them.",
            ),
            (
                ["--mlp", 96],
                "expected a child that MPT, its parent's layout, holds; got mlp=96 where it has "
                "64. Try other sizes, or growlm import first: a checkpoint of ours holds them.",
            ),
            (
                ["--kv-heads", 3],
                "expected heads to be a multiple of kv_heads; got heads=2, kv_heads=3. "
                "Try heads=3, or kv_heads=2.",
            ),
            (
                ["--width", 8],
                "expected a child with at least its parent's width; got 16 -> 8. "
                "Try width = 16 or more.",
            ),
            (
                ["--mlp", 32],
                "expected a child with at least its parent's mlp; got 64 -> 32. "
                "Try mlp = 64 or more.",
            ),
            (
                ["--heads", 1],
                "expected a child with at least its parent's heads; got 2 -> 1. "
                "Try heads = 2 or more.",
            ),
            (
                ["--layers", 3, "--depth", "explicit", "--layer-map", "0,1,0"],
                "expected a layer map that uses each of the parent's layers 0 to 0; got layer 1. "
                "Try a map such as 0,0,0.",
            ),
            (
                ["--layers", 3, "--depth", "explicit"],
                "expected 'explicit' with a layer map of 3 entries; got no map. "
                "Try --depth explicit --layer-map 0,0,1,1.",
            ),
            (
                ["--layers", 3, "--widen", "lemmon"],
                "expected a width operator, one of lemon, sparkling, shrink-pad-perturb; got "
                "'lemmon'. Try lemon.",
            ),
            (
                ["--layers", 3, "--copies", "scald"],
                "expected a treatment of copies, one of plain, scaled, noised, random; got "
                "'scald'. Try scaled.",
            ),
        ],
        ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
    )
    def test_sizes_and_operators_of_a_folder_s_child(self, *, refused, exported, options, line):
        assert refused(exported, *options) == line

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            ([], "expected a size of the child; got none. Try --layers 12."),
            (
                ["--layers", 0],
                "expected --layers to be a whole number above 0; got '0'. Try --layers 12.",
            ),
            (
                ["--layers", 3, "--layer-map", "0,x"],
                "expected --layer-map to be whole numbers with commas; got '0,x'. Try 0,0,1,1.",
            ),
            (
                ["--add-token", "<|user|>", "--new-tokens", "meen"],
                "expected --new-tokens to be pieces or mean; got 'meen'. Try mean.",
            ),
        ],
        ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
    )
    def test_words_that_ask_for_nothing_or_nonsense(self, *, refused, exported, options, line):
        assert refused(exported, *options, code=2) == line

    @pytest.mark.parametrize("token", ["", "<|endoftext|>"])
    def test_a_token_that_is_none_or_known(self, refused, exported, token):
        line = refused(exported, "--add-token", token)
        assert line.startswith(
            f"expected new tokens that are not empty, not known yet and named once; got '{token}'"
        )


class TestLayoutsThatNobodyKnows:
    def test_fused_tensors_by_other_names(self, refused, folder):
        weights = {
            name.replace("attn.Wqkv", "attn.qkv_proj"): tensor
            for name, tensor in load_file(folder / WEIGHTS).items()
        }
        save_file(weights, folder / WEIGHTS)
        assert refused(folder, "--layers", 2) == (
            "expected every tensor of MPT; got none called "
            "'transformer.blocks.0.attn.Wqkv.weight', but "
            "'transformer.blocks.0.attn.qkv_proj.weight'. "
            "Try the layout that transformers' save_pretrained writes."
        )

    def test_fused_tensors_of_another_shape(self, refused, folder):
        weights = load_file(folder / WEIGHTS)
        name = "transformer.blocks.0.attn.Wqkv.weight"
        weights[name] = weights[name][:32].clone()
        save_file(weights, folder / WEIGHTS)
        assert refused(folder, "--layers", 2) == (
            f"expected '{name}' of shape [48, 16], as the config has it; got [32, 16]. "
            "Try the config.json that belongs to the weights."
        )

    @pytest.mark.parametrize(
        ("change", "got"),
        [
            ({"model_type": "falcon"}, '"falcon"'),
            ({"model_type": "falcon", "auto_map": {}}, '"falcon": code of its own, which is nev'),
            ({"model_type": "bloom"}, '"bloom": a norm on the embedding'),
            ({"model_type": None}, "null"),
        ],
    )
    def test_a_family_that_is_not_known(self, *, refused, folder, change, got):
        configure(folder, **change)
        line = refused(folder, "--layers", 2)
        known = "gpt2, gpt_neox, llama, mistral, mpt, qwen2, qwen3"
        assert line.startswith(f"config.json: expected model_type to be one of {known}; got {got}")
        assert line.endswith("Try a model of one of these families.")

    def test_a_choice_that_ours_has_no_place_for(self, refused, folder):
        configure(folder, no_bias=False)
        assert refused(folder, "--layers", 2) == (
            "config.json: expected no_bias to be true; got false: biases, for which transformers' "
            "MPT has no place. Try a model without that."
        )
