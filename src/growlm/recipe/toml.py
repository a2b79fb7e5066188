"""Writing a recipe: the values of a TOML file as text that reads back as the same values."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(values: Mapping[str, Any]) -> str:
    """Return values as TOML: single values first, then tables and lists of tables, written flat.

    >>> print(toml({"seed": 1, "stage": [{"name": "a", "grow": {"from": "b"}}]}))
    seed = 1
    <BLANKLINE>
    [[stage]]
    name = "a"
    grow = { from = "b" }
    <BLANKLINE>
    """
    single = {key: value for key, value in values.items() if not _tables(value)}
    parts = [_lines(single)] if single else []
    for key, value in values.items():
        header = f"[[{_key(key)}]]" if isinstance(value, list) else f"[{_key(key)}]"
        parts += [f"{header}\n{_lines(table)}" for table in _tables(value)]
    return "\n".join(parts)


def _tables(value: Any) -> list[Mapping[str, Any]]:
    """Return the tables that a top-level value is written as; none for a single value."""
    if isinstance(value, dict):
        return [cast(Mapping[str, Any], value)]
    entries = cast(list[Any], value) if isinstance(value, list) else []
    return entries if all(isinstance(entry, dict) for entry in entries) else []


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = cast(Mapping[str, Any], value).items()
        inside = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in pairs)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in cast(list[Any], value))}]"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    # JSON's escapes are TOML's too, but TOML wants one for DEL as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
