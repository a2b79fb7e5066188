"""Papers: what models are scored on, as tasks of local files or the harness's, and as texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from growlm.base.errors import CorpusError, EvaluationError
from growlm.base.files import digest_of, sha256_file
from growlm.corpus.packed import PACKINGS
from growlm.corpus.reading import Form as RecordForm, Lost, read
from growlm.evaluation.sitting import Document
from growlm.evaluation.tasks import Question, TaskFile, data_of, load_task, read_task_file
from growlm.pipeline.harness import HarnessTask, load_harness_task

DOCUMENTS = "documents"
"""How a text is asked: every token of every document."""

SUFFIXES = {".jsonl", ".json", ".txt", ".md", ".tex", ".parquet", *(p.suffix for p in PACKINGS)}
"""What is left out where a text goes by its file's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is scored: the questions of a task, or the documents of a text."""

    name: str
    version: str
    form: Literal["last-word", "choice", "documents", "harness"]
    asked: str
    sha256: str
    rows: int
    items: Sequence[Question] | Sequence[Document]
    """Its rows; empty where the harness has them."""
    harness: HarnessTask | None
    limit: int | None
    capped: bool
    """Whether there were more documents than are scored."""


class Shelf:
    """The tasks that were read already: the same rows, asked in the same way, are read once.

    A local file is the same where its path and its content's SHA-256 are, whatever the task is
    called; the rows that the harness fetched stay what they were.
    """

    def __init__(self) -> None:
        self._papers: dict[tuple[Any, ...], Paper] = {}

    def tasks(self, names: Sequence[str], data: Path | None, *, limit: int | None) -> list[Paper]:
        """Return tasks as papers.

        Args:
            names: Of tasks, or paths of task files.
            data: Where their files lie; None for the harness's own, which it fetches itself.
            limit: Rows of each, at most.

        Raises:
            EvaluationError: A task has no file, or its data are not as it says.
            CorpusError: The data are not JSON lines, or lack a field; or the harness is not
                installed, knows no such task, or cannot load its rows.
        """
        if data is None:
            return [self._harness(name, limit) for name in names]
        return [self._local(read_task_file(name), data, limit) for name in names]

    def _local(self, file: TaskFile, data: Path, limit: int | None) -> Paper:
        path = data_of(file, data)
        key = (path, sha256_file(path), file, limit)
        if key not in self._papers:
            self._papers[key] = _task_paper(file, data, limit)
        return self._papers[key]

    def _harness(self, name: str, limit: int | None) -> Paper:
        key = (name, limit)
        if key not in self._papers:
            self._papers[key] = _harness_paper(name, limit)
        return self._papers[key]


def _task_paper(file: TaskFile, data: Path, limit: int | None) -> Paper:
    task = load_task(file, data, limit=limit)
    return Paper(
        name=task.name,
        version=task.version,
        form=task.form,
        asked=task.asked,
        sha256=task.sha256,
        rows=len(task.questions),
        items=task.questions,
        harness=None,
        limit=limit,
        capped=False,
    )


def _harness_paper(name: str, limit: int | None) -> Paper:
    task = load_harness_task(name, limit=limit)
    return Paper(
        name=task.name,
        version=task.version,
        form="harness",
        asked=task.asked,
        sha256=task.sha256,
        rows=task.rows,
        items=(),
        harness=task,
        limit=limit,
        capped=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What models are to be scored on: tasks, or texts."""

    tasks: tuple[str, ...]
    """Names, or paths of task files."""
    data: Path | None
    """Where the tasks' data lie; they come from lm-evaluation-harness when None."""
    texts: tuple[Path, ...]
    """Files of texts, where there are no tasks."""
    text_field: str
    limit: int | None
    """Rows of each task, at most."""
    documents: int | None
    """Documents of each text, at most."""


def papers_of(request: Request) -> list[Paper]:
    """Return what is asked for as papers.

    Raises:
        EvaluationError: A task has no file, or its data are not as it says, or a text has no text.
        CorpusError: A file cannot be read, or the harness is not there.
    """
    if request.texts:
        return text_papers(
            request.texts, text_field=request.text_field, documents=request.documents
        )
    return Shelf().tasks(request.tasks, request.data, limit=request.limit)


def text_papers(paths: Sequence[Path], *, text_field: str, documents: int | None) -> list[Paper]:
    """Return files of texts as papers: JSON lines, plain text or parquet, packed or not.

    Texts are taken as they are, without cleaning.

    Args:
        paths: The files.
        text_field: The field of a record that holds the text.
        documents: Of each file, at most, the first ones.

    Raises:
        CorpusError: A file cannot be read, or a record has no text.
        EvaluationError: A file is not there, or no document has any text.
    """
    for path in paths:
        if not path.is_file():
            raise EvaluationError(
                "a file of JSON lines, plain text or parquet",
                got=f"{path}, which is {'a folder' if path.is_dir() else 'not there'}",
                fix="the path of a file, or of several: --text FILE FILE",
            )
    return [_text_paper(path, text_field, documents) for path in paths]


def _lost(error: CorpusError) -> CorpusError:
    """Return an error about a record in the words of a command: a recipe calls the field so."""
    fix = error.fix.replace("text_field =", "--text-field").replace("text_field", "--text-field")
    return CorpusError(error.expected, got=error.got, fix=fix)


def heldout_paper(source: str, path: Path, *, documents: int) -> Paper:
    """Return the held-out documents of a run's source as a paper, read as any other text is.

    Args:
        source: The paper's name.
        path: A ``heldout.jsonl``.
        documents: How many, at most, the first ones.

    Raises:
        CorpusError: The file cannot be read.
        EvaluationError: No document has any text.
    """
    try:
        return replace(_text_paper(path, "text", documents), name=source)
    except EvaluationError as error:
        raise EvaluationError(
            f"held-out documents of source '{source}' with text in them",
            got=error.got,
            fix="a larger validation share, or a source with more documents",
        ) from error


def last_word_paper(source: str, questions: Sequence[Question]) -> Paper:
    """Return questions after last words, made of a run's held-out documents, as a paper.

    Args:
        source: What the documents are of.
        questions: The questions.
    """
    return Paper(
        name=f"last word of {source}",
        version="1",
        form="last-word",
        asked="",
        sha256="",
        rows=len(questions),
        items=questions,
        harness=None,
        limit=None,
        capped=False,
    )


def _text_paper(path: Path, text_field: str, documents: int | None) -> Paper:
    form = RecordForm(text_field=text_field, id_field=None, split=None)
    found: list[Document] = []
    capped = False
    for record in read(path, form):
        if isinstance(record, Lost):
            raise _lost(record.error)
        if len(found) == documents:
            capped = True
            break
        found.append(Document(index=len(found), text=record.text))
    if not any(each.text for each in found):
        raise EvaluationError(
            f"documents with text in {path}",
            got=f"{len(found)} that {'is' if len(found) == 1 else 'are'} empty"
            if found
            else "none",
            fix="another file, or --text-field FIELD",
        )
    return Paper(
        name=_stem(path),
        version="1",
        form=DOCUMENTS,
        asked=digest_of([DOCUMENTS, text_field]),
        sha256=sha256_file(path),
        rows=len(found),
        items=found,
        harness=None,
        limit=documents,
        capped=capped,
    )


def _stem(path: Path) -> str:
    while path.suffix in SUFFIXES:
        path = path.with_suffix("")
    return path.name
