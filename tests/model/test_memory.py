"""What training holds, against the tensors of models that are built and trained a step."""

import itertools
from dataclasses import replace

import pytest
import torch

from growlm.model.activations import CPU, CUDA, Load
from growlm.model.gpt import GPT
from growlm.model.loss import cross_entropy_sum
from growlm.model.memory import UPDATE_NUMBERS, Setup, moments_bytes, needs, tensors
from growlm.model.recompute import MODES
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.muon import muon as make_muon

MODELS = [
    *(
        {"positions": positions, "norm": norm, "tied": norm == "rmsnorm"}
        for positions, norm in itertools.product(
            ("alibi", "learned", "rotary", "none"), ("layernorm", "rmsnorm")
        )
    ),
    {"activation": "swiglu"},
    {"qk_norm": True},
    {"qk_norm": True, "positions": "rotary"},
    {"parallel": True},
    {"positions": "rotary", "rotary_share": 0.5, "parallel": True},
    {"linear_bias": False, "norm_bias": False, "activation": "gelu-tanh"},
    {"head_width": 4},
]

SETTINGS = AdamWSettings(peak_lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


@pytest.mark.parametrize("changes", MODELS, ids=str)
def test_weights_gradients_moments_and_buffers_are_those_of_a_trained_model(stepped, changes):
    model, optimizer, gradients = stepped(changes, "float32")
    found = needs(model.config, PLAIN)
    held = [each for state in optimizer.state.values() for each in state.values()]
    assert found.parameters == sum(each.nbytes for each in model.parameters())
    assert found.gradients == sum(each.nbytes for each in gradients)
    assert found.moments == sum(each.nbytes for each in held)
    assert found.buffers == sum(each.nbytes for each in model.buffers())
    assert tensors(model.config) == len(list(model.parameters()))


@pytest.fixture
def stepped(tiny_config):
    """A function: changes, moments, Muon or not -> model, optimizer, gradients, after a step."""

    def run(changes, moments, *, muon=False):
        model = GPT(tiny_config(**changes))
        settings = replace(SETTINGS, moments=moments)
        optimizer = make_muon(model, settings, momentum=0.9) if muon else adamw(model, settings)
        gradients = [torch.zeros_like(each) for each in model.parameters()]
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        return model, optimizer, gradients

    return run


@pytest.mark.parametrize(
    ("moments", "muon"), [("bfloat16", False), ("8bit", False), ("float32", True)]
)
@pytest.mark.parametrize("changes", [{}, {"width": 264, "head_width": 132, "tied": False}], ids=str)
def test_every_kind_of_moments_is_counted_to_the_byte(stepped, changes, moments, muon):
    model, optimizer, _ = stepped(changes, moments, muon=muon)
    held = [each for state in optimizer.state.values() for each in state.values()]
    found = needs(model.config, replace(PLAIN, moments=moments, muon=muon))
    assert found.moments == sum(each.nbytes for each in held)


@pytest.mark.parametrize("moments", ["bfloat16", "8bit"])
def test_what_an_update_needs_beside_is_about_what_is_counted(tiny_config, live, moments):
    config = tiny_config(layers=1, width=128, mlp=512, head_width=64)
    model = GPT(config)
    optimizer = adamw(model, replace(SETTINGS, moments=moments))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = [each for states in optimizer.state.values() for each in states.values()]
    gradients = [each.grad for each in model.parameters()]
    with live(*model.parameters(), *gradients, *state) as held:
        optimizer.step()
    counted = 4 * UPDATE_NUMBERS[moments] * max(each.numel() for each in model.parameters())
    assert held.peak == pytest.approx(counted, rel=0.2)


PLAIN = Setup(
    load=Load(sequences=2, context=12),
    accumulates=True,
    chunk_tokens=2_048,
    checkpointing="none",
    checkpointed=0,
    moments="float32",
    muon=False,
    average=False,
    sharding="replicated",
    devices=1,
    numbers=CPU,
)


@pytest.mark.parametrize(("mode", "first"), [*((mode, 6) for mode in MODES), ("full", 2)])
@pytest.mark.parametrize("accumulates", [True, False])
def test_the_peak_of_a_step_is_that_of_its_tensors(
    tiny_config, tiny_model, live, *, mode, first, accumulates
):
    config = tiny_config(layers=6, width=64, head_width=32, mlp=256)
    model = tiny_model(config).train()
    model.checkpoint_layers(mode, first=first)
    ids = torch.randint(0, 61, (4, 33), generator=torch.Generator().manual_seed(2))
    with live(ids, *model.parameters(), *model.buffers()) as held:
        for _ in range(2 if accumulates else 1):
            hidden = model(ids[:, :-1]).flatten(0, 1)
            cross_entropy_sum(
                hidden, model.head_weight, ids[:, 1:].flatten(), vocab_size=61
            ).backward()
            del hidden
    load = Load(sequences=4, context=32)
    setup = replace(PLAIN, load=load, accumulates=accumulates, checkpointing=mode)
    found = needs(config, replace(setup, checkpointed=first))
    static = found.parameters + found.moments + found.buffers
    assert found.peak - static == pytest.approx(held.peak, rel=0.1)


def test_shards_are_equal_parts_and_together_the_whole(tiny_config):
    config = tiny_config(layers=8)
    whole, one, three = (
        needs(config, replace(PLAIN, sharding=each, devices=4, numbers=CUDA))
        for each in ("replicated", "zero-1", "zero-3")
    )
    assert one.moments == three.moments == -(-whole.moments // 4)
    assert one.parameters == three.parameters == -(-whole.parameters // 4)
    assert (one.gradients, three.gradients) == (whole.gradients, -(-whole.gradients // 4))
    assert one.working_copies == whole.parameters // 2 > three.working_copies


def test_moments_of_fewer_bits_take_fewer_bytes(tiny_config):
    config = tiny_config(width=256, head_width=128, mlp=1024)
    wide, half, eight = (moments_bytes(config, each) for each in ("float32", "bfloat16", "8bit"))
    counts = 4 * tensors(config)
    assert wide - counts == 2 * (half - counts)
    assert 1.9 < (half - counts) / (eight - counts) < 2.0
