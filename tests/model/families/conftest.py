"""What tests of families share: transformers, quiet, and a config of each family."""

from collections.abc import Callable
from typing import Any

import pytest

from growlm.model.config import GPTConfig
from growlm.model.families.family import write_config
from growlm.model.families.table import FAMILIES

OURS: dict[str, dict[str, Any]] = {
    "mpt": {"linear_bias": False, "norm_bias": False, "mlp": 64},
    "gpt2": {"positions": "learned"},
    "gpt_neox": {"positions": "rotary", "head_width": 8, "rotary_share": 0.25, "parallel": True},
    "llama": {},
    "mistral": {},
    "qwen2": {"qkv_bias": True},
    "qwen3": {"qk_norm": True},
}
"""For each family, what differs from the tiny model, or from the tiny Llama."""

LIKE_LLAMA = {
    "positions": "rotary",
    "norm": "rmsnorm",
    "activation": "swiglu",
    "linear_bias": False,
    "norm_bias": False,
    "heads": 4,
    "kv_heads": 2,
    "head_width": 6,
}


@pytest.fixture(scope="session")
def transformers() -> Any:
    """Return Hugging Face's library, told to keep to itself."""
    library: Any = pytest.importorskip("transformers")
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


@pytest.fixture
def held_config(tiny_config: Callable[..., GPTConfig]) -> Callable[..., GPTConfig]:
    """Return a factory: family, changes -> a tiny shape that this family holds."""

    def make(model_type: str, **changes: Any) -> GPTConfig:
        like_llama = {} if model_type in {"mpt", "gpt2", "gpt_neox"} else LIKE_LLAMA
        own = {**like_llama, **OURS[model_type], **changes}
        linear_bias = own.pop("linear_bias", None)
        biases = dict.fromkeys(("qkv_bias", "output_bias", "mlp_bias"), linear_bias)
        return tiny_config(**{**(biases if linear_bias is not None else {}), **own})

    return make


@pytest.fixture
def their_values(held_config: Callable[..., GPTConfig]) -> Callable[..., dict[str, Any]]:
    """Return a factory: family, changes -> a config.json, keys with dots for lower levels."""

    def make(model_type: str, **changes: Any) -> dict[str, Any]:
        config = held_config(model_type)
        values = write_config(FAMILIES[model_type], config, context=config.context)
        for name, value in changes.items():
            *above, last = name.split(".")
            level = values
            for part in above:
                level[part] = dict(level.get(part) or {})
                level = level[part]
            level[last] = value
        return values

    return make
