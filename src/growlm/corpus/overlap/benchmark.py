"""Benchmarks: rows of JSON lines, and which of their fields make an example and its answer."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from growlm.base.errors import CorpusError, RecipeError, nearest
from growlm.base.files import sha256_file
from growlm.corpus.packed import Broken, broken_error, opened

Role = Literal["text", "answer", "context"]

ROLES: tuple[Role, ...] = ("text", "answer", "context")
"""What a field may be: what the example asks or says, how it goes on, and what it is asked of."""

LAST_WORD = "@last-word"
"""The answer is the last word of the text."""

LAYOUTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "lambada": {"text": "text", "answer": LAST_WORD},
        "piqa": {"text": "goal", "answer": "sol1/sol2[label]"},
        "hellaswag": {"text": "query", "answer": "choices[gold]"},
    }
)
"""Fields of well-known benchmarks, by what their names begin with."""

PLAIN: Mapping[str, str] = MappingProxyType({"text": "text"})
"""Fields of any other benchmark, unless others are given."""

_EXPRESSION = re.compile(r"(?P<names>[^\[\]]+)(?:\[(?P<key>[^\[\]]+)\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row of a benchmark."""

    index: int
    """Its row, from 0."""

    text: str
    """What is looked for: the text, and after a blank the right answer."""

    answer: tuple[int, int] | None
    """Where the answer stands in it, in characters; the blank before it counts in."""

    context: str | None
    """A passage that it is asked of, which is looked for by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark's examples, and what they were made of."""

    name: str
    path: str
    sha256: str
    fields: Mapping[str, str]
    examples: tuple[Example, ...]


def fields_of(name: str) -> Mapping[str, str]:
    """Return the fields of a benchmark of this name, where none are given."""
    return next((LAYOUTS[each] for each in LAYOUTS if name.lower().startswith(each)), PLAIN)


def parse_fields(text: str) -> dict[str, str]:
    """Return fields by role, from ``text=FIELD,answer=FIELD,context=FIELD``.

    A field is a name, with dots to reach into objects; ``NAME[KEY]`` is the item of a list whose
    number stands in the field KEY, and ``A/B[KEY]`` chooses between fields in the same way.

    >>> parse_fields("text=question,answer=choices[label]")
    {'text': 'question', 'answer': 'choices[label]'}

    Raises:
        RecipeError: It says something else.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        role, equals, field = part.partition("=")
        if role not in ROLES:
            raise RecipeError(
                "fields by their role: text, answer or context",
                got=f"'{part}'",
                fix=f"{nearest(role, ROLES)}=FIELD" if equals else "text=FIELD,answer=FIELD",
            )
        if field != LAST_WORD and not _EXPRESSION.fullmatch(field):
            raise RecipeError(
                f"a field for {role}: NAME, NAME[KEY] or A/B[KEY]",
                got=f"'{field}'",
                fix=f"{role}=choices[label]",
            )
        found[role] = field
    if "text" not in found:
        raise RecipeError("a field for text", got=f"'{text}'", fix=f"text=FIELD,{text}")
    return found


def read_benchmark(name: str, path: Path, *, fields: Mapping[str, str]) -> Benchmark:
    """Return the examples of a file of JSON lines, packed or not.

    Args:
        name: How reports call it.
        path: The file.
        fields: A field for each role that it has, as ``parse_fields`` reads them.

    Raises:
        CorpusError: It is not JSON lines, lacks a field, or has no rows.
        StorageError: It cannot be read.
    """
    sha256 = sha256_file(path)
    examples = tuple(
        _example(row, index, fields=fields, place=f"{path} line {line}")
        for index, (line, row) in enumerate(rows(path))
    )
    if not examples:
        raise CorpusError(f"examples in {path}", got="none", fix="another file")
    return Benchmark(name=name, path=str(path), sha256=sha256, fields=fields, examples=examples)


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file, and for each the line that it stands on, from 1.

    Raises:
        CorpusError: It is not JSON lines.
    """
    try:
        with opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _row(line, f"{path} line {number}")
    except Broken as error:
        raise broken_error(error, path) from error


def _row(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{place} to be JSON", got=str(error), fix="mending or deleting that line"
        ) from error
    if not isinstance(row, dict):
        raise CorpusError(
            f"{place} to be a JSON object", got=f"{row!r:.40}", fix="one JSON object a line"
        )
    return cast(dict[str, Any], row)


def _example(row: dict[str, Any], index: int, *, fields: Mapping[str, str], place: str) -> Example:
    text = _value(row, fields["text"], place)
    context = _value(row, fields["context"], place) if "context" in fields else None
    span = None
    if fields.get("answer") == LAST_WORD:
        text = text.rstrip()
        span = (max(0, *(text.rfind(blank) for blank in " \n\t")), len(text))
    elif "answer" in fields:
        answer = _value(row, fields["answer"], place)
        span = (len(text), len(text) + 1 + len(answer))
        text = f"{text} {answer}"
    return Example(index=index, text=text, answer=span, context=context)


def _value(row: dict[str, Any], expression: str, place: str) -> str:
    match = _EXPRESSION.fullmatch(expression)
    names, key = match.groups() if match else (expression, None)
    value = found_in(row, names, place) if key is None else _chosen(row, names, key, place)
    if not isinstance(value, str):
        raise CorpusError(
            f"text in field '{expression}' of {place}",
            got=type(value).__name__,
            fix="other fields",
        )
    return value


def _chosen(row: dict[str, Any], names: str, key: str, place: str) -> Any:
    """Return the item of a list, or the one of several fields, whose number stands in a field."""
    parts = names.split("/")
    items = found_in(row, names, place) if len(parts) == 1 else parts
    number = found_in(row, key, place)
    if not isinstance(items, list):
        raise CorpusError(f"a list in field '{names}' of {place}", got=_kind(items), fix="NAME")
    count = len(cast(list[Any], items))
    if not str(number).isdecimal() or int(number) >= count:
        raise CorpusError(
            f"a number below {count} in field '{key}' of {place}",
            got=f"{number!r:.40}",
            fix="another KEY",
        )
    item = cast(list[Any], items)[int(number)]
    return item if len(parts) == 1 else found_in(row, item, place)


def _kind(value: Any) -> str:
    return type(value).__name__


def found_in(row: Mapping[str, Any], names: str, place: str) -> Any:
    """Return what a row has in a field; dots reach into objects.

    Raises:
        CorpusError: It has no such field.
    """
    value: Any = row
    for name in names.split("."):
        if not isinstance(value, dict) or name not in value:
            known = list(cast(dict[str, Any], value)) if isinstance(value, dict) else []
            raise CorpusError(
                f"a field '{names}' in {place}",
                got="the fields " + ", ".join(known) if known else f"no fields but {value!r:.40}",
                fix=nearest(name, known) if known else "other fields",
            )
        value = cast(dict[str, Any], value)[name]
    return value
