import sys
from types import SimpleNamespace
from typing import Any

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.overlap.tasks import benchmark_of, read_task

ROWS = [
    {"goal": "To open a jar,", "sols": ["twist the lid", "wait"], "label": 0},
    {"goal": "To boil an egg, ", "sols": ["freeze it", "heat water"], "label": 1},
]


class Standin:
    """A task in the form that the harness gives it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.eval_docs = answers.get("rows", ROWS)

    def doc_to_text(self, doc: Any) -> Any:
        return self.answers.get("text", lambda doc: doc["goal"])(doc)

    def doc_to_target(self, doc: Any) -> Any:
        return self.answers.get("target", lambda doc: doc["label"])(doc)

    def doc_to_choice(self, doc: Any) -> Any:
        return doc["sols"]


def shown(**answers: Any) -> list[tuple[str, str]]:
    found = benchmark_of("quiz", "standin", Standin(**answers))
    texts = [(example.text, example.answer) for example in found.examples]
    return [(text, text[slice(*answer)] if answer else "") for text, answer in texts]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, ("To boil an egg, heat water", " heat water")),
        ({"target": lambda _: " steam it "}, ("To boil an egg, steam it", " steam it")),
        ({"target": lambda _: ["steam it", "bake it"]}, ("To boil an egg, steam it", " steam it")),
        ({"target": lambda _: ""}, ("To boil an egg,", "")),
        (
            {"text": lambda doc: doc["label"], "target": lambda _: "all."},
            ("heat water all.", " all."),
        ),
    ],
)
def test_an_example_is_what_a_row_asks_and_then_what_it_expects(answers, expected):
    assert shown(**answers)[1] == expected


def test_a_benchmark_is_known_by_its_texts():
    first, again = (benchmark_of("quiz", "standin", Standin()) for _ in range(2))
    other = benchmark_of("quiz", "standin", Standin(rows=ROWS[:1]))
    assert (first.name, first.path, first.fields) == (
        "quiz",
        "lm-eval:standin",
        {"task": "standin"},
    )
    assert first.sha256 == again.sha256 != other.sha256
    assert [example.index for example in first.examples] == [0, 1]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"rows": []}, "rows of the task standin; got none"),
        ({"text": lambda _: None}, "row 0 of the task to ask and expect words; got NoneType"),
        ({"text": lambda doc: doc["gaol"]}, "the rows of the task standin; got ''gaol''"),
    ],
)
def test_rows_that_give_no_words_are_refused(answers, words):
    with pytest.raises(CorpusError, match=words):
        shown(**answers)


def harness(tasks: dict[str, Any]) -> Any:
    def load(words: list[str]) -> Any:
        if words == ["broken"]:
            raise ValueError("no such\n data set")
        names = [name for name in tasks if name.startswith(words[0])]
        return {"tasks": {name: tasks[name] for name in names}}

    manager = SimpleNamespace(all_tasks=[*tasks, "many", "broken"], load=load)
    return SimpleNamespace(TaskManager=lambda: manager)


@pytest.fixture
def installed(monkeypatch):
    """Stand in for the harness, with one task and a group of two."""
    tasks = {"quiz": Standin(), "many_a": Standin(), "many_b": Standin()}
    monkeypatch.setitem(sys.modules, "lm_eval", SimpleNamespace(tasks=harness(tasks)))


@pytest.mark.usefixtures("installed")
def test_a_task_is_found_by_its_name():
    assert read_task("mine", "lm-eval:quiz").examples[0].text == "To open a jar, twist the lid"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("quizz", "a task of lm-evaluation-harness; got 'quizz'"),
        ("many", "a single task called many; got a group of 2. Try each of them: lm-eval:many_a"),
        ("broken", "the rows of the task broken; got 'no such data set'"),
    ],
)
def test_a_name_that_gives_no_task_is_refused(word, words):
    with pytest.raises(CorpusError, match=words):
        read_task("mine", f"lm-eval:{word}")


def test_without_the_harness_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(CorpusError, match=r"the package lm_eval, to read the task quiz.*\[eval\]"):
        read_task("mine", "lm-eval:quiz")
