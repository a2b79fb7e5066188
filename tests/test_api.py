"""growlm from Python: the commands' names and defaults, and what they give."""

import inspect
import re
import runpy
from collections.abc import Callable
from importlib import import_module  # noqa: TID251 - a command is found by its name
from pathlib import Path
from typing import Any

import pytest

import growlm as package
from growlm.cli.main import COMMANDS
from growlm.cli.parser import Parser

ROOT = Path(__file__).parents[1]

NOT_FROM_PYTHON = {"completion": "it is a shell's"}
"""Commands without a function, and why."""

BESIDE_THE_COMMANDS = {"Checkpoint", "Probe", "Recipe", "examine", "load"}
"""Names that are no command's: what functions take and give, and the other half of evaluate."""


def test_the_root_names_what_it_offers_and_nothing_else_by_it():
    assert [getattr(package, name).__name__ for name in package.__all__] == package.__all__
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="module 'growlm' has no attribute 'shrimp'"):
        _ = package.shrimp


def test_every_command_has_a_function_of_its_name_and_takes_keywords():
    names = {name.removesuffix("_folder") for name in package.__all__}
    assert names - BESIDE_THE_COMMANDS == set(COMMANDS) - set(NOT_FROM_PYTHON)
    assert set(NOT_FROM_PYTHON) < set(COMMANDS)
    for name in set(package.__all__) - BESIDE_THE_COMMANDS:
        function = getattr(package, name)
        parameters = inspect.signature(function).parameters.values()
        assert sum(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters) <= 2, name
        assert "Raises:" in function.__doc__ or name in {"doctor", "schema"}


def options_of(command: str) -> dict[str, Any]:
    """Return the options of a command and their defaults, but for those that print."""
    parser = Parser(command, description="")
    import_module(f"growlm.cli.{command}").add_arguments(parser)
    unheard = {"help", "quiet", "json", "grace", "max_wall", "patience"}
    return {
        each.dest: tuple(each.default) if isinstance(each.default, list) else each.default
        for each in parser._actions
        if each.option_strings and each.dest not in unheard
    }


def keywords_of(function: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: each.default
        for name, each in inspect.signature(function).parameters.items()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }


def test_grow_takes_what_the_command_takes_with_the_same_defaults():
    assert keywords_of(package.grow) == options_of("grow")


@pytest.mark.parametrize(
    ("command", "here"),
    [
        ("advise", {"run", "peak_lr", "batch", "seed"}),  # a Probe has them
        ("average", set()),
        ("check", {"overrides"}),  # a Recipe has them
        ("exposure", {"examples"}),  # all of it is given
        ("export", {"license"}),  # license_id: Python has a license of its own
        ("generate", {"prompts"}),
        ("log", set()),
        ("overlap", {"sources", "against"}),
        ("plan", {"overrides"}),
        ("play", {"open"}),  # opened: Python has an open of its own
        ("run", {"overrides"}),
        ("shrink", set()),
        ("study", {"overrides"}),
        ("train", {"overrides"}),
    ],
)
def test_functions_take_the_commands_options_with_the_same_defaults(command, here):
    taken, said = keywords_of(getattr(package, command)), options_of(command)
    assert said.keys() - here <= taken.keys()
    for name in said.keys() & taken.keys():
        unsaid = {None, inspect.Parameter.empty}
        assert taken[name] == said[name] or {taken[name], said[name]} <= unsaid, name


@pytest.fixture
def there(again: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that is worked in: with ``recipes/demo.toml``, a tiny one, and its run."""
    (again / "recipes").symlink_to(again)
    (again / "demo.toml").symlink_to("tiny.toml")
    (again / "runs").mkdir()
    (again / "run").rename(again / "runs" / "tiny")
    monkeypatch.chdir(again)
    return again


def test_the_readme_s_example_works(there: Path, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(block.splitlines()) <= 12
    exec(block, {})  # noqa: S102 - ours
    assert "exact 6\n" in capsys.readouterr().out
    assert (there / "child").is_dir()


def run_example(name: str, *words: str) -> None:
    main = runpy.run_path(str(ROOT / "examples" / name))["main"]
    main(*words)


@pytest.mark.usefixtures("there")
def test_the_examples_run(capsys):
    run_example("train_and_grow.py", "recipes/demo.toml", "base", "child")
    parent, child = capsys.readouterr().out.splitlines()
    assert parent.startswith("parent: 1 layers, bits per byte: tales ")
    assert child.startswith("child: 2 layers, bits per byte: tales ")
    assert parent.partition("tales")[2] == child.partition("tales")[2]
    run_example("next_tokens.py", "child", "the river of")
    rows = capsys.readouterr().out.splitlines()
    shares = [float(row.split()[0]) for row in rows]
    assert len(rows) == 5
    assert shares == sorted(shares, reverse=True)


def test_every_example_is_run():
    source = Path(__file__).read_text()
    assert all(f'"{each.name}"' in source for each in (ROOT / "examples").glob("*.py"))
