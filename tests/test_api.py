"""growlm from Python: the commands' names and defaults, and what they give."""

import inspect
import re
import runpy
import shutil
from pathlib import Path

import pytest
import torch

import growlm as package
from growlm import api
from growlm.base.errors import CheckpointError, EvaluationError, FolderError, RecipeError
from growlm.cli.grow import add_arguments
from growlm.cli.main import COMMANDS
from growlm.cli.parser import Parser
from growlm.pipeline.events import Skipped

ROOT = Path(__file__).parents[1]

FROM_PYTHON = {
    "run": api.Recipe.run,
    "check": api.Recipe.check,
    "prepare": api.Recipe.prepare,
    "train": api.train,
    "grow": api.grow,
    "certify": api.certify,
    "shrink": api.shrink,
    "average": api.average,
    "evaluate": api.evaluate,
    "log": api.log,
    "import": api.import_folder,
    "export": api.Checkpoint.export,
    "inspect": api.Checkpoint.inspect,
}
"""Commands that have a function."""


def test_the_root_names_what_it_offers_and_nothing_else_by_it():
    assert [getattr(package, name).__name__ for name in package.__all__] == package.__all__
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="module 'growlm' has no attribute 'shrimp'"):
        _ = package.shrimp


def test_functions_go_by_the_commands_names():
    assert set(FROM_PYTHON) <= set(COMMANDS)
    for name, function in FROM_PYTHON.items():
        assert function.__name__.removesuffix("_folder") == name


def test_grow_takes_what_the_command_takes_with_the_same_defaults():
    parser = Parser("grow", description="")
    add_arguments(parser)
    actions = [each for each in parser._actions if each.dest not in {"help", "quiet", "json"}]
    said = {
        each.dest: tuple(each.default) if isinstance(each.default, list) else each.default
        for each in actions
        if each.option_strings
    }
    parameters = inspect.signature(api.grow).parameters
    taken = {
        name: each.default
        for name, each in parameters.items()
        if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert taken == said


@pytest.fixture
def base(finished: Path) -> Path:
    return finished / "run/stages/base/training/final"


def test_a_checkpoint_is_loaded_with_its_weights_and_its_tokenizer(base: Path):
    loaded = package.load(str(base))
    model, tokenizer = loaded.model(), loaded.tokenizer
    ids = tokenizer.encode(["the river of the garden"])
    assert tokenizer.decode(ids[0]) == "the river of the garden"
    with torch.no_grad():
        logits = model.logits(torch.tensor(ids))
    assert logits.shape == (1, len(ids[0]), loaded.config.vocab_size)
    assert not model.training
    assert loaded.inspect()["stage"] == "base"
    assert loaded.certificate is None


def test_a_child_grown_from_python_is_the_one_that_the_command_grows(
    growlm, base: Path, tmp_path: Path
):
    child = package.grow(base, tmp_path / "a" / "child", layers=2, mlp=96, seed=3)
    words = ("--layers", 2, "--mlp", 96, "--seed", 3)
    assert growlm("grow", base, tmp_path / "b" / "child", *words).returncode == 0
    other = package.load(tmp_path / "b" / "child")
    assert child.config == other.config
    assert child.certificate == other.certificate
    assert child.inspect()["files"] == other.inspect()["files"]
    assert api.certify(base, child).certificate == child.certificate


def test_an_exact_child_scores_as_its_parent_and_gives_it_back(base: Path, tmp_path: Path):
    run = base.parents[3]
    child = package.grow(base, tmp_path / "child", layers=3, depth="insert", run=run)
    one, *_ = package.evaluate(base)
    other, *_ = package.evaluate(child, run=run)
    assert other.bits_per_byte == pytest.approx(one.bits_per_byte, rel=1e-5)
    assert api.shrink(child, tmp_path / "parent").child_tokens == 0
    assert package.load(tmp_path / "parent").config == package.load(base).config


def test_a_finished_run_is_checked_and_run_from_python(again: Path):
    recipe = package.Recipe(again / "tiny.toml")
    assert recipe.out == Path("runs/tiny")
    told = []
    assert recipe.run(out=again / "run", tell=told.append) == again / "run"
    assert {type(each) for each in told} == {Skipped}
    assert [stage.name for stage in recipe.check(out=again / "run").stages] == [
        "base",
        "grown",
        "scratch",
    ]
    base = package.train(recipe, stage="base", out=again / "run")
    assert base.path == again / "run/stages/base/training/final"


def test_averages_imports_and_exports_work_from_python(base: Path, tmp_path: Path):
    other = shutil.copytree(base, tmp_path / "other")
    mean = api.average([package.load(base), other], out=tmp_path / "mean")
    assert mean.export(tmp_path / "hf").family == "MPT"
    back = api.import_folder(tmp_path / "hf", tmp_path / "back")
    assert back.config == package.load(tmp_path / "hf").config
    assert (back.config.layers, back.config.width) == (mean.config.layers, mean.config.width)


def test_mistakes_are_the_commands_own(finished: Path, base: Path, tmp_path: Path):
    with pytest.raises(RecipeError, match=r"expected a size of the child; got none\. Try layers="):
        package.grow(base, tmp_path / "child")
    with pytest.raises(FolderError, match="a run's folder"):
        api.log(tmp_path)
    with pytest.raises(CheckpointError, match="nowhere"):
        package.load(tmp_path / "nowhere")
    package.grow(base, tmp_path / "child", layers=2)
    with pytest.raises(EvaluationError, match="a checkpoint inside a run's folder"):
        package.evaluate(tmp_path / "child")
    with pytest.raises(RecipeError, match="stage"):
        package.train(package.Recipe(finished / "tiny.toml"), stage="bose", out=tmp_path / "run")
    wrong = package.Recipe(finished / "tiny.toml", ("stage.base.tokens=many",))
    with pytest.raises(RecipeError, match="tokens"):
        _ = wrong.experiment


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
