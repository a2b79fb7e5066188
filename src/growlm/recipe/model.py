"""The model section: the shape of a model trained from scratch."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from growlm.recipe.values import Section, Share


class Model(Section, frozen=True):
    """The shape of a model trained from scratch."""

    layers: PositiveInt
    """Transformer blocks."""

    heads: PositiveInt
    """Query heads."""

    kv_heads: PositiveInt | None = None
    """Key/value heads; as many as heads when absent."""

    width: PositiveInt
    """Residual width."""

    head_width: PositiveInt | None = None
    """Width of one head; width / heads when absent."""

    mlp: PositiveInt | None = None
    """Hidden units of the MLP; 4 x width when absent."""

    positions: Literal["alibi", "learned", "rotary", "none"] = "alibi"
    """How a token knows its place."""

    rotary_base: PositiveFloat = 10_000.0
    """Rotary positions: the slowest pair turns about once in 2 pi times this many tokens."""

    rotary_share: Share = 1.0
    """Rotary positions: the share of each head's width that is turned."""

    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    """The normalisation before each sub-layer."""

    qk_norm: bool = False
    """An RMSNorm over each head's queries and keys, with gains that all heads share."""

    parallel: bool = False
    """Attention and MLP both read a layer's input, rather than one after the other."""

    activation: Literal["gelu", "gelu-tanh", "swiglu"] = "gelu"
    """The MLP's non-linearity: the exact GELU, its approximation by tanh, or gated SiLU."""

    linear_bias: bool = False
    """Biases in the linear layers, of attention and MLP alike."""

    norm_bias: bool = False
    """Offsets in the norms."""

    tied: bool = True
    """The head is the embedding."""

    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Residual dropout in training."""

    attention_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout of attention weights in training."""
