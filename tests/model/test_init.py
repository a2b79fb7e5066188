"""The first weights: their sizes, and where they come from."""

import math
from collections.abc import Callable

import pytest
import torch

from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.init import initialize


def drawn(config: GPTConfig, seed: int) -> GPT:
    model = GPT(config)
    initialize(model, torch.Generator().manual_seed(seed))
    return model


def test_every_matrix_has_its_standard_deviation(tiny_config: Callable[..., GPTConfig]) -> None:
    config = tiny_config(
        layers=3, width=128, mlp=256, head_width=64, positions="learned", tied=False
    )
    for name, parameter in drawn(config, 0).named_parameters():
        if parameter.dim() < 2:
            continue
        is_output = "attention.output" in name or "mlp.down" in name
        expected = 0.02 / math.sqrt(2 * 3) if is_output else 0.02
        # The estimate's own standard deviation is a share 1 / sqrt(2 n) of it; allow four.
        allowed = 4 / math.sqrt(2 * parameter.numel())
        assert parameter.std().item() == pytest.approx(expected, rel=allowed), name
        assert abs(parameter.mean().item()) < 4 * expected / math.sqrt(parameter.numel()), name


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_gains_are_one_and_biases_and_offsets_zero(
    tiny_config: Callable[..., GPTConfig], norm: str
) -> None:
    model = GPT(tiny_config(norm=norm))
    for parameter in model.parameters():
        parameter.data.fill_(7.0)
    initialize(model, torch.Generator().manual_seed(0))
    vectors = {name: each for name, each in model.named_parameters() if each.dim() < 2}
    assert len(vectors) == 2 * 10 + 2
    for name, vector in vectors.items():
        assert set(vector.tolist()) == {1.0 if "norm.weight" in name else 0.0}, name


def test_the_same_seed_draws_the_same_weights_and_another_does_not(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    first, second, other = (drawn(tiny_config(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_the_global_generator_is_neither_read_nor_moved(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    model = GPT(tiny_config())
    before = torch.get_rng_state()
    initialize(model, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)
