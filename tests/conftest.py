"""What all tests share: tiny models, and which tests this machine can run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.init import initialize

TINY: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "kv_heads": 2,
    "width": 16,
    "head_width": 8,
    "mlp": 32,
    "context": 16,
    "vocab_size": 61,
    "padded_vocab_size": 64,
    "positions": "alibi",
    "norm": "layernorm",
    "activation": "gelu",
    "parallel": False,
    "qk_norm": False,
    "qkv_bias": True,
    "output_bias": True,
    "mlp_bias": True,
    "norm_bias": True,
    "tied": True,
    "norm_eps": 1e-5,
    "rotary_base": 10_000.0,
    "rotary_share": 1.0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}


def pytest_configure() -> None:
    """One thread and fixed algorithms: the same numbers in every run, and no fight for cores."""
    torch.set_num_threads(1)
    torch.set_warn_always(True)  # a warning once a process would fail whichever test came first
    torch.use_deterministic_algorithms(mode=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine or this run cannot do."""
    hooked = bool(config.getoption("--jaxtyping-packages"))
    for item in items:
        if item.get_closest_marker("compiled") and hooked:
            item.add_marker(pytest.mark.skip(reason="torch.compile cannot trace the shape hook"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs CUDA"))


def make_config(*, linear_bias: bool | None = None, **changes: Any) -> GPTConfig:
    if linear_bias is not None:  # as in recipes, one word for all three
        changes |= dict.fromkeys(("qkv_bias", "output_bias", "mlp_bias"), linear_bias)
    return GPTConfig(**{**TINY, **changes})


def make_model(config: GPTConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> GPT:
    model = GPT(config).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    initialize(model, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            # Nothing may hide behind a zero bias, a gain of one, or weights too small to matter.
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(dtype))
    return model


@pytest.fixture
def tiny_config() -> Callable[..., GPTConfig]:
    """Return a factory: a tiny GPTConfig with the named fields changed."""
    return make_config


@pytest.fixture
def tiny_model() -> Callable[..., GPT]:
    """Return a factory: config, seed, dtype -> a GPT whose every parameter matters."""
    return make_model
