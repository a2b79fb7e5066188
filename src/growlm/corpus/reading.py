"""Raw records: the texts of a place one after another, and what could not be had, with its row."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, Literal, cast

from growlm.base.errors import CorpusError, nearest
from growlm.corpus import hub, tables
from growlm.corpus.clean import decode
from growlm.corpus.finding import LINE_SUFFIXES, TABLE_SUFFIXES, Place, kind_of
from growlm.corpus.packed import Broken, broken_error, opened
from growlm.corpus.pieces import pieces

Loss = Literal["bad_json", "no_field", "broken_file"]
"""Why a record is lost: no JSON, no text or id where it was asked for, a file that is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Where in a record the text is."""

    text_field: str
    """The field of a row that holds the text; dots reach into objects."""

    id_field: str | None
    """The field that holds the record's own id, if it is asked for."""

    split: re.Pattern[str] | None
    """What stands between the documents of a text file; None takes the file as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A text as its place holds it, before cleaning."""

    row: int
    """Its line, row or piece in the file, from 0; 0 when the file is one text."""

    text: str
    origin_id: str | None

    bad_utf8: bool
    """Whether some of its bytes were not UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A record whose text could not be had."""

    row: int
    kind: Loss

    error: CorpusError
    """What is said when it cannot be passed over."""


def read(place: Place, form: Form) -> Iterator[Raw | Lost]:
    """Yield the texts of one place, and what is lost of it where it is lost.

    Args:
        place: A file of a known kind, packed or not, or a data set of the Hub.
        form: Where in a record the text is.

    Raises:
        CorpusError: It cannot be opened or reached, or a package for it is missing.
    """
    row = -1
    try:
        for got in _records(place, form):
            row = got.row
            yield got
    except Broken as error:
        yield Lost(row=row + 1, kind="broken_file", error=broken_error(error, place))


def _records(place: Place, form: Form) -> Iterator[Raw | Lost]:
    if isinstance(place, str) and hub.is_dataset(place):
        yield from _from_rows(hub.rows(place), place, form)
        return
    with opened(place) as file:
        kind = kind_of(str(place))
        if kind in LINE_SUFFIXES:
            yield from _from_lines(file, place, form)
        elif kind in TABLE_SUFFIXES:
            fields = [form.text_field, *([form.id_field] if form.id_field else [])]
            yield from _from_rows(tables.rows(file, fields=fields, name=str(place)), place, form)
        else:
            yield from _from_text(file, form)


def _from_text(file: BufferedIOBase, form: Form) -> Iterator[Raw]:
    contents = [file.read()] if form.split is None else pieces(file, form.split)
    for row, content in enumerate(contents):
        text, bad = decode(content)
        yield Raw(row=row, text=text, origin_id=None, bad_utf8=bad)


def _from_lines(file: BufferedIOBase, place: Place, form: Form) -> Iterator[Raw | Lost]:
    for row, line in enumerate(file):
        if line.isspace():
            continue
        text, bad = decode(line)
        where = f"{place} line {row + 1}"
        try:
            values = json.loads(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            said = CorpusError(
                f"{where} to be JSON", got=str(error), fix="mending or deleting that line"
            )
            yield Lost(row=row, kind="bad_json", error=said)
        else:
            yield _from_values(values, row, where=where, form=form, bad_utf8=bad)


def _from_rows(rows: Iterator[dict[str, Any]], place: Place, form: Form) -> Iterator[Raw | Lost]:
    for row, values in enumerate(rows):
        where = f"{place} row {row + 1}"
        yield _from_values(values, row, where=where, form=form, bad_utf8=False)


def _from_values(values: Any, row: int, *, where: str, form: Form, bad_utf8: bool) -> Raw | Lost:
    try:
        text = _text(values, form.text_field, where=where)
        name = form.id_field
        found = None if name is None else str(_field(values, name, key="id_field", where=where))
    except CorpusError as error:
        return Lost(row=row, kind="no_field", error=error)
    return Raw(row=row, text=text, origin_id=found, bad_utf8=bad_utf8)


def _text(values: Any, name: str, *, where: str) -> str:
    value = _field(values, name, key="text_field", where=where)
    if not isinstance(value, str):
        got = type(value).__name__
        raise CorpusError(f"text in field '{name}' of {where}", got=got, fix="another text_field")
    return value


def _field(values: Any, field: str, *, key: str, where: str) -> Any:
    value = values
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise _no_field(cast(Any, value), name, field=field, key=key, where=where)
        value = cast(Mapping[str, Any], value)[name]
    return value


def _no_field(value: Any, name: str, *, field: str, key: str, where: str) -> CorpusError:
    names = list(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else []
    return CorpusError(
        f"a field '{field}' in {where}",
        got="the fields " + ", ".join(names) if names else f"no fields but {value!r:.40}",
        fix=f"{key} = {nearest(name, names)}" if names else "one JSON object a line",
    )
