"""``growlm new``: what it writes is what ``growlm check`` accepts."""

import io
import sys

import pytest

from growlm.recipe.read import read


@pytest.fixture
def answers(monkeypatch):
    """Return a function: what a person at a terminal will type."""

    def type_in(*lines):
        keyboard = io.StringIO("".join(f"{line}\n" for line in lines))
        keyboard.isatty = lambda: True
        monkeypatch.setattr(sys, "stdin", keyboard)

    return type_in


def test_a_new_recipe_is_one_that_check_accepts(growlm, recipe, tmp_path):
    path = tmp_path / "more" / "new.toml"
    source = recipe.parent / "data/tales.jsonl"
    words = ("--size", "1M", "--source", source, "--tokens", "60K", "--context", 16, "--control")
    made = growlm("new", path, *words)
    assert made.stdout == f"{path}: growlm check {path}\n"
    checked = growlm("check", path)
    assert checked.returncode == 0, checked.stderr
    assert "grown from base" in checked.stdout
    assert [stage.name for stage in read(path).stage] == ["base", "grown", "scratch"]


def test_files_are_named_as_the_recipe_s_folder_sees_them(growlm, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(recipe.parent)
    sources = ("data/tales.jsonl", "builtin", "https://example.org/a.txt")
    assert growlm("new", "deep/er/x.toml", "--size", "1M", "--source", *sources).returncode == 0
    found = read(tmp_path / "deep/er/x.toml").source
    assert [each.files for each in found] == [
        ("../../data/tales.jsonl",),
        (),
        (),
        ("https://example.org/a.txt",),
    ]


def test_questions_are_asked_for_what_the_flags_leave_open(growlm, answers, tmp_path):
    answers("12M", "a.txt b.txt", "3M")
    done = growlm("new", tmp_path / "x.toml")
    assert done.stdout.startswith(
        "Size (1M, 12M, 124M, 350M, 760M) [124M]: Files of text [builtin]"
    )
    found = read(tmp_path / "x.toml")
    assert [each.name for each in found.source] == ["a", "b"]
    assert found.stage[0].tokens == 2_250_000

    answers("", "")
    assert growlm("new", tmp_path / "y.toml", "--source", "a.txt").returncode == 0
    assert read(tmp_path / "y.toml").stage[0].tokens == 15 * 124_000_000


def test_a_question_that_nobody_answers_is_one_line(refusal, answers, tmp_path, monkeypatch):
    line = "expected --size, where nobody answers; got none. Try --size 124M."
    answers()
    assert refusal("new", tmp_path / "x.toml", code=2) == line
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert refusal("new", tmp_path / "x.toml", code=2) == line
    assert not (tmp_path / "x.toml").exists()


def test_a_recipe_that_is_there_is_never_written_over(refusal, recipe):
    assert refusal("new", recipe, "--size", "1M", "--source", "builtin") == (
        f"expected no file at {recipe} yet; got one. Try another name for the recipe."
    )


def test_a_name_that_no_run_can_have_is_refused(refusal, tmp_path):
    said = refusal("new", tmp_path / "my+run.toml", "--size", "1M", "--source", "builtin", code=2)
    assert "name" in said
    assert not list(tmp_path.iterdir())
