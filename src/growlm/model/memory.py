"""What a step of training holds in memory, by shape: bytes by arithmetic, and none allocated.

What the forward pass keeps is counted in ``activations.py``. What an allocator, a driver or a
network adds is not counted.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

from growlm.model.activations import WIDE, Load, Numbers, activations, loss
from growlm.model.config import GPTConfig
from growlm.model.cost import layer_matrix_parameters, layer_vector_parameters, parameters
from growlm.model.gpt import weight_shapes
from growlm.model.recompute import Checkpointing

Moments = Literal["float32", "bfloat16", "8bit"]
"""What the two moments of AdamW are held in."""

Moment = Literal["forward", "loss", "backward", "update"]
"""A part of a step."""

Sharding = Literal["replicated", "zero-1", "zero-3"]
"""Every device holds all; moments and master weights are dealt out; or everything is.

Rajbhandari et al., arXiv:1910.02054, as PyTorch's ``fully_shard`` carries them out: with zero-1,
working copies and gradients stay whole from the first micro-batch to the last.
"""

MOMENT_BYTES = {"float32": 4, "bfloat16": 2, "8bit": 1}
"""Of each moment, a parameter; with 8 bits those of vectors are float32."""

BLOCK = 256
"""Entries of a row that share a float32 scale, where moments have 8 bits."""

UPDATE_ENTRIES = 1 << 22
"""Entries that are moved at once where moments have fewer bits than float32."""

UPDATE_NUMBERS = {"float32": 0, "bfloat16": 6, "8bit": 17}
"""Numbers, of 4 bytes, that are there for each of them meanwhile, beside weights and moments."""

GATHERED_LAYERS = 2
"""Layers that zero-3 holds whole at once: the one that computes, and the one that comes next."""


def tensors(config: GPTConfig) -> int:
    """Return how many parameters, as tensors, a model has."""
    norm = 2 if config.norm_bias else 1
    matrices = 7 if config.activation == "swiglu" else 6
    biases = 3 * config.qkv_bias + config.output_bias + (matrices - 4) * config.mlp_bias
    layer = 2 * norm + matrices + biases + 2 * config.qk_norm
    outside = 1 + norm + (not config.tied) + (config.positions == "learned")
    return config.layers * layer + outside


@lru_cache(maxsize=16)
def moments_bytes(config: GPTConfig, moments: Moments, *, muon: bool = False) -> int:
    """Return the bytes of an optimizer's state.

    Args:
        config: The shape.
        moments: What AdamW's two moments are held in; there is a count of steps for each tensor.
        muon: Whether matrices of layers have a momentum in float32 alone.
    """
    return sum(
        WIDE * prod(shape)
        if muon and name.startswith("layers.") and len(shape) == 2
        else 2 * _moment_bytes(shape, moments) + WIDE
        for name, shape in _shapes(config).items()
    )


def _moment_bytes(shape: tuple[int, ...], moments: Moments) -> int:
    """Return the bytes of one moment of one tensor."""
    if moments != "8bit":
        return MOMENT_BYTES[moments] * prod(shape)
    if len(shape) != 2:
        return WIDE * prod(shape)
    rows, columns = shape
    return rows * (MOMENT_BYTES[moments] * columns + WIDE * -(-columns // BLOCK))


@lru_cache(maxsize=4)
def _shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    return weight_shapes(config)


@lru_cache(maxsize=16)
def _updating(config: GPTConfig, moments: Moments) -> int:
    """Return what a step of the optimizer needs beside all that it moves."""
    largest = max(prod(shape) for shape in _shapes(config).values())
    return WIDE * UPDATE_NUMBERS[moments] * min(UPDATE_ENTRIES, largest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a stage is trained, as far as its memory depends on it."""

    load: Load
    """One micro-batch, on one device."""
    accumulates: bool
    """Whether a step has several micro-batches, so that gradients wait while the next one runs."""
    chunk_tokens: int
    checkpointing: Checkpointing
    checkpointed: int
    """How many layers, the first ones, keep only what that says; the others keep everything."""
    moments: Moments
    muon: bool
    """Whether matrices of layers have a momentum alone, in float32."""
    average: bool
    """Whether a moving average of the weights is kept beside them."""
    sharding: Sharding
    devices: int
    """That share the state: all of them, or of a node where nodes hold the same."""
    numbers: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one device holds, in bytes, by what it is."""

    parameters: int
    gradients: int
    moments: int
    working_copies: int
    """Of the weights, in the numbers that products read; 0 where these are float32."""
    average: int
    """The moving average of the weights, where one is kept."""
    buffers: int
    """What a model has beside its parameters: ALiBi's slopes."""
    places: int
    """The attention bias or the rotary angles."""
    activations: int
    """What the layers and the last norm keep for the backward pass."""
    loss: int
    """Gradients of hidden states and head, the head's copy, and one chunk of logits."""
    backward: int
    """One layer as it is computed again, and the gradients on their way through it."""
    peak: int
    """The most that is there at once, which is less than the sum of the lines."""
    moment: Moment
    """Of the step, when the peak is reached."""


def needs(config: GPTConfig, setup: Setup) -> Needs:
    """Return what one device holds while it trains.

    Args:
        config: The shape.
        setup: How it is trained.
    """
    load, numbers = setup.load, setup.numbers
    lean = 0 if setup.checkpointing == "none" else setup.checkpointed
    held = activations(config, load, setup.checkpointing, numbers, first=lean)
    ends = loss(config, load.tokens, chunk_tokens=setup.chunk_tokens, numbers=numbers)
    weights, gradients, moments = _state(config, setup)
    copies = _copies(config, setup)
    buffers = WIDE * config.heads
    hidden = load.tokens * config.width
    passing = _passing(config, load, numbers)
    average = weights if setup.average else 0
    static = weights + moments + average + buffers + (gradients if setup.accumulates else 0)
    grown = 0 if setup.accumulates else gradients
    layer = grown and WIDE * (layer_matrix_parameters(config) + layer_vector_parameters(config))
    head = min(grown, config.padded_vocab_size * config.width * WIDE)
    others = config.layers - lean
    gathered = _gathered(config, setup)
    kept_copies = gathered + (copies - gathered) * others // config.layers
    chunks = ends.gradients + ends.head_copy + ends.chunk
    moment_of: dict[Moment, int] = {
        "forward": copies + held.kept + hidden * WIDE,
        "loss": kept_copies + held.kept + hidden * numbers.working + chunks,
        "backward": kept_copies
        + max(
            held.kept + 2 * ends.gradients,
            held.kept + head + passing + (0 if others else held.one_layer),
            # At the last of the layers that are computed again, those behind it are done.
            (held.kept - others * held.last_layer + head + others * layer + passing)
            + held.one_layer
            if lean
            else 0,
            held.first_layer + held.places + grown - layer + passing + held.one_layer,
        ),
        "update": grown + _updating(config, setup.moments),
    }
    widest = max(moment_of, key=lambda name: moment_of[name])
    return Needs(
        parameters=weights,
        gradients=gradients,
        moments=moments,
        working_copies=copies,
        average=average,
        buffers=buffers,
        places=held.places,
        activations=held.layers + held.last_norm,
        loss=chunks,
        backward=passing + held.one_layer,
        peak=static + moment_of[widest],
        moment=widest,
    )


def _state(config: GPTConfig, setup: Setup) -> tuple[int, int, int]:
    """Return weights, gradients and moments of one device."""
    weights = WIDE * parameters(config)
    moments = moments_bytes(config, setup.moments, muon=setup.muon)
    if setup.sharding == "replicated":
        return weights, weights, moments
    shard = _share(weights, setup.devices)
    gradients = weights if setup.sharding == "zero-1" else shard
    return shard, gradients, _share(moments, setup.devices)


def _share(whole: int, devices: int) -> int:
    return -(-whole // devices)


def _copies(config: GPTConfig, setup: Setup) -> int:
    """Return the working copies of the weights while a forward pass runs."""
    if setup.sharding != "replicated":
        return _gathered(config, setup)
    working = setup.numbers.working
    return 0 if working == WIDE else working * config.layers * layer_matrix_parameters(config)


def _gathered(config: GPTConfig, setup: Setup) -> int:
    """Return the working copies that stay while nothing computes with them."""
    whole = parameters(config)
    if setup.sharding == "replicated":
        return 0
    if setup.sharding == "zero-1":
        return setup.numbers.working * whole
    layer = layer_matrix_parameters(config) + layer_vector_parameters(config)
    return setup.numbers.working * (
        whole - layer * (config.layers - min(config.layers, GATHERED_LAYERS))
    )


def _passing(config: GPTConfig, load: Load, numbers: Numbers) -> int:
    """Return the gradients on their way through a layer's MLP, and its largest weight's."""
    hidden = config.mlp * numbers.working * (2 if config.activation == "swiglu" else 1)
    largest = config.width * max(config.mlp, config.attention_width) * WIDE
    return load.tokens * (hidden + 2 * config.width * WIDE) + largest
