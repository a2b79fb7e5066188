"""The grow and control sections: a child of a parent, and what it is compared with."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from growlm.recipe.values import Name, Section, refusal


class Grow(Section, frozen=True):
    """How a stage's model grows from its parent."""

    from_: Annotated[str, Field(alias="from")]
    """The parent: a stage of this recipe, or a checkpoint's folder (written with a ``/``)."""

    layers: PositiveInt | None = None
    """Layers of the child; the parent's when absent, as for every size here."""

    width: PositiveInt | None = None
    """Residual width of the child."""

    heads: PositiveInt | None = None
    """Query heads of the child."""

    kv_heads: PositiveInt | None = None
    """Key/value heads of the child; they follow the heads where the parent has as many."""

    head_width: PositiveInt | None = None
    """Width of one head of the child."""

    mlp: PositiveInt | None = None
    """Hidden units of the child's MLP."""

    depth: Literal[
        "interleave",
        "stack",
        "insert",
        "solar",
        "middle",
        "middle-layerwise",
        "append",
        "explicit",
    ] = "insert"
    """Which parent layers the child's layers come from."""

    layer_map: tuple[int, ...] | None = None
    """For ``explicit``: the parent's layer of each layer of the child, -1 - i for a silent copy
    of layer i."""

    copies: Literal["plain", "scaled", "noised", "random"] = "plain"
    """How copied layers are treated: as they are, sharing one output, with noise, or drawn at
    random in their place, a control that tells whether the copying does anything."""

    widen: Literal["lemon", "sparkling", "shrink-pad-perturb"] = "lemon"
    """How the residual stream grows: exactly, keeping the RMS, or shrunk and perturbed."""

    units: Literal["new", "even", "uneven", "noised"] = "noised"
    """How MLP units are added, heads where positions let them be cloned, and head width: fresh, or
    as copies that are read alike, unevenly, or with noise that cancels (residual copies too)."""

    new_tokens: Literal["pieces", "mean"] = "pieces"
    """What the tokens begin as that ``tokenizer.file`` has beyond the parent's: the mean of those
    that the parent spells them with, or of all."""

    optimizer_state: Literal["drop", "copy", "asymmetric", "exact"] = "asymmetric"
    """What becomes of the parent's optimizer moments."""

    @model_validator(mode="after")
    def grows(self) -> "Grow":
        """Refuse a growth that changes no size."""
        sizes = (self.layers, self.width, self.heads, self.kv_heads, self.head_width, self.mlp)
        if all(size is None for size in sizes) and "new_tokens" not in self.model_fields_set:
            raise refusal("to grow something", got="no size", fix="adding layers or width")
        return self


class Control(Section, frozen=True):
    """A scratch control: the shape of a grown stage, trained from nothing."""

    of: Name
    """The grown stage it answers."""

    compute: PositiveFloat = 1.0
    """Its compute, as a multiple of what the grown stage and all its parents took together."""


def is_checkpoint_path(origin: str) -> bool:
    """Return whether ``grow.from`` names a checkpoint's folder rather than a stage.

    >>> is_checkpoint_path("base"), is_checkpoint_path("runs/demo/stages/base/final")
    (False, True)
    """
    return len(PurePosixPath(origin).parts) > 1 or origin.startswith((".", "/"))
