"""What is wrong with a recipe, in one line: pydantic's findings in the words of TOML."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from growlm.base.errors import RecipeError, nearest
from growlm.recipe.experiment import Experiment

LONGEST_VALUE = 60
"""Characters of a value that a message repeats."""

_SCHEMA = "growlm schema, which lists every key with its meaning"

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "string_pattern_mismatch": "lower-case letters, digits, '.', '_' and '-', at most 64",
}

Location = tuple[int | str, ...]
Words = tuple[str, str, str]
"""Expected, got, fix."""


def first_mistake(error: ValidationError, values: Any, *, where: str) -> RecipeError:
    """Return one line for the mistake to mend first, with the count of all.

    Args:
        error: What pydantic found.
        values: The recipe's tables, for the names of the entries of lists.
        where: The recipe's file.
    """
    mistakes = _mistakes(error.errors())
    first = mistakes[0]
    expected, got, fix = _WORDS.get(first["type"], _plain)(first, _dotted(first["loc"], values))
    more = f" (the first of {len(mistakes)} mistakes)" if len(mistakes) > 1 else ""
    return RecipeError(expected, got=got + more, fix=fix, where=where)


def _mistakes(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return the findings, misspelt keys first; what only follows from another is left out."""
    misspelt = [detail for detail in details if detail["type"] == "extra_forbidden"]
    sections = [detail["loc"][:-1] for detail in misspelt]
    others = [
        detail
        for detail in details
        if detail["type"] not in ("extra_forbidden", "default_factory_not_called")
        and not (detail["type"] == "missing" and detail["loc"][:-1] in sections)
    ]
    return misspelt + others


def _unknown(detail: ErrorDetails, key: str) -> Words:
    name, known = str(detail["loc"][-1]), _keys(detail["loc"][:-1])
    section, _, _ = key.rpartition(".")
    return f"a key of {section or 'a recipe'}", f"'{name}'", nearest(name, known)


def _missing(detail: ErrorDetails, key: str) -> Words:
    last = detail["loc"][-1]
    if isinstance(last, int):
        array, _, _ = key.rpartition(".")
        return f"{array} to have {last + 1} entries", _shown(detail["input"]), "adding one"
    return key, "nothing", f"adding {_table(detail['loc']) or last}"


def _too_long(detail: ErrorDetails, key: str) -> Words:
    most = detail.get("ctx", {})["max_length"]
    return f"{key} to have {most} entries", _shown(detail["input"]), "removing the others"


def _too_short(detail: ErrorDetails, key: str) -> Words:
    least = detail.get("ctx", {})["min_length"]
    fix = f"adding {_table(detail['loc']) or 'more'}"
    return f"{key} to have {least} or more entries", _shown(detail["input"]), fix


def _unknown_kind(detail: ErrorDetails, key: str) -> Words:
    context = detail.get("ctx", {})
    kinds = [kind.strip("'") for kind in context["expected_tags"].split(", ")]
    return (
        f"{key}.kind to be one of {', '.join(kinds)}",
        f"'{context['tag']}'",
        nearest(context["tag"], kinds),
    )


def _missing_kind(detail: ErrorDetails, key: str) -> Words:
    kinds = [kind for model in _models(_annotation(detail["loc"])) for kind in _kinds(model)]
    return f"{key}.kind", "nothing", f'adding kind = "{kinds[0]}"'


def _refusal(detail: ErrorDetails, key: str) -> Words:
    context = detail.get("ctx", {})
    return f"{key} {context['expected']}", context["got"], context["fix"]


def _choice(detail: ErrorDetails, key: str) -> Words:
    expected = detail.get("ctx", {})["expected"]
    choices = re.findall(r"'([^']*)'", expected)
    return (
        f"{key} to be {expected}",
        _shown(detail["input"]),
        nearest(str(detail["input"]), choices),
    )


def _plain(detail: ErrorDetails, key: str) -> Words:
    said = detail["msg"].removeprefix("Input should be ")
    kind = _KINDS.get(detail["type"], said[0].lower() + said[1:])
    fix = _FIXES.get(detail["type"], lambda _: None)(detail)
    return f"{key} to be {kind}", _shown(detail["input"]), fix or _SCHEMA


_WORDS: dict[str, Callable[[ErrorDetails, str], Words]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "too_long": _too_long,
    "too_short": _too_short,
    "union_tag_invalid": _unknown_kind,
    "union_tag_not_found": _missing_kind,
    "refusal": _refusal,
    "literal_error": _choice,
}


def _number(detail: ErrorDetails) -> str | None:
    """Return the number that a string or a float may stand for."""
    value = detail["input"]
    try:
        number = float(value) if isinstance(value, str | float) else None
    except ValueError:
        return None
    if number is None or (detail["type"] == "int_type" and not number.is_integer()):
        return None
    return f"{number:.0f}" if detail["type"] == "int_type" else str(number)


def _slug(detail: ErrorDetails) -> str | None:
    return re.sub(r"[^a-z0-9._-]+", "-", str(detail["input"]).lower()).strip("._-")[:64] or None


_FIXES: dict[str, Callable[[ErrorDetails], str | None]] = {
    "int_type": _number,
    "float_type": _number,
    "bool_type": lambda detail: {"0": "false", "1": "true"}.get(str(detail["input"])),
    "string_type": lambda detail: json.dumps(str(detail["input"])),
    "tuple_type": lambda detail: _table(detail["loc"]) or f"[{json.dumps(detail['input'])}]",
    "dict_type": lambda detail: _table(detail["loc"]),
    "model_type": lambda detail: _table(detail["loc"]),
    "string_pattern_mismatch": _slug,
    "greater_than": lambda _: "a larger number",
    "greater_than_equal": lambda _: "a larger number",
    "less_than": lambda _: "a smaller number",
    "less_than_equal": lambda _: "a smaller number",
}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _dotted(location: Location, values: Any) -> str:
    """Return a key as a user writes it: entries of a list go by their names."""
    parts: list[str] = []
    for part in location:
        inner = _inner(values, part)
        # Pydantic also names the kind of a tagged table, which is no key of the recipe.
        if inner is not None or part == location[-1]:
            name = _inner(inner, "name") if isinstance(part, int) else None
            parts.append(str(name) if name else _ordinal(part))
            values = inner
    return ".".join(parts) or "the recipe"


def _inner(values: Any, part: int | str) -> Any:
    try:
        return values[part]
    except (KeyError, IndexError, TypeError):
        return None


def _ordinal(part: int | str) -> str:
    return f"#{part + 1}" if isinstance(part, int) else part


def _table(location: Location) -> str | None:
    """Return the TOML header of the section at a location, if a section is what belongs there."""
    annotation = _annotation(location)
    if not _models(annotation):
        return None
    header = ".".join(part for part in location if isinstance(part, str))
    return f"[[{header}]]" if get_origin(annotation) is tuple else f"[{header}]"


def _keys(location: Location) -> list[str]:
    """Return the keys that the section at a location knows."""
    return sorted(
        {
            field.alias or name
            for model in _models(_annotation(location))
            for name, field in model.model_fields.items()
        }
    )


def _annotation(location: Location) -> Any:
    """Return the type that a recipe declares at a location."""
    annotation: Any = Experiment
    for part in location:
        if isinstance(part, str):
            annotation = _step(annotation, part)
    return annotation


def _step(annotation: Any, part: str) -> Any:
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                return field.annotation
    tagged = [model for model in _models(annotation) if part in _kinds(model)]
    return tagged[0] if tagged else None


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]
