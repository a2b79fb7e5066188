"""What a forward pass leaves behind, against the tensors that models keep."""

import itertools
from itertools import pairwise

import pytest
import torch

from growlm.model.activations import (
    CPU,
    CUDA,
    Load,
    activations,
    layers_within,
    loss,
    within,
)
from growlm.model.loss import cross_entropy_sum
from growlm.model.recompute import MODES

SHAPES = [
    {
        "positions": positions,
        "norm": norm,
        "dropout": 0.1 if norm == "rmsnorm" else 0.0,
        "activation": "swiglu" if norm == "rmsnorm" else "gelu",
        "tied": norm == "rmsnorm",
    }
    for positions, norm in itertools.product(
        ("alibi", "learned", "rotary", "none"), ("layernorm", "rmsnorm")
    )
]
OTHERS = [
    {"qk_norm": True},
    {"qk_norm": True, "positions": "rotary", "dropout": 0.1},
    {"qk_norm": True, "attention_dropout": 0.1},
    {"attention_dropout": 0.1, "dropout": 0.1},
    {"attention_dropout": 0.1, "positions": "rotary"},
    {"attention_dropout": 0.1, "positions": "none"},
    {"parallel": True, "dropout": 0.1},
    {"positions": "rotary", "rotary_share": 0.5, "parallel": True},
    {"linear_bias": False, "norm_bias": False, "activation": "gelu-tanh"},
    {"head_width": 4},
]


@pytest.fixture
def forward(tiny_config, tiny_model, live, drawn):
    """A function: changes, mode -> config, what a forward pass kept beside its hidden states."""

    def run(changes, mode, *, masked=False, first=None):
        config = tiny_config(**{"mlp": 40, **changes})
        model = tiny_model(config).train()
        model.checkpoint_layers(mode, first=first)
        ids = torch.randint(0, 61, (2, 12), generator=torch.Generator().manual_seed(2))
        documents = (torch.arange(12) >= 5).long().repeat(2, 1) if masked else None
        before = [ids] if documents is None else [ids, documents]
        drawn(5)
        with live(*before, *model.parameters(), *model.buffers(), peaks=False) as held:
            hidden = model(ids, documents)
        return config, held.bytes - hidden.untyped_storage().nbytes()

    return run


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changes", [*SHAPES, *OTHERS], ids=str)
def test_activations_are_those_that_a_forward_pass_keeps(forward, changes, mode):
    config, kept = forward(changes, mode)
    found = activations(config, Load(sequences=2, context=12), mode, CPU)
    assert found.kept == kept


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("changes", [*SHAPES[:3], *OTHERS[1:5]], ids=str)
def test_activations_are_those_of_the_first_layers_computed_again_and_the_others(
    forward, changes, first
):
    load = Load(sequences=2, context=12)
    config, kept = forward({**changes, "layers": 3}, "full", first=first)
    found = activations(config, load, "full", CPU, first=first)
    assert found.kept == kept
    assert within(config, load, CPU, first=first) == found.layers


def test_as_few_layers_as_need_be_are_computed_again(tiny_config):
    config, load = tiny_config(layers=6), Load(sequences=2, context=12)
    held = [within(config, load, CUDA, first=first) for first in range(7)]
    steps = {before - after for before, after in pairwise(held[:-1])}
    assert len(steps) == 1
    # Only with all of them is there none behind the one that is computed again.
    assert held[6] == held[5]
    for first, most in enumerate(held[:6]):
        assert layers_within(config, load, CUDA, budget=float(most)) == first
        assert layers_within(config, load, CUDA, budget=most / held[0]) == first
    assert layers_within(config, load, CUDA, budget=held[6] - 1.0) is None
    assert layers_within(config, load, CUDA, budget=1.0) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("positions", ["alibi", "learned", "rotary", "none"])
def test_a_mask_of_each_sequence_is_counted(forward, positions, mode):
    config, kept = forward({"positions": positions}, mode, masked=True)
    load = Load(sequences=2, context=12, document_masking=True)
    assert activations(config, load, mode, CPU).kept == kept


@pytest.mark.parametrize(("tokens", "width"), [(24, 48), (6, 48), (24, 4)])
def test_the_loss_holds_gradients_and_one_chunk(tiny_config, live, tokens, width):
    """All but vectors of a chunk."""
    config = tiny_config(width=width)
    stream = torch.Generator().manual_seed(1)
    hidden = torch.randn(tokens, width, generator=stream).requires_grad_()
    head = torch.randn(64, width, generator=stream).requires_grad_()
    targets = torch.randint(0, 61, (tokens,), generator=stream)
    with live(hidden, head, targets) as held:
        total = cross_entropy_sum(hidden, head, targets, vocab_size=61, chunk_tokens=8)
        kept = held.bytes - total.nbytes
    found = loss(config, tokens, chunk_tokens=8, numbers=CPU)
    assert found.gradients == kept
    vectors = held.peak - found.gradients - found.chunk
    assert 0 <= vectors <= 32 * min(8, tokens)
