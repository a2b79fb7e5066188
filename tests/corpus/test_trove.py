import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.trove import TroveEngine


def double(task, out, number):
    del out, number
    return {"double": 2 * task}


@pytest.fixture
def datatrove(monkeypatch):
    """Stand for datatrove: executors that run the ranks here, or leave some of them out."""
    seen = SimpleNamespace(options=[], ranks=None)

    class PipelineStep:
        pass

    class Executor:
        def __init__(self, pipeline, tasks, **options):
            seen.options.append({"tasks": tasks, **options})
            self.pipeline, self.tasks = pipeline, tasks

        def run(self):
            for rank in seen.ranks or range(self.tasks):
                list(self.pipeline[0].run(None, rank=rank, world_size=self.tasks))

    modules = {
        "datatrove": {},
        "datatrove.pipeline": {},
        "datatrove.pipeline.base": {"PipelineStep": PipelineStep},
        "datatrove.executor": {},
        "datatrove.executor.local": {"LocalPipelineExecutor": Executor},
        "datatrove.executor.slurm": {"SlurmPipelineExecutor": Executor},
        "datatrove.executor.ray": {"RayPipelineExecutor": Executor},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return seen


@pytest.mark.parametrize("executor", ["trove", "slurm", "ray"])
def test_every_rank_does_the_task_of_its_number(datatrove, tmp_path, executor):
    engine = TroveEngine(executor=executor, workers=8, options={"time": "1:00:00"})
    results = engine.run(double, [5, 6], out=tmp_path, key="ab" * 32)
    assert results == [{"double": 10}, {"double": 12}]
    assert datatrove.options == [
        {
            "tasks": 2,
            "workers": 2,
            "logging_dir": str(tmp_path / "trove" / "abababababababab"),
            "time": "1:00:00",
        }
    ]


@pytest.mark.parametrize("executor", ["ray", "slurm"])
def test_ranks_that_leave_nothing_are_told(datatrove, tmp_path, executor):
    datatrove.ranks = [0]
    engine = TroveEngine(executor=executor, workers=1, options={})
    with pytest.raises(CorpusError, match=rf"every rank of the {executor} engine.*no result.*logs"):
        engine.run(double, [5, 6], out=tmp_path, key="a")


def test_what_an_executor_raises_is_one_line(datatrove, tmp_path):
    datatrove.ranks = [7]
    engine = TroveEngine(executor="trove", workers=1, options={})
    with pytest.raises(CorpusError, match="got 'list index out of range'"):
        engine.run(double, [5], out=tmp_path, key="a")


def test_a_missing_package_is_named_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datatrove", None)
    engine = TroveEngine(executor="ray", workers=1, options={})
    with pytest.raises(CorpusError, match=r"datatrove, to run .*install 'growlm\[cluster\]'"):
        engine.run(double, [5], out=tmp_path, key="a")


SCRIPT = """
import sys
from pathlib import Path
from growlm.corpus.duplicates import search
from growlm.corpus.engine import LocalEngine
from growlm.corpus.trove import TroveEngine
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.sections import Source

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sources = [Source(name=name, files=(f"{name}.txt",), weight=1.0) for name in "abc"]
    engines = LocalEngine(workers=1), TroveEngine(executor=sys.argv[2], workers=2, options={})
    here, there = (
        search(sources, Duplicates(), folder=folder, out=folder / str(place), engine=engine)
        for place, engine in enumerate(engines)
    )
    sys.exit(here != there or there["dropped"]["b"]["near"] != 1)
"""
"""Runs where the shape hook does not wrap what clusters pickle."""


@pytest.mark.parametrize("executor", ["trove", "ray"])
def test_the_real_thing_finds_what_processes_find(tmp_path, executor):
    for package in ("datatrove", *(["ray"] if executor == "ray" else [])):
        pytest.importorskip(package)
    text = " ".join(f"w{n * n % 101}" for n in range(300))
    for name, content in (("a", text), ("b", f"{text} and more"), ("c", "another one")):
        (tmp_path / f"{name}.txt").write_text(content)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, tmp_path, executor], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
