"""Papers: what models are scored on, as tasks of local files or the harness's, and as texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from growlm.base.errors import EvaluationError
from growlm.base.files import digest_of, sha256_file
from growlm.corpus.packed import PACKINGS
from growlm.corpus.reading import Form as RecordForm, Lost, read
from growlm.evaluation.sitting import Document
from growlm.evaluation.tasks import Question, load_task, read_task_file
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
    if request.data is None:
        return harness_papers(request.tasks, limit=request.limit)
    return task_papers(request.tasks, request.data, limit=request.limit)


def task_papers(names: Sequence[str], data: Path, *, limit: int | None) -> list[Paper]:
    """Return tasks as papers, from local files.

    Raises:
        EvaluationError: A task has no file, or its data are not as it says.
        CorpusError: The data are not JSON lines, or lack a field.
    """
    files = [read_task_file(name) for name in names]
    tasks = [load_task(file, data, limit=limit) for file in files]
    return [
        Paper(
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
        for task in tasks
    ]


def harness_papers(names: Sequence[str], *, limit: int | None) -> list[Paper]:
    """Return tasks of lm-evaluation-harness as papers; it fetches their rows itself.

    Raises:
        CorpusError: The harness is not installed, knows no such task, or cannot load its rows.
    """
    tasks = [load_harness_task(name, limit=limit) for name in names]
    return [
        Paper(
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
        for task in tasks
    ]


def text_papers(paths: Sequence[Path], *, text_field: str, documents: int | None) -> list[Paper]:
    """Return files of texts as papers: JSON lines, plain text or parquet, packed or not.

    Texts are taken as they are, without cleaning.

    Args:
        paths: The files.
        text_field: The field of a record that holds the text.
        documents: Of each file, at most, the first ones.

    Raises:
        CorpusError: A file cannot be read, or a record has no text.
        EvaluationError: No document has any text.
    """
    return [_text_paper(path, text_field, documents) for path in paths]


def _text_paper(path: Path, text_field: str, documents: int | None) -> Paper:
    form = RecordForm(text_field=text_field, id_field=None, split=None)
    found: list[Document] = []
    capped = False
    for record in read(path, form):
        if isinstance(record, Lost):
            raise record.error
        if len(found) == documents:
            capped = True
            break
        found.append(Document(index=len(found), text=record.text))
    if not any(each.text for each in found):
        raise EvaluationError(
            f"documents with text in {path}",
            got=f"{len(found)} empty ones" if found else "none",
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
