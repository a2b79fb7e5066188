import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from growlm.base.errors import CorpusError, EvaluationError
from growlm.evaluation.tasks import Task, load_task, read_task_file, shipped

ROWS = {
    "lambada_openai": {"text": "He shut the\ndoor of the car"},
    "piqa": {"goal": "sit", "sol1": "on a chair", "sol2": "on a hat", "label": 0},
    "hellaswag": {"query": "A man", "choices": [" runs.", "sits.", "x", "y"], "gold": "1"},
}


def load(folder: Path, name: str, *rows: dict[str, Any], limit: int | None = None) -> Task:
    file = read_task_file(name)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / file.files[0]).write_text(text)
    return load_task(file, folder, limit=limit)


def test_the_last_word_follows_the_last_blank(tmp_path):
    (question,) = load(tmp_path, "lambada_openai", ROWS["lambada_openai"]).questions
    assert question.pairs == (("He shut the\ndoor of the", " car"),)
    (only,) = load(tmp_path, "lambada_openai", {"text": "one\ntwo"}).questions
    assert only.pairs == (("", " one\ntwo"),)


def test_piqa_asks_for_one_of_two_solutions(tmp_path):
    (question,) = load(tmp_path, "piqa", ROWS["piqa"]).questions
    prompt = "Question: sit\nAnswer:"
    assert question.pairs == ((prompt, " on a chair"), (prompt, " on a hat"))
    assert (question.answer, question.characters) == (0, (10, 8))


def test_hellaswag_keeps_the_blank_before_an_ending(tmp_path):
    (question,) = load(tmp_path, "hellaswag", ROWS["hellaswag"]).questions
    assert question.pairs[0] == ("A man", "  runs.")
    assert (question.answer, question.characters[:2]) == (1, (6, 5))


@pytest.mark.parametrize("name", shipped())
def test_every_task_that_comes_along_is_read_packed_and_up_to_a_limit(name, tmp_path):
    row = json.dumps(ROWS[name]) + "\n"
    path = tmp_path / (read_task_file(name).files[-1] + ".gz")
    path.write_bytes(gzip.compress((row * 3).encode()))
    task = load_task(read_task_file(name), tmp_path, limit=2)
    assert [each.index for each in task.questions] == [0, 1]
    assert (task.name, task.version, task.path) == (name, "1.0", str(path))


def test_a_task_file_of_one_s_own_asks_what_it_says(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'version = "2"\nform = "choice"\nfiles = ["mine.jsonl"]\nprompt = "{a.b}?"\n'
        'options = ["yes", "no"]\nanswer = "n"\n'
    )
    (tmp_path / "mine.jsonl").write_text('{"a": {"b": "so"}, "n": 1}\n')
    task = load_task(read_task_file(str(path)), tmp_path, limit=None)
    assert task.questions[0].pairs == (("so?", " yes"), ("so?", " no"))
    assert (task.name, task.version, task.questions[0].answer) == ("mine", "2", 1)


def test_a_task_that_is_asked_otherwise_has_another_digest(tmp_path):
    digests = {load(tmp_path, name, row).asked for name, row in ROWS.items()}
    assert len(digests) == len(ROWS)


def test_a_misspelt_task_is_answered_with_the_nearest():
    with pytest.raises(EvaluationError, match=r"got 'lambda_openai'\. Try lambada_openai"):
        read_task_file("lambda_openai")


def test_data_that_are_missing_are_named(tmp_path):
    (tmp_path / "other.txt").touch()
    with pytest.raises(
        EvaluationError, match=r"got other\.txt\. Try a file called piqa_validation"
    ):
        load_task(read_task_file("piqa"), tmp_path, limit=None)
    with pytest.raises(EvaluationError, match="a folder with the data of piqa"):
        load_task(read_task_file("piqa"), tmp_path / "none", limit=None)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("piqa", {"label": None}, "the number of an option, below 2.*got None"),
        ("piqa", {"label": 2}, "below 2, in field 'label' of .* line 1; got 2"),
        ("piqa", {"sol2": ""}, "every option .* to have text; got option 2 of 2"),
        ("piqa", {"goal": 3}, "text in field 'goal' .*; got int"),
        ("lambada_openai", {"text": ""}, "ends with a word in .* line 1; got an empty text"),
        ("lambada_openai", {"text": "a cat "}, "ends with a word .*; got a blank at its end"),
        (
            "hellaswag",
            {"choices": []},
            "a list of options in field 'choices' .*; got an empty list. Try another row",
        ),
        ("hellaswag", {"choices": "a"}, "a list of options in field 'choices' .*; got str"),
    ],
)
def test_a_row_with_another_kind_of_value_is_refused(name, changes, said, tmp_path):
    with pytest.raises(EvaluationError, match=said):
        load(tmp_path, name, {**ROWS[name], **changes})


def test_a_row_without_a_field_is_refused_by_its_name(tmp_path):
    row = {"goal": "sit", "sol1": "on a chair", "sol_2": "on a hat", "label": 0}
    with pytest.raises(CorpusError, match=r"a field 'sol2' in .* line 1; got .*\. Try sol"):
        load(tmp_path, "piqa", row)


def test_a_field_that_no_other_resembles_is_looked_for_in_other_rows(tmp_path):
    row = {name: value for name, value in ROWS["piqa"].items() if name != "label"}
    with pytest.raises(CorpusError, match=r"got the fields .*\. Try rows with that field"):
        load(tmp_path, "piqa", row)


def test_data_without_rows_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"rows in .*; got none"):
        load(tmp_path, "piqa")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("= 3", "expected TOML; got"),
        ("promt = 'x'", "a key of a task file; got 'promt'. Try prompt"),
        ("form = 'choices'", "a form of task; got 'choices'. Try choice"),
        ("form = 'choice'", "'options' and 'answer' for choices"),
        ("prepare = 'x'", "a preparation; got 'x'. Try hellaswag"),
        ("files = 'x'", r"'files' to be a list; got str. Try files = \["),
        ("version = 1", "'version' to be text in quotes; got int. Try version = "),
    ],
)
def test_a_task_file_that_says_something_else_is_refused(line, said, tmp_path):
    good = {"version": "'1'", "form": "'last-word'", "files": "['x']", "prompt": "'{text}'"}
    key = line.partition(" ")[0]
    lines = [f"{name} = {value}" for name, value in good.items() if name != key]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([*lines, line]))
    with pytest.raises(EvaluationError, match=said):
        read_task_file(str(path))
