"""Shapes that benchmarks are run on: what most have in common, written once."""

from typing import Any

from growlm.model.config import GPTConfig

COMMON: dict[str, Any] = {
    "positions": "alibi",
    "norm": "layernorm",
    "activation": "gelu",
    "parallel": False,
    "qk_norm": False,
    "qkv_bias": False,
    "output_bias": False,
    "mlp_bias": False,
    "norm_bias": False,
    "tied": True,
    "norm_eps": 1e-5,
    "rotary_base": 10_000.0,
    "rotary_share": 1.0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}


def shape(**sizes: Any) -> GPTConfig:
    """Return a shape: the sizes, and what differs from ``COMMON``."""
    return GPTConfig(**{**COMMON, **sizes})
