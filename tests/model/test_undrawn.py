from collections.abc import Callable

import torch
from torch import nn

from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.undrawn import Embedding, Linear


def moved(make: Callable[[], nn.Module]) -> bool:
    before = torch.get_rng_state()
    make()
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    return not torch.equal(before, after)


def test_making_a_model_draws_nothing(tiny_config: Callable[..., GPTConfig]) -> None:
    assert not moved(lambda: GPT(tiny_config(positions="learned", tied=False)))
    assert not moved(lambda: Linear(3, 4))
    assert not moved(lambda: Embedding(3, 4))
    assert moved(lambda: nn.Linear(3, 4))
    assert moved(lambda: nn.Embedding(3, 4))


def test_they_are_torchs_own_in_all_else() -> None:
    linear, embedding = Linear(3, 4), Embedding(3, 4)
    assert isinstance(linear, nn.Linear)
    assert isinstance(embedding, nn.Embedding)
    assert {name: tuple(each.shape) for name, each in linear.named_parameters()} == {
        "weight": (4, 3),
        "bias": (4,),
    }
