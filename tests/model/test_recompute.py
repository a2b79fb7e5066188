"""Activation checkpointing: the same gradients, bit for bit, while less is held."""

import itertools

import pytest
import torch

from growlm.model.loss import cross_entropy_sum
from growlm.model.recompute import MODES

SHAPES = {
    "alibi": {"positions": "alibi"},
    "learned": {"positions": "learned", "norm": "rmsnorm", "tied": False},
    "rotary": {"positions": "rotary", "activation": "swiglu", "kv_heads": 1, "qk_norm": True},
    "parallel": {"positions": "none", "parallel": True},
}
DROPOUTS = {
    "kept": {},
    "dropped": {"dropout": 0.2},
    "attention dropped too": {"dropout": 0.2, "attention_dropout": 0.1},
}


@pytest.fixture
def step(tiny_config, tiny_model, live, drawn):
    """A function: changes, mode -> (loss, gradients by name, peak of what was held)."""

    def run(changes, mode, *, peaks=False, first=None):
        config = tiny_config(**changes)
        model = tiny_model(config).train()
        model.checkpoint_layers(mode, first=first)
        ids = torch.randint(0, 61, (2, 17), generator=torch.Generator().manual_seed(2))
        drawn(5)
        with live(ids, *model.parameters(), *model.buffers(), peaks=peaks) as held:
            hidden = model(ids[:, :-1]).flatten(0, 1)
            loss = cross_entropy_sum(
                hidden, model.head_weight, ids[:, 1:].flatten(), vocab_size=config.vocab_size
            )
            loss.backward()
        gradients = {name: each.grad for name, each in model.named_parameters()}
        return loss.detach(), gradients, held.peak

    return run


@pytest.mark.parametrize(("shape", "dropout"), [*itertools.product(SHAPES, DROPOUTS)])
def test_gradients_are_those_of_a_layer_that_keeps_everything(step, shape, dropout):
    changes = {**SHAPES[shape], **DROPOUTS[dropout]}
    loss, gradients, _ = step(changes, "none")
    for mode in ("selective", "full"):
        found, others, _ = step(changes, mode)
        assert torch.equal(found, loss)
        for name, gradient in gradients.items():
            assert torch.equal(others[name], gradient), (mode, name)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_only_the_first_layers_may_be_computed_again(step, first):
    changes = {**SHAPES["alibi"], **DROPOUTS["attention dropped too"], "layers": 3}
    loss, gradients, _ = step(changes, "none")
    found, others, _ = step(changes, "full", first=first)
    assert torch.equal(found, loss)
    for name, gradient in gradients.items():
        assert torch.equal(others[name], gradient), name


def test_of_the_layers_the_first_ones_are_computed_again(tiny_config, tiny_model):
    model = tiny_model(tiny_config(layers=3))
    model.checkpoint_layers("full", first=2)
    assert [layer.checkpointing for layer in model.layers] == ["full", "full", "none"]


@pytest.mark.parametrize("shape", ["alibi", "rotary"])
def test_the_less_is_kept_the_lower_is_the_peak(step, shape):
    changes = {**SHAPES[shape], "layers": 5}
    peaks = [step(changes, mode, peaks=True)[2] for mode in MODES]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[2] < peaks[1] < peaks[0]


def test_without_gradients_nothing_is_computed_again(tiny_config, tiny_model, monkeypatch):
    model = tiny_model(tiny_config())
    model.checkpoint_layers("full")
    ids = torch.arange(8)[None]
    monkeypatch.setattr("growlm.model.layers.recomputed", None)
    with torch.no_grad():
        plain = model.train()(ids)
    assert torch.equal(model.eval()(ids), plain)


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore")  # the compiler has its own
@pytest.mark.parametrize("mode", ["selective", "full"])
def test_compiled_layers_have_the_same_gradients(tiny_config, tiny_model, mode):
    ids = torch.randint(0, 61, (2, 16), generator=torch.Generator().manual_seed(2))
    found = []
    for each in ("none", mode):
        model = tiny_model(tiny_config()).train()
        model.checkpoint_layers(each)
        for layer in model.layers:
            layer.compile(dynamic=False, fullgraph=True)
        model(ids).square().sum().backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(again, plain, rtol=1e-5, atol=1e-5)
