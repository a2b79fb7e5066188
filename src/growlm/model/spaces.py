"""Which space each axis of each weight touches: the one table that growing reads.

A matrix is stored ``[out, in]``: its rows *write* a space, its columns *read* one. ``resid`` is the
residual stream; ``query`` is heads times head width, ``key`` and ``value`` are key/value heads
times head width, and ``attended`` is what the output reads of all query heads; ``mlp`` are the
hidden units; ``vocab`` and ``place`` index rows. A norm *sits* on the residual stream, or on the
width of one head, ``head_width``.
"""

from dataclasses import dataclass
from typing import Literal

from growlm.base.errors import GrowthError

Role = Literal["writes", "reads", "sits", "indexes"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a weight: the space it touches, and how."""

    space: str
    role: Role


_RESID_IN = Axis("resid", "reads")
_RESID_OUT = Axis("resid", "writes")
_RESID_AT = Axis("resid", "sits")
_HEAD_AT = Axis("head_width", "sits")

LAYER_SPACES: dict[str, tuple[Axis, ...]] = {
    "attention_norm.weight": (_RESID_AT,),
    "attention_norm.bias": (_RESID_AT,),
    "attention.query.weight": (Axis("query", "writes"), _RESID_IN),
    "attention.query.bias": (Axis("query", "writes"),),
    "attention.key.weight": (Axis("key", "writes"), _RESID_IN),
    "attention.key.bias": (Axis("key", "writes"),),
    "attention.value.weight": (Axis("value", "writes"), _RESID_IN),
    "attention.value.bias": (Axis("value", "writes"),),
    "attention.query_norm.weight": (_HEAD_AT,),
    "attention.key_norm.weight": (_HEAD_AT,),
    "attention.output.weight": (_RESID_OUT, Axis("attended", "reads")),
    "attention.output.bias": (_RESID_OUT,),
    "mlp_norm.weight": (_RESID_AT,),
    "mlp_norm.bias": (_RESID_AT,),
    "mlp.gate.weight": (Axis("mlp", "writes"), _RESID_IN),
    "mlp.gate.bias": (Axis("mlp", "writes"),),
    "mlp.up.weight": (Axis("mlp", "writes"), _RESID_IN),
    "mlp.up.bias": (Axis("mlp", "writes"),),
    "mlp.down.weight": (_RESID_OUT, Axis("mlp", "reads")),
    "mlp.down.bias": (_RESID_OUT,),
}
"""The weights of one layer, by their name inside it."""

MODEL_SPACES: dict[str, tuple[Axis, ...]] = {
    "embedding.weight": (Axis("vocab", "indexes"), _RESID_OUT),
    "position.weight": (Axis("place", "indexes"), _RESID_OUT),
    "norm.weight": (_RESID_AT,),
    "norm.bias": (_RESID_AT,),
    "head.weight": (Axis("vocab", "indexes"), _RESID_IN),
}
"""The weights outside the layers."""


def split_name(name: str) -> tuple[int | None, str]:
    """Return a weight's layer, if it has one, and its name inside it.

    >>> split_name("layers.3.mlp.up.weight"), split_name("norm.weight")
    ((3, 'mlp.up.weight'), (None, 'norm.weight'))
    """
    if not name.startswith("layers."):
        return None, name
    _, layer, inner = name.split(".", 2)
    return int(layer), inner


def axes(name: str) -> tuple[Axis, ...]:
    """Return what each axis of a weight touches.

    Raises:
        GrowthError: The weight is not in the tables.
    """
    layer, inner = split_name(name)
    table = MODEL_SPACES if layer is None else LAYER_SPACES
    if inner not in table:
        raise GrowthError(
            "weights that are declared in growlm's table of spaces",
            got=f"'{name}'",
            fix="a checkpoint that growlm wrote",
        )
    return table[inner]


def is_layer_output(name: str) -> bool:
    """Return whether a layer adds this weight's rows to the residual stream.

    >>> is_layer_output("layers.0.mlp.down.bias"), is_layer_output("embedding.weight")
    (True, False)
    """
    layer, _ = split_name(name)
    return layer is not None and axes(name)[0] == _RESID_OUT
