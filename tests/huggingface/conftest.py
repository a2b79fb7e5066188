"""What tests of folders share: a folder of each family, written by hand or by transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from growlm.corpus import tokenizer
from growlm.model.config import GPTConfig
from growlm.model.families.family import write_config
from growlm.model.families.links import to_theirs
from growlm.model.families.table import FAMILIES
from growlm.model.gpt import GPT

END = "<|endoftext|>"
TEXTS = ("the river of the mountain", "a garden under the thunder", "of copper and marble")


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    """Return a tokenizer of 270 ids or so, whose texts end with ``<|endoftext|>``."""
    return tokenizer.train(TEXTS, vocab_size=280, end_of_text=END).json


@pytest.fixture
def llama(tiny_config: Callable[..., GPTConfig]) -> GPTConfig:
    """Return the shape of a tiny untied Llama with a row for every id of the tokenizer."""
    return tiny_config(
        positions="rotary",
        norm="rmsnorm",
        activation="swiglu",
        linear_bias=False,
        norm_bias=False,
        tied=False,
        vocab_size=300,
        padded_vocab_size=384,
    )


@pytest.fixture
def model(llama: GPTConfig, tiny_model: Callable[..., GPT]) -> GPT:
    """Return a tiny Llama of ours."""
    return tiny_model(llama).eval()


@pytest.fixture
def their_folder(tmp_path: Path, model: GPT, tokenizer_json: str) -> Callable[..., Path]:
    """Return a factory: changes of config.json, tensors' type -> the folder of that Llama."""

    def make(*, dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
        folder = tmp_path / "theirs"
        folder.mkdir()
        family = FAMILIES["llama"]
        theirs = to_theirs(family, model.config, model.state_dict())
        narrow = {name: each.to(dtype) for name, each in theirs.items()}
        save_file(narrow, folder / "model.safetensors", metadata={"format": "pt"})
        values = {**write_config(family, model.config, context=16), **changes}
        (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
        (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"eos_token": END, "bos_token": None}), encoding="utf-8"
        )
        return folder

    return make
