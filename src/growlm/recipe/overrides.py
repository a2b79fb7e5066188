"""Dotted overrides: ``stage.base.tokens=1M`` changes one value of a recipe before it is read."""

import tomllib
from typing import Any, cast

from growlm.base.errors import RecipeError, nearest


def override(values: dict[str, Any], assignment: str) -> None:
    """Set one value in a recipe's tables.

    A list of named tables (``[[stage]]``, ``[[source]]``) is entered by the name of an entry,
    which may hold dots. The value is read as TOML, and as a plain string where it is no TOML.

    >>> values = {"stage": [{"name": "1.1b", "tokens": 1}]}
    >>> override(values, "stage.1.1b.tokens=1M"); values
    {'stage': [{'name': '1.1b', 'tokens': '1M'}]}

    Raises:
        RecipeError: The assignment has no ``=``, or its path leads nowhere.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not all(path.split(".")):
        raise RecipeError(
            "--set to be key=value", got=f"'{assignment}'", fix="--set stage.base.tokens=1M"
        )
    target, rest = values, path
    while "." in rest:
        name, _, rest = rest.partition(".")
        inner = target.setdefault(name, {})
        if isinstance(inner, list):
            inner, rest = _enter(cast(list[Any], inner), rest, path)
        if not isinstance(inner, dict):
            raise RecipeError(
                f"--set {path} to lead through tables",
                got=f"'{name}', which is a value",
                fix=f"--set {path.removesuffix('.' + rest)}={text}",
            )
        target = cast(dict[str, Any], inner)
    target[rest] = _value(text)


def _enter(entries: list[Any], rest: str, path: str) -> tuple[Any, str]:
    """Return the entry that a path goes into, and what is left of the path."""
    tables = [cast(dict[str, Any], entry) for entry in entries if isinstance(entry, dict)]
    named = {str(table["name"]): table for table in tables if "name" in table}
    if rest in named:
        raise RecipeError(
            f"--set {path} to end in a key", got="an entry of a list", fix="adding .KEY to it"
        )
    for name in sorted(named, key=len, reverse=True):
        if rest.startswith(f"{name}."):
            return named[name], rest.removeprefix(f"{name}.")
    first = rest.partition(".")[0]
    raise RecipeError(
        f"--set {path} to enter a list by the name of an entry",
        got=f"'{first}'",
        fix=nearest(first, named) if named else "a list of named tables, such as stage",
    )


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
