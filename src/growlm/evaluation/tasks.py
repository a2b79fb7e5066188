"""Tasks of local files: a task file says how rows are asked; questions are what comes of it."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from growlm.base.errors import CorpusError, EvaluationError, nearest
from growlm.base.files import digest_of, sha256_file, storage
from growlm.corpus.overlap.benchmark import found_in, rows
from growlm.corpus.packed import PACKINGS
from growlm.evaluation.hellaswag import prepared
from growlm.evaluation.pairs import Pair

Form = Literal["last-word", "choice"]

FORMS: tuple[Form, ...] = ("last-word", "choice")
"""What a task asks for: the word that ends a text, or which of several options is right."""

SHIPPED = Path(__file__).with_name("taskfiles")
"""Where the task files that come along lie; a task is called as its file is."""

PREPARATIONS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = MappingProxyType(
    {"hellaswag": prepared}
)
"""What may happen to a row before it is asked, by name."""

DELIMITER = " "
"""What stands between a prompt and an option; it is scored, and does not count in lengths."""

_KEYS = {
    "version": (str, 'version = "1"'),
    "form": (str, 'form = "choice"'),
    "files": (list, 'files = ["rows.jsonl"]'),
    "prompt": (str, 'prompt = "{text}"'),
}
"""What a task file must have, as what kind, and an example of it."""

_MORE = ("options", "answer", "prepare")
_SLOT = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """How a task's rows are asked."""

    name: str
    version: str
    """Of the task, by the harness's count; what is asked differently has another."""
    form: Form
    files: tuple[str, ...]
    """What its data may be called, packed or not; the first that is there is taken."""
    prompt: str
    """The context, or for a last word the whole text; ``{FIELD}`` is filled from the row."""
    options: str | tuple[str, ...] | None
    """The field that lists the options, or a text for each, with ``{FIELD}`` in it."""
    answer: str | None
    """The field with the number of the right option."""
    prepare: str | None
    """What happens to a row first, by its name."""

    @property
    def asked(self) -> str:
        """Digest of how rows are asked."""
        return digest_of([self.form, self.prompt, self.options, self.answer, self.prepare])


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of a task: what is scored, and which of it is right."""

    index: int
    """The row, from 0."""
    pairs: tuple[Pair, ...]
    """A context and a continuation for each option."""
    answer: int
    characters: tuple[int, ...]
    """Of each option, without the blank before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task and its questions, and which data they are."""

    name: str
    version: str
    form: Form
    path: str
    sha256: str
    """Of the data's file."""
    asked: str
    """Digest of the task file's content."""
    questions: tuple[Question, ...]


def shipped() -> tuple[str, ...]:
    """Return the names of the tasks that come along.

    >>> shipped()
    ('hellaswag', 'lambada_openai', 'piqa')
    """
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def read_task_file(name: str) -> TaskFile:
    """Return a task file: one that comes along, by its name, or any by its path.

    Raises:
        EvaluationError: No task is called so, or the file says something else.
        StorageError: It cannot be read.
    """
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if not name.endswith(".toml") and name not in shipped():
        raise EvaluationError(
            "a task that growlm has a file for, or the path of a task file",
            got=f"'{name}'",
            fix=nearest(name, shipped()),
        )
    with storage(path):
        content = path.read_bytes()
    try:
        values = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(path, "TOML", f"'{error}'", "mending it") from error
    return _task_file(path, values)


def load_task(file: TaskFile, folder: Path, *, limit: int | None) -> Task:
    """Return a task with the questions of its data.

    Args:
        file: How it is asked.
        folder: Where its data lie.
        limit: Rows, at most; the first ones are taken.

    Raises:
        EvaluationError: Its data are not there, or a row has no such answer.
        CorpusError: The data are not JSON lines, or lack a field.
        StorageError: They cannot be read.
    """
    path = data_of(file, folder)
    questions: list[Question] = []
    for index, (line, row) in enumerate(rows(path)):
        if index == limit:
            break
        questions.append(_question(file, row, index, f"{path} line {line}"))
    if not questions:
        raise EvaluationError(f"rows in {path}", got="none", fix="another file")
    return Task(
        name=file.name,
        version=file.version,
        form=file.form,
        path=str(path),
        sha256=sha256_file(path),
        asked=file.asked,
        questions=tuple(questions),
    )


def data_of(file: TaskFile, folder: Path) -> Path:
    """Return the file with a task's data.

    Raises:
        EvaluationError: It is not there.
    """
    suffixes = ("", *(packing.suffix for packing in PACKINGS))
    for name in file.files:
        for suffix in suffixes:
            if (folder / (name + suffix)).is_file():
                return folder / (name + suffix)
    if not folder.is_dir():
        raise EvaluationError(
            f"a folder with the data of {file.name}", got=str(folder), fix="--data FOLDER"
        )
    found = sorted(path.name for path in folder.iterdir() if path.is_file())[:5]
    raise EvaluationError(
        f"the data of {file.name} in {folder}",
        got=", ".join(found) or "no files",
        fix=f"a file called {' or '.join(file.files)}, packed or not",
    )


def _question(file: TaskFile, row: Mapping[str, Any], index: int, place: str) -> Question:
    if file.prepare is not None:
        row = PREPARATIONS[file.prepare](row)
    prompt = _filled(file.prompt, row, place)
    if file.form == "last-word":
        context, blank, word = prompt.rpartition(" ")
        if not word:
            raise EvaluationError(
                f"a text that ends with a word in {place}",
                got="a blank at its end" if prompt else "an empty text",
                fix="another row, or deleting that line",
            )
        pair = (context, blank + word if blank else f"{DELIMITER}{word}")
        return Question(index=index, pairs=(pair,), answer=0, characters=(len(word),))
    options = _options(file, row, place)
    return Question(
        index=index,
        pairs=tuple((prompt, DELIMITER + option) for option in options),
        answer=_answer(file, row, len(options), place),
        characters=tuple(map(len, options)),
    )


def _filled(template: str, row: Mapping[str, Any], place: str) -> str:
    """Return a text with the row's fields in it."""
    parts = _SLOT.split(template)  # a text, a field, a text, ...
    fields = [_text(_field(row, name, place), name, place) for name in parts[1::2]]
    return "".join(chain.from_iterable(zip_longest(parts[::2], fields, fillvalue="")))


def _options(file: TaskFile, row: Mapping[str, Any], place: str) -> list[str]:
    if isinstance(file.options, tuple):
        options = [_filled(each, row, place) for each in file.options]
    else:
        name = str(file.options)
        found = _field(row, name, place)
        listed = cast(list[Any], found) if isinstance(found, list) else None
        if not listed:
            got = _kind(found) if listed is None else "an empty list"
            raise EvaluationError(
                f"a list of options in field '{name}' of {place}",
                got=got,
                fix="another row, or deleting that line",
            )
        options = [_text(each, name, place) for each in listed]
    if not all(options):
        raise EvaluationError(
            f"every option of {place} to have text",
            got=f"option {options.index('') + 1} of {len(options)}, which is empty",
            fix="another row, or deleting that line",
        )
    return options


def _answer(file: TaskFile, row: Mapping[str, Any], options: int, place: str) -> int:
    number = _field(row, str(file.answer), place)
    if isinstance(number, bool) or not str(number).isdecimal() or int(number) >= options:
        raise EvaluationError(
            f"the number of an option, below {options}, in field '{file.answer}' of {place}",
            got=f"{number!r:.40}",
            fix="rows with their labels: those of test sets are often secret",
        )
    return int(number)


def _field(row: Mapping[str, Any], name: str, place: str) -> Any:
    """Return what a row has in a field; what is missing has often another name."""
    try:
        return found_in(row, name, place)
    except CorpusError as error:
        close = get_close_matches(name, map(str, row), n=1)
        fix = close[0] if close else "rows with that field, or a task file of your own"
        raise CorpusError(error.expected, got=error.got, fix=fix) from None


def _text(value: Any, name: str, place: str) -> str:
    if not isinstance(value, str):
        raise EvaluationError(
            f"text in field '{name}' of {place}",
            got=_kind(value),
            fix="rows with text there, or another field in a task file of your own",
        )
    return value


def _task_file(path: Path, values: Mapping[str, Any]) -> TaskFile:
    for key in values:
        if key not in {*_KEYS, *_MORE}:
            raise _bad(path, "a key of a task file", f"'{key}'", nearest(key, [*_KEYS, *_MORE]))
    for key, (kind, example) in _KEYS.items():
        if not isinstance(values.get(key), kind):
            words = "a list" if kind is list else "text in quotes"
            raise _bad(path, f"'{key}' to be {words}", _kind(values.get(key)), example)
    form, prepare = values["form"], values.get("prepare")
    if form not in FORMS:
        raise _bad(path, "a form of task", f"'{form}'", nearest(form, FORMS))
    if form == "choice" and not ("options" in values and "answer" in values):
        raise _bad(path, "'options' and 'answer' for choices", "one or none", "adding both")
    if prepare is not None and prepare not in PREPARATIONS:
        raise _bad(path, "a preparation", f"'{prepare}'", nearest(str(prepare), PREPARATIONS))
    options: Any = values.get("options")
    return TaskFile(
        name=path.stem,
        version=values["version"],
        form=FORMS[FORMS.index(form)],
        files=tuple(cast(Sequence[str], values["files"])),
        prompt=values["prompt"],
        options=tuple(cast(list[str], options)) if isinstance(options, list) else options,
        answer=values.get("answer"),
        prepare=prepare,
    )


def _bad(path: Path, expected: str, got: str, fix: str) -> EvaluationError:
    return EvaluationError(expected, got=got, fix=fix, where=str(path))


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
