"""The shape of a model, and the one legend of axis letters.

Axis letters, the same everywhere::

    B  sequences in a batch      T  tokens in a sequence      D  residual width
    H  query heads               G  key/value heads           K  width of one head
    F  hidden units of the MLP   V  rows of the embedding     N  tokens, B and T flattened
    P  rotary pairs, half of the width that is turned
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from growlm.base.errors import RecipeError

Positions = Literal["alibi", "learned", "rotary", "none"]
Norm = Literal["layernorm", "rmsnorm"]
Activation = Literal["gelu", "gelu-tanh", "swiglu"]

VOCAB_MULTIPLE = 128
"""Rows of an embedding are padded to a multiple of this, for the matrix units' sake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryScaling:
    """How rotary positions reach further than the context they were first trained at.

    Pairs that turn often within that context stay as they are, pairs that turn seldom turn slower
    by a factor, and between the two they pass from one to the other. Llama 3.1's rule: Grattafiori
    et al., arXiv:2407.21783, as its released code has it.

    Raises:
        RecipeError: Numbers out of their order.
    """

    factor: float
    """By how much slow pairs are slowed; 1 changes nothing."""
    low: float
    """Turns within ``context`` at and below which a pair is slowed by all of it."""
    high: float
    """Turns at and above which it is left as it is."""
    context: int
    """The context of the first training, in tokens."""

    def __post_init__(self) -> None:
        """Check that the numbers fit each other."""
        if not (self.factor >= 1 and 0 < self.low < self.high and self.context >= 1):
            raise RecipeError(
                "scaled rotary positions with factor >= 1, 0 < low < high and context >= 1",
                got=f"factor={self.factor:g}, low={self.low:g}, high={self.high:g}, "
                f"context={self.context}",
                fix="the scaling that the weights were trained with",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GPTConfig:
    """Every size and choice that a decoder's function depends on.

    Raises:
        RecipeError: Sizes that do not fit each other.
    """

    layers: int
    heads: int
    kv_heads: int
    width: int
    head_width: int
    mlp: int
    context: int
    vocab_size: int
    padded_vocab_size: int
    positions: Positions
    norm: Norm
    activation: Activation
    parallel: bool
    """Attention and MLP both read a layer's input, rather than one after the other."""
    qk_norm: bool
    """An RMSNorm over each head's queries and keys."""
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    norm_bias: bool
    tied: bool
    norm_eps: float
    rotary_base: float
    rotary_share: float
    """Share of each head's width that rotary positions turn."""
    dropout: float
    attention_dropout: float
    rotary_scaling: RotaryScaling | None = None
    """How far rotary positions are stretched; None where they are not."""

    def __post_init__(self) -> None:
        """Check that the sizes fit each other."""
        if self.heads % self.kv_heads:
            raise RecipeError(
                "heads to be a multiple of kv_heads",
                got=f"heads={self.heads}, kv_heads={self.kv_heads}",
                fix=f"kv_heads={_divisor(self.heads, self.kv_heads)}",
            )
        if self.positions == "rotary":
            self._check_rotary()
        if self.padded_vocab_size < self.vocab_size:
            raise RecipeError(
                "the embedding to have a row for every token",
                got=f"vocab_size={self.vocab_size}, rows={self.padded_vocab_size}",
                fix=f"padded_vocab_size={padded(self.vocab_size)}",
            )

    def _check_rotary(self) -> None:
        if self.rotary_share == 1 and self.head_width % 2:
            raise RecipeError(
                "rotary positions to turn pairs, so an even head_width",
                got=f"head_width={self.head_width}",
                fix=f"head_width={self.head_width + 1}",
            )
        if not 0 < self.rotary_width <= self.head_width or self.rotary_width % 2:
            raise RecipeError(
                "rotary positions to turn pairs, so an even share of head_width",
                got=f"rotary_share={self.rotary_share:g} of head_width={self.head_width}",
                fix=f"rotary_share={2 / self.head_width:g}, or a multiple of it",
            )

    @property
    def rotary_width(self) -> int:
        """Width of a head's part that rotary positions turn."""
        return int(self.rotary_share * self.head_width)

    @property
    def attention_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_width

    @property
    def kv_width(self) -> int:
        """Width of all key heads, and of all value heads, together."""
        return self.kv_heads * self.head_width

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, as checkpoints store them: no scaling goes without saying."""
        fields = asdict(self)
        if self.rotary_scaling is None:
            del fields["rotary_scaling"]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "GPTConfig":
        """Return the shape that ``as_dict`` told.

        Raises:
            RecipeError: Sizes that do not fit each other.
        """
        told: dict[str, Any] = dict(fields)
        scaling = told.pop("rotary_scaling", None)
        return cls(**told, rotary_scaling=RotaryScaling(**scaling) if scaling else None)


def padded(vocab_size: int) -> int:
    """Return the rows of an embedding for a vocabulary.

    >>> padded(50_277), padded(2_048)
    (50304, 2048)
    """
    return -(-vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE


def head_width_of(width: int, heads: int) -> int:
    """Return the width of one head when the heads fill the residual width.

    Raises:
        RecipeError: The heads do not divide the width.
    """
    if width % heads:
        raise RecipeError(
            "width to be a multiple of heads",
            got=f"width={width}, heads={heads}",
            fix=f"width={max(width // heads, 1) * heads}",
        )
    return width // heads


def _divisor(heads: int, kv_heads: int) -> int:
    return max(count for count in range(1, kv_heads + 1) if heads % count == 0)
