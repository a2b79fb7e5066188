"""How configs say that rotary positions reach further than they were first trained."""

from collections.abc import Mapping
from typing import Any, cast

from growlm.base.errors import CheckpointError, RecipeError
from growlm.model.config import RotaryScaling

KIND = "llama3"
"""The kind of scaling that ours has a place for, as transformers calls it."""

WORDS = {
    "factor": "factor",
    "low": "low_freq_factor",
    "high": "high_freq_factor",
    "context": "original_max_position_embeddings",
}
"""For each of our fields, theirs."""


def read_scaling(given: Mapping[str, Any]) -> RotaryScaling | None:
    """Return what a config says of scaling; None where it says that there is none.

    Args:
        given: What it has under each name that may say so, in the order of their say.

    Raises:
        CheckpointError: It is of another kind, or lacks a number.
    """
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise _refusal(f"{name} to be a table, or null", got=value)
        theirs = cast(Mapping[str, Any], value)
        key = "rope_type" if "rope_type" in theirs else "type"
        kind = theirs.get(key, "default")
        if kind == KIND:
            return _read(name, theirs)
        if kind != "default":
            raise _refusal(
                f'{name}.{key} to be "default" or "{KIND}"',
                got=f'"{kind}": scaled rotary positions',
                fix="a model without that",
            )
    return None


def _read(name: str, theirs: Mapping[str, Any]) -> RotaryScaling:
    found: dict[str, Any] = {}
    for field, word in WORDS.items():
        value = theirs.get(word)
        whole = field == "context"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "a whole number" if whole else "a number"
            raise _refusal(f"{name}.{word} to be {kind}", got="none" if value is None else value)
        found[field] = value if whole else float(value)
    try:
        return RotaryScaling(**found)
    except RecipeError as error:
        raise _refusal(error.expected, got=error.got) from error


def write_scaling(scaling: RotaryScaling) -> dict[str, Any]:
    """Return what a config says of scaling."""
    return {"rope_type": KIND, **{word: getattr(scaling, name) for name, word in WORDS.items()}}


def _refusal(
    expected: str, *, got: object, fix: str = "the config.json that belongs to the weights"
) -> CheckpointError:
    return CheckpointError(expected, got=f"{got}", fix=fix, where="config.json")
