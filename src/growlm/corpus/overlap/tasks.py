"""Benchmarks by the names of lm-evaluation-harness: what its tasks ask and what they expect."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Protocol, cast, runtime_checkable

from growlm.base.errors import CorpusError, GrowlmError
from growlm.base.files import digest_of
from growlm.corpus.optional import missing
from growlm.corpus.overlap.benchmark import Benchmark, Example

PREFIX = "lm-eval:"
"""What a place begins with that is no file, but a task of the harness."""


@runtime_checkable  # the shape hook asks
class Task(Protocol):
    """What is asked of a task of the harness, of version 0.4."""

    @property
    def eval_docs(self) -> Iterable[Mapping[str, Any]]:
        """The rows that it is scored on."""
        ...

    def doc_to_text(self, doc: Any) -> Any:
        """What a row asks; where it chooses between beginnings, the number of one."""
        ...

    def doc_to_target(self, doc: Any) -> Any:
        """What is expected: words, several of them, or the number of a choice."""
        ...

    def doc_to_choice(self, doc: Any) -> Any:
        """The choices of a row."""
        ...


def is_task(place: str) -> bool:
    """Return whether a place is a task of the harness.

    >>> is_task("lm-eval:piqa"), is_task("data/piqa.jsonl")
    (True, False)
    """
    return place.startswith(PREFIX)


def read_task(name: str, place: str) -> Benchmark:
    """Return the examples of a task: its test rows, or those for validation where it has none.

    Args:
        name: How reports call it.
        place: ``lm-eval:TASK``.

    Raises:
        CorpusError: The harness is not installed, knows no such task, or cannot load its rows.
    """
    word = place.removeprefix(PREFIX)
    return benchmark_of(name, word, load(word))


def benchmark_of(name: str, word: str, task: Task) -> Benchmark:
    """Return the examples of a loaded task.

    Args:
        name: How reports call it.
        word: How the harness calls it.
        task: The task.

    Raises:
        CorpusError: It has no rows, or its rows are not words.
    """
    try:
        examples = tuple(_example(task, index, doc) for index, doc in enumerate(task.eval_docs))
    except GrowlmError:
        raise
    except Exception as error:  # the harness and the rows' hub raise what they like
        raise _unread(word, error) from error
    if not examples:
        raise CorpusError(f"rows of the task {word}", got="none", fix="another task")
    return Benchmark(
        name=name,
        path=f"{PREFIX}{word}",
        sha256=digest_of([example.text for example in examples]),
        fields={"task": word},
        examples=examples,
    )


def load(word: str) -> Task:
    """Return a task of the harness.

    Raises:
        CorpusError: The harness is not installed, knows no such task, or cannot load its rows.
    """
    try:
        from lm_eval import tasks  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ImportError as error:
        raise missing("lm_eval", extra="eval", purpose=f"read the task {word}") from error
    manager = cast(Any, tasks).TaskManager()
    if word not in manager.all_tasks:
        close = get_close_matches(word, cast(list[str], manager.all_tasks), n=1)
        raise CorpusError(
            "a task of lm-evaluation-harness",
            got=f"'{word}'",
            fix=close[0] if close else "lm_eval --tasks list",
        )
    try:
        found: dict[str, Task] = manager.load([word])["tasks"]
    except Exception as error:
        raise _unread(word, error) from error
    if list(found) != [word]:
        raise CorpusError(
            f"a single task called {word}",
            got=f"a group of {len(found)}",
            fix=f"each of them: {PREFIX}{next(iter(found), 'TASK')}",
        )
    return found[word]


def _example(task: Task, index: int, doc: Mapping[str, Any]) -> Example:
    asked, expected = task.doc_to_text(doc), task.doc_to_target(doc)
    if isinstance(asked, int):  # the rows choose between beginnings, of one and the same end
        asked = task.doc_to_choice(doc)[asked]
    if isinstance(expected, int):
        expected = task.doc_to_choice(doc)[expected]
    elif isinstance(expected, list):
        expected = cast(list[Any], expected)[0]
    if not isinstance(asked, str) or not isinstance(expected, str):
        raise CorpusError(
            f"row {index} of the task to ask and expect words",
            got=f"{type(asked).__name__} and {type(expected).__name__}",
            fix="a file of JSON lines, with --fields",
        )
    asked, expected = asked.rstrip(), expected.strip()
    answer = (len(asked), len(asked) + 1 + len(expected)) if expected else None
    return Example(
        index=index,
        text=f"{asked} {expected}" if expected else asked,
        answer=answer,
        context=None,
    )


def _unread(word: str, error: Exception) -> CorpusError:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return CorpusError(
        f"the rows of the task {word}", got=f"'{said}'", fix="lm_eval --tasks list, or a file"
    )
