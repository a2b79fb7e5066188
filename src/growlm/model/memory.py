"""What a step of training holds in memory, by shape: bytes by arithmetic, and none allocated.

It counts tensors, op by op, as the eager model keeps them; a compiled one keeps at most as much.
What an allocator, a driver or a network adds is not counted here.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

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

WIDE = 4
"""Bytes of float32: weights, gradients, the residual stream, what a norm or a softmax keeps."""

INDEX = 8
"""Bytes of a token id, or of a place."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How a device holds what a forward pass leaves behind."""

    working: int
    """Bytes of a number that enters a product of matrices, or attention."""
    mask: int
    """Bytes of an entry of dropout's mask."""
    fused: bool
    """Whether RMSNorm, the loss, and attention that drops out are kernels that keep no matrix of
    their own."""


CPU = Numbers(working=4, mask=4, fused=False)
"""float32 throughout."""

CUDA = Numbers(working=2, mask=1, fused=True)
"""bfloat16 where it computes, float32 where it sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one forward pass is given."""

    sequences: int
    context: int
    document_masking: bool = False
    """Whether each sequence has a mask of its own."""

    @property
    def tokens(self) -> int:
        """Tokens in it."""
        return self.sequences * self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class Activations:
    """What a forward pass leaves for the backward pass, in bytes."""

    layers: int
    """Of all layers together."""
    places: int
    """The attention bias or the rotary angles, which all layers share, and learned places."""
    last_norm: int
    """Of the norm behind the layers."""
    first_layer: int
    """Of the first layer."""
    last_layer: int
    """Of the last layer."""
    one_layer: int
    """Beside what it kept, when the backward pass computes a layer again; 0 if it does not."""

    @property
    def kept(self) -> int:
        """All that is there when the forward pass ends."""
        return self.layers + self.places + self.last_norm


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What the loss in chunks holds, in bytes."""

    gradients: int
    """Of the hidden states and the head: kept from its forward to its backward pass."""
    head_copy: int
    """The head as products read it, while the chunks are gone through."""
    chunk: int
    """The logits of one chunk, their gradient, and its product with the hidden states."""


def activations(
    config: GPTConfig,
    load: Load,
    checkpointing: Checkpointing,
    numbers: Numbers,
    *,
    first: int | None = None,
) -> Activations:
    """Return what a forward pass of all layers keeps.

    Args:
        config: The shape.
        load: What it is given.
        checkpointing: What layers keep.
        numbers: How the device holds it.
        first: How many layers keep only that, the first ones; the others keep everything. All of
            them when absent.
    """
    lean = config.layers if first is None or checkpointing == "none" else first
    checkpointing = checkpointing if lean else "none"
    parts = layer_parts(config, load, numbers)
    whole, first = sum(parts.values()), parts["input"]
    products = _products(config, load, numbers)
    kept = {"none": whole, "selective": first + products, "full": first}[checkpointing]
    both = (
        parts["projections"] + parts["hidden"] + (0 if config.attention_dropout else parts["mixed"])
    )
    unsaved = checkpointing == "none" and _in_matrices(config, numbers)
    again = {"none": 0, "selective": whole - first - both, "full": whole - first}
    return Activations(
        layers=lean * kept + (config.layers - lean) * whole,
        places=_places(config, load, numbers, dropped=unsaved),
        last_norm=load.tokens * config.width * WIDE + _norm(config, load, numbers),
        first_layer=kept,
        last_layer=kept if lean == config.layers else whole,
        one_layer=again[checkpointing],
    )


def layers_within(config: GPTConfig, load: Load, numbers: Numbers, *, budget: float) -> int | None:
    """Return how many layers must be computed again for what all layers keep to fit a budget.

    They are the first ones: the backward pass comes to them last, so that the one it computes again
    finds the room of the layers behind it, which are done. Only where all are computed again does
    that one come on top.

    Args:
        config: The shape.
        load: What one forward pass is given.
        numbers: How the device holds it.
        budget: Bytes; or, up to 1, a share of what all layers keep when they keep everything.

    Returns:
        As said; None if the budget is too small even then.
    """
    wanted = (within(config, load, numbers, first=first) for first in range(config.layers + 1))
    whole = within(config, load, numbers, first=0)
    most = budget * whole if budget <= 1.0 else budget
    return next((first for first, held in enumerate(wanted) if held <= most), None)


def within(config: GPTConfig, load: Load, numbers: Numbers, *, first: int) -> int:
    """Return what all layers keep at most, if so many of the first ones are computed again.

    Args:
        config: The shape.
        load: What one forward pass is given.
        numbers: How the device holds it.
        first: How many.
    """
    held = activations(config, load, "full", numbers, first=first)
    return held.layers + (held.one_layer if first == config.layers else 0)


def layer_parts(config: GPTConfig, load: Load, numbers: Numbers) -> dict[str, int]:
    """Return what a layer without checkpointing keeps, by what it is.

    Args:
        config: The shape.
        load: What it is given.
        numbers: How the device holds it.
    """
    N, D, w = load.tokens, config.width, numbers.working
    A, KV = config.attention_width, config.kv_width
    math = _in_matrices(config, numbers)
    turned = config.positions == "rotary" or config.qk_norm or math
    gated = config.activation == "swiglu"
    return {
        "input": N * D * WIDE,
        "norms": 2 * _norm(config, load, numbers),
        "normed": 2 * N * D * w,
        "projections": N * KV * w + (0 if turned and not config.qk_norm else N * (A + KV) * w),
        "turned": N * (A + KV) * w if turned else 0,
        "head_norms": _head_norms(config, load, numbers),
        "mixed": N * A * w,
        # Attention lays out what it gives as its queries are; the projection may need a copy.
        "copied": N * A * w if turned and not math else 0,
        "scores": (3 * N * load.context * w if math else N * WIDE) * config.heads,
        "between": 0 if config.parallel else N * D * WIDE,
        "hidden": N * config.mlp * w * (2 if gated else 1),
        "activated": N * config.mlp * w * (2 if gated else 1),
        "masks": 2 * N * D * numbers.mask if config.dropout else 0,
    }


def _products(config: GPTConfig, load: Load, numbers: Numbers) -> int:
    """Return what a selective layer keeps: products of weights; attention, if it draws nothing."""
    N, w = load.tokens, numbers.working
    hidden = config.mlp * (2 if config.activation == "swiglu" else 1)
    projections = config.attention_width + 2 * config.kv_width
    attention = N * (config.attention_width * w + config.heads * WIDE)
    kept = 0 if config.attention_dropout else attention
    return N * w * (projections + config.width + hidden + config.width) + kept


def _in_matrices(config: GPTConfig, numbers: Numbers) -> bool:
    """Return whether attention is computed with whole matrices of scores."""
    return bool(config.attention_dropout) and not numbers.fused


def _norm(config: GPTConfig, load: Load, numbers: Numbers) -> int:
    """Return what a norm keeps beside its input."""
    if config.norm == "layernorm":
        return 2 * load.tokens * WIDE
    return _rms_norm(load.tokens, config.width, numbers)


def _rms_norm(vectors: int, width: int, numbers: Numbers) -> int:
    return vectors * WIDE * (1 if numbers.fused else 1 + width)


def _head_norms(config: GPTConfig, load: Load, numbers: Numbers) -> int:
    if not config.qk_norm:
        return 0
    return _rms_norm(load.tokens * (config.heads + config.kv_heads), config.head_width, numbers)


def _places(config: GPTConfig, load: Load, numbers: Numbers, *, dropped: bool) -> int:
    """Return the bias, unless it is dropped, the angles, and the indices of learned places."""
    T, sequences = load.context, load.sequences if load.document_masking else 1
    bias = angles = indices = 0
    if (config.positions == "alibi" or load.document_masking) and not dropped:
        heads = config.heads if config.positions == "alibi" else 1
        bias = sequences * heads * T * T * numbers.working
    if config.positions == "rotary":
        angles = 2 * sequences * T * (config.rotary_width // 2) * WIDE
    if config.positions == "learned":
        indices = T * INDEX + (load.tokens * INDEX if load.document_masking else 0)
    return bias + angles + indices


def loss(config: GPTConfig, tokens: int, *, chunk_tokens: int, numbers: Numbers) -> Loss:
    """Return what the loss holds of so many tokens.

    A chunk is at its widest when the logits' gradient, which lies where the logits lay, meets the
    head's; on a GPU, which adds the latter up in place, when it is made of the logits.

    Args:
        config: The shape.
        tokens: Of the forward pass.
        chunk_tokens: Tokens whose logits exist at once.
        numbers: How the device holds it.
    """
    w, V, D = numbers.working, config.padded_vocab_size, config.width
    logits = min(chunk_tokens, tokens) * V
    return Loss(
        gradients=tokens * D * w + V * D * WIDE,
        head_copy=0 if w == WIDE else V * D * w,
        chunk=2 * logits * w if numbers.fused else logits * w + V * D * w,
    )


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
