"""What a forward pass leaves in memory for the backward one, layer by layer, and the loss after it.

It counts tensors, op by op, as the eager model keeps them; a compiled one keeps at most as much.
"""

from dataclasses import dataclass

from growlm.model.config import GPTConfig
from growlm.model.recompute import Checkpointing

WIDE = 4
"""Bytes of float32: weights, gradients, the residual stream, what a norm or a softmax keeps."""

INDEX = 8
"""Bytes of a token id, or of a place."""


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
