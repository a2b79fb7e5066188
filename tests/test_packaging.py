"""Packaging: extras, what a wheel holds, a quick --help, and the files that hosts read."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from growlm.base.version import VERSION
from growlm.cli import demo
from growlm.cli.parser import Parser
from growlm.pipeline import open as opening

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

HEAVY = ("torch", "numpy", "pydantic", "rich", "growlm.pipeline", "growlm.recipe")
"""Modules that take longer to import than all of ``growlm --help`` may."""


def test_the_package_s_version_is_the_code_s() -> None:
    assert PROJECT["project"]["version"] == VERSION


def test_the_extras_that_people_look_for_are_there() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert {"hf", "eval", "cluster", "web", "docs", "gpu"} <= set(extras)


def test_its_commands_are_functions_that_are_there() -> None:
    for place in PROJECT["project"]["scripts"].values():
        module, _, name = place.partition(":")
        tree = ast.parse((ROOT / "src" / f"{module.replace('.', '/')}.py").read_text("utf-8"))
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_a_wheel_carries_the_demo_s_recipe_where_the_command_looks_for_it() -> None:
    packed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    ((here, there),) = packed.items()
    assert (ROOT / here).is_file()
    assert ROOT / "src" / there == opening.PACKED


def test_the_demo_runs_outside_a_clone_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "PACKED", ROOT / opening.DEMO)
    monkeypatch.setattr("growlm.cli.run.run", lambda options: len(options.recipe.name))
    assert demo.run(Parser("demo", description="").read([])) == len("demo.toml")


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys; from growlm.cli.main import main; main(['--help']); "
        f"sys.exit(', '.join(set({HEAVY}) & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""
    assert done.returncode == 0


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_what_the_host_reads_is_yaml_and_names_targets_that_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["name"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = [
        line.split("make ")[1].split()[0] for line in text.splitlines() if "run: make" in line
    ]
    assert all(f"\n{target}:" in makefile for target in called)


def test_the_image_copies_what_is_there() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert "src" in copied
    assert all((ROOT / each).exists() for each in copied)


def test_the_image_takes_the_torch_that_the_package_asks_for() -> None:
    asked = next(each for each in PROJECT["project"]["dependencies"] if each.startswith("torch>"))
    assert f'"{asked}"' in (ROOT / "Dockerfile").read_text(encoding="utf-8")
