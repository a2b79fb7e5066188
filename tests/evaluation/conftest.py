"""Models of bytes, and models whose every probability is known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

BYTES = 257
"""All bytes, and the end of text."""


@pytest.fixture
def bigram_model(tiny_config: Callable[..., GPTConfig]) -> Callable[[Tensor], GPT]:
    """Return a factory: logits [V, V] -> a GPT whose logits after token i are row i, exactly.

    Without layers, the hidden state of a token is its one-hot vector times sqrt(V).
    """

    def build(logits_VV: Tensor) -> GPT:
        size = len(logits_VV)
        model = GPT(
            tiny_config(
                layers=0,
                width=size,
                vocab_size=size,
                padded_vocab_size=size,
                positions="none",
                norm="rmsnorm",
                norm_bias=False,
                norm_eps=0.0,
                tied=False,
            )
        )
        with torch.no_grad():
            model.embedding.weight.copy_(torch.eye(size))
            model.head_weight.copy_(logits_VV.T / size**0.5)
        return model

    return build


@pytest.fixture
def uniform_model(bigram_model: Callable[[Tensor], GPT]) -> GPT:
    """Return a model of bytes to which every token is as likely as every other."""
    return bigram_model(torch.zeros(BYTES, BYTES))


@pytest.fixture
def byte_model(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> Callable[..., GPT]:
    """Return a factory: positions -> a random model of bytes."""
    return lambda positions="alibi": tiny_model(
        tiny_config(vocab_size=BYTES, padded_vocab_size=384, positions=positions)
    )
