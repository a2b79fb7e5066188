"""What every section is made of: its kind, its numbers and names, and how it refuses."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from growlm.base.units import COUNT_PATTERN, SIZE_PATTERN, parse_bytes, parse_count

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


def refusal(expected: str, *, got: str, fix: str) -> PydanticCustomError:
    """Return what a validator raises: a finding that knows its own got and fix.

    Args:
        expected: What would have been right, as what follows the section's name: "to have ...".
        got: What was there instead.
        fix: The next thing to try.
    """
    return PydanticCustomError(
        "refusal", "{expected}", {"expected": expected, "got": got, "fix": fix}
    )


def check_one_of(section: BaseModel, names: tuple[str, ...]) -> None:
    """Refuse a section that gives none of these keys, or several of them."""
    given = [name for name in names if getattr(section, name) not in (None, ())]
    if len(given) != 1:
        raise refusal(
            f"to have exactly one of {', '.join(names)}",
            got=" and ".join(given) or "none of them",
            fix=f"keeping {given[0]} alone" if given else f"adding {names[0]}",
        )


def _count(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_count(value)
    except ValueError as error:
        raise refusal(
            f"to be {error}", got=f'"{value}"', fix='4096, "350K", "1.5M" or "48B"'
        ) from None


Tokens = Annotated[
    int,
    BeforeValidator(_count),
    Field(gt=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0},
                {"type": "string", "pattern": COUNT_PATTERN},
            ]
        }
    ),
]
"""A number of tokens: ``4096``, or ``"350K"``, ``"1.5M"``, ``"48B"``."""


def _budget(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(parse_bytes(value))
    except ValueError as error:
        raise refusal(
            f"to be a share up to 1, or {error}", got=f'"{value}"', fix='0.5, or "12GiB"'
        ) from None


Budget = Annotated[
    float,
    BeforeValidator(_budget),
    Field(gt=0.0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": SIZE_PATTERN},
            ]
        }
    ),
]
"""A share of a whole, up to 1; or bytes: ``0.5``, or ``"12GiB"``, ``"512MiB"``."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""Lower-case letters, digits, ``.``, ``_`` and ``-``."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
"""A share of a whole, above 0, at most 1."""

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]
"""The decay of a running mean; at 1 it would never move."""


class Section(
    BaseModel,
    frozen=True,
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    use_attribute_docstrings=True,
):
    """Part of a recipe: frozen, strict about types, closed to unknown keys."""
