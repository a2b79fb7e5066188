"""Reading a recipe: TOML in, one validated Experiment out, or one clear line."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from growlm.base.errors import RecipeError
from growlm.base.files import storage
from growlm.recipe.experiment import Experiment, crosscheck
from growlm.recipe.mistakes import first_mistake
from growlm.recipe.overrides import override


def read(path: Path, assignments: Sequence[str] = ()) -> Experiment:
    """Read a recipe, apply overrides, and check all of it.

    Args:
        path: A TOML file.
        assignments: Dotted overrides, as ``stage.base.tokens=1M``.

    Raises:
        RecipeError: It is not TOML, or not a recipe; the message names file, key and value.
        StorageError: It cannot be read.
    """
    with storage(path):
        content = path.read_bytes()
    return parse(content, name=str(path), assignments=assignments)


def parse(content: bytes, *, name: str, assignments: Sequence[str] = ()) -> Experiment:
    """Return the experiment that a recipe's bytes describe; ``name`` is for messages.

    Raises:
        RecipeError: They are not TOML, or not a recipe.
    """
    return validated(values_of(content, name=name, assignments=assignments), name=name)


def values_of(content: bytes, *, name: str, assignments: Sequence[str] = ()) -> dict[str, Any]:
    """Return the values that a recipe's bytes hold, overrides applied, whatever they are.

    Raises:
        RecipeError: They are not TOML, or an override leads nowhere.
    """
    try:
        values = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError("TOML", got=str(error), fix="mending that place", where=name) from error
    for assignment in assignments:
        override(values, assignment)
    return values


def validated(values: dict[str, Any], *, name: str) -> Experiment:
    """Return the experiment that values describe; ``name`` is for messages.

    Raises:
        RecipeError: They are no recipe.
    """
    try:
        experiment = Experiment.model_validate_json(_as_json(values))
        crosscheck(experiment)
    except ValidationError as error:
        raise first_mistake(error, values, where=name) from None
    except RecipeError as error:
        raise RecipeError(error.expected, got=error.got, fix=error.fix, where=name) from None
    return experiment


def _as_json(values: dict[str, Any]) -> str:
    """Return a recipe as JSON, where strict mode lets an array become a tuple and no more."""

    def refuse(value: Any) -> Any:
        raise RecipeError(
            "no dates or times, which no key takes", got=str(value), fix=f'quotes: "{value}"'
        )

    return json.dumps(values, default=refuse)
