"""What tests of the steps share: what a run did, folders by transformers, parents, growths."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch

from growlm import checkpoint
from growlm.base.files import sha256_file
from growlm.corpus import tokenizer
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.pipeline.growing import Growth, Operators, Target
from growlm.report.page import FILES
from growlm.report.view import RunView

END = "<|endoftext|>"
MLP = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 16},
    "gpt_neox": {**MLP, "num_attention_heads": 2},
    "llama": {**MLP, "num_key_value_heads": 2},
    "mistral": {**MLP, "num_key_value_heads": 2, "sliding_window": None},
    "qwen2": {**MLP, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {**MLP, "num_key_value_heads": 2, "head_dim": 8},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 16},
}
OPERATORS: dict[str, Any] = {
    "depth": "insert",
    "layer_map": None,
    "widen": "lemon",
    "units": "uneven",
    "copies": "plain",
}
GROWTH: dict[str, Any] = {
    "optimizer_state": "drop",
    "seed": 0,
    "context": None,
    "tokenizer": None,
    "new_tokens": (),
    "measured": True,
}


@pytest.fixture(scope="module", autouse=True)
def _few_canaries(few_canaries: None) -> None:
    """Search as quickly as a scan that still looks for what it planted."""


@pytest.fixture
def light_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the log empty, which takes seconds to draw."""

    def write(_view: RunView, folder: Path) -> None:
        for name in FILES:
            (folder / name).write_text("drawn\n", encoding="utf-8")

    monkeypatch.setattr("growlm.pipeline.run.write", write)


@pytest.fixture(scope="session")
def steps() -> Callable[..., list[str]]:
    """Return a function: what a command with ``--json`` printed, a kind -> steps it happened to."""

    def named(done: CompletedProcess[str], kind: str) -> list[str]:
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [event["step"] for event in events if event["event"] == kind]

    return named


@pytest.fixture(scope="session")
def outcome() -> Callable[[Path], dict[str, str]]:
    """Return a function: a run's folder -> SHA-256 of all that a seed decides."""

    def hashes(run: Path) -> dict[str, str]:
        kinds = ("*.safetensors", "checkpoint.json", "evaluation.json", "tokenizer.json", "*.bin")
        files = [path for kind in kinds for path in run.rglob(kind)]
        kept = [path for path in files if "superseded" not in path.parts]
        return {str(path.relative_to(run)): sha256_file(path) for path in sorted(kept)}

    return hashes


@pytest.fixture(scope="session")
def vocabulary() -> tokenizer.Tokenizer:
    """Return a tokenizer of 270 ids, whose texts end with ``<|endoftext|>``."""
    return tokenizer.train(["the river of marble", "a garden"], vocab_size=270, end_of_text=END)


@pytest.fixture(params=MODELS)
def model_type(request: pytest.FixtureRequest) -> str:
    """Return each family in turn, as ``config.json`` calls it."""
    return request.param


@pytest.fixture(scope="session")
def write_folder(vocabulary: tokenizer.Tokenizer) -> Callable[..., Path]:
    """Return a function: a path, a family, changes of its sizes -> a folder by transformers.

    ``shard`` is how large a file of tensors may be.
    """
    transformers: Any = pytest.importorskip("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    def write(path: Path, model_type: str, *, shard: str = "1GB", **changes: Any) -> Path:
        sizes = {"vocab_size": 300, "bos_token_id": None, "eos_token_id": 0, **MODELS[model_type]}
        config = transformers.AutoConfig.for_model(model_type, **{**sizes, **changes})
        model = transformers.AutoModelForCausalLM.from_config(config)
        stream = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=stream)
            parameter.data = 0.1 * noise + (1.0 if parameter.dim() == 1 else 0.0)
        model.save_pretrained(path, max_shard_size=shard)
        (path / "tokenizer.json").write_text(vocabulary.json, encoding="utf-8")
        (path / "special_tokens_map.json").write_text(
            json.dumps({"eos_token": END}), encoding="utf-8"
        )
        return path

    return write


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, write_folder: Callable[..., Path]) -> Path:
    """Return a folder with a model of each family, as transformers writes it; for reading only."""
    root = tmp_path_factory.mktemp("theirs")
    for model_type in MODELS:
        write_folder(root / model_type, model_type)
    return root


@pytest.fixture(scope="session")
def theirs() -> Callable[[Path], Any]:
    """Return a function: a folder -> its model, as transformers loads it without a complaint."""
    transformers: Any = pytest.importorskip("transformers")

    @functools.cache  # a path is written once
    def load(path: Path) -> Any:
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            path, output_loading_info=True
        )
        assert not any(loading.values()), loading
        return model.eval()

    return load


@pytest.fixture(scope="session")
def check_same_logits() -> Callable[..., None]:
    """Return a check of two models, ours or theirs: equal logits, to a share of the largest."""

    def check(left: Any, right: Any, *, relative: float) -> None:
        ids = torch.randint(0, 270, (2, 16), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            one, other = (
                each.logits(ids) if isinstance(each, GPT) else each(ids).logits
                for each in (left, right)
            )
        assert one.shape == other.shape
        assert (one - other).abs().max() <= relative * one.abs().max()

    return check


@pytest.fixture
def saved(
    tmp_path: Path,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    vocabulary: tokenizer.Tokenizer,
) -> Callable[..., Path]:
    """Return a factory: changes of the tiny shape -> a checkpoint of ours.

    ``moments`` gives it an optimizer's state, and ``dtype`` its weights another type.
    """

    def save(
        name: str = "saved",
        *,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        moments: bool = False,
        **changes: Any,
    ) -> Path:
        own = {"linear_bias": False, "norm_bias": False, "mlp": 64}
        rows = {"vocab_size": 270, "padded_vocab_size": 384}
        config = tiny_config(**{**own, **rows, **changes})
        weights = tiny_model(config, seed=seed, dtype=dtype).state_dict()
        stretch = checkpoint.Ancestor(
            stage="base", origin="scratch", layers=2, tokens=8, flops=1.0, weights_sha256=""
        )
        contents = checkpoint.Contents(
            config=config,
            stage="base",
            step=4,
            lineage=(stretch,),
            data=None,
            training={},
            end_of_text=END,
            tokenizer=vocabulary.json,
            certificate=None,
            weights=weights,
            optimizer=moments_of(weights) if moments else {},
            random={},
        )
        checkpoint.save(tmp_path / name, contents)
        return tmp_path / name

    return save


def moments_of(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        state |= {f"step.{name}": torch.tensor(4.0), f"exp_avg.{name}": 0.5 * weight}
        state[f"exp_avg_sq.{name}"] = weight**2
    return state


@pytest.fixture(scope="session")
def growth_of() -> Callable[..., Growth]:
    """Return a factory: parent, child, sizes, operators and the rest by name -> a growth."""

    def make(parent: Path, child: Path, **changes: Any) -> Growth:
        operators = {name: changes.pop(name, value) for name, value in OPERATORS.items()}
        others = {name: changes.pop(name, value) for name, value in GROWTH.items()}
        return Growth(
            parent=parent,
            child=child,
            stage=child.name,
            target=Target(**changes),
            operators=Operators(**operators),
            **others,
        )

    return make
