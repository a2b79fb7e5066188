"""What all tests share: tiny models, a tiny run, and which tests this machine can run."""

import contextlib
import fcntl
import gc
import inspect
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import is_dataclass
from functools import cache, partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

import jaxtyping
import numpy as np
import pytest
from _pytest.doctest import DoctestModule

if TYPE_CHECKING:  # the process that only hands out tests does without, and begins sooner
    import torch

    from growlm.model.config import GPTConfig
    from growlm.model.gpt import GPT

ROOT = Path(__file__).parents[1]


def _checked(original: Callable[..., Any], thing: Any = None, *, typechecker: Any = None) -> Any:
    """Do what the shape hook does; what has no shapes is left to the type checker alone.

    A call costs a hundred times as much with shapes, and most calls are of what has none.
    """
    if thing is None:
        return partial(_checked, original, typechecker=typechecker)
    if "jaxtyping" in repr(getattr(thing, "__annotations__", {})):
        return original(thing, typechecker=typechecker)
    if inspect.isfunction(thing):
        return typechecker(thing)
    if is_dataclass(thing):
        thing.__init__ = typechecker(thing.__init__)
    return thing


jaxtyping.jaxtyped = partial(_checked, jaxtyping.jaxtyped)  # before growlm, which it reads

TINY: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "kv_heads": 2,
    "width": 16,
    "head_width": 8,
    "mlp": 32,
    "context": 16,
    "vocab_size": 61,
    "padded_vocab_size": 64,
    "positions": "alibi",
    "norm": "layernorm",
    "activation": "gelu",
    "parallel": False,
    "qk_norm": False,
    "qkv_bias": True,
    "output_bias": True,
    "mlp_bias": True,
    "norm_bias": True,
    "tied": True,
    "norm_eps": 1e-5,
    "rotary_base": 10_000.0,
    "rotary_share": 1.0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}

RECIPE = """\
name = "tiny"
compile = false

[tokenizer]
vocab_size = 300

[[source]]
name = "tales"
files = ["data/tales.jsonl"]
weight = 1.0

[[source]]
name = "notes"
files = ["data/notes"]
weight = 0.5

[validation]
share = 0.2
tokens = 256

[mixture]
block = 16

[[stage]]
name = "base"
model = { layers = 1, heads = 2, width = 16, dropout = 0.1 }
context = 16
tokens = 1024
batch = 128
optimizer = { peak_lr = 1e-2, clip_norm = 1.0 }
schedule = { kind = "cosine", warmup_steps = 2 }
validate_every = 512
checkpoint_every = 256

[[stage]]
name = "grown"
grow = { from = "base", layers = 2, depth = "interleave" }
context = 32
tokens = 768
batch = 128
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "warmup-stable-decay", warmup_steps = 2 }
validate_every = 512

[[stage]]
name = "scratch"
control = { of = "grown" }
context = 32
batch = 128
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "cosine", warmup_steps = 2 }
validate_every = 512
checkpoint_every = 256

[average]
stages = ["grown"]
checkpoints = 2
last = 0.5

[evaluate]
documents = 2
last_word = { source = "tales", examples = 10 }

[log]
title = "A tiny run"
"""
"""The demo's experiment at the smallest size that still has every part of it."""

NOUNS = (
    "river mountain garden window letter music winter summer planet engine market bridge forest "
    "island castle village teacher doctor writer painter silver copper golden marble velvet "
    "thunder shadow candle mirror lantern"
)
LINKS = "the a of in on with and to from over under near by for"


def pytest_configure(config: pytest.Config) -> None:
    """One thread and fixed algorithms: the same numbers in every run, and no fight for cores."""
    if config.getoption("numprocesses", None):
        return  # this process runs no test
    import torch

    torch.set_num_threads(1)
    torch.set_warn_always(True)  # a warning once a process would fail whichever test came first
    torch.use_deterministic_algorithms(mode=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine or this run cannot do; begin with what takes one process longest."""
    import torch

    items.sort(key=lambda item: not forks(item.nodeid.partition("::")[0]))
    hooked = bool(config.getoption("--jaxtyping-packages"))
    for item in items:
        if item.get_closest_marker("compiled") and hooked:
            item.add_marker(pytest.mark.skip(reason="torch.compile cannot trace the shape hook"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs CUDA"))
    gc.collect()
    gc.freeze()  # what was loaded stays: the collector need not look at it, as each training asks


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[Any], list[Any]]:
    """Look for examples in docstrings in ``src`` alone."""
    found = yield
    return [each for each in found if not isinstance(each, DoctestModule)]


@cache
def forks(path: str) -> bool:
    """Return whether a file's tests run commands in forks of a process that loads all of it."""
    file = ROOT / path
    return file.is_file() and "forked" in file.read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together the files that share the process of ``forked``, and begin with them."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "forked" if forks(file) else file

    config.option.loadscopereorder = False  # its order is that of the collection
    return Together(config, log)


def make_config(*, linear_bias: bool | None = None, **changes: Any) -> "GPTConfig":
    from growlm.model.config import GPTConfig

    if linear_bias is not None:  # as in recipes, one word for all three
        changes |= dict.fromkeys(("qkv_bias", "output_bias", "mlp_bias"), linear_bias)
    return GPTConfig(**{**TINY, **changes})


def make_model(config: "GPTConfig", seed: int = 0, dtype: "torch.dtype | None" = None) -> "GPT":
    import torch

    from growlm.model.gpt import GPT
    from growlm.model.init import initialize

    dtype = dtype or torch.float32
    model = GPT(config).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    initialize(model, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            # Nothing may hide behind a zero bias, a gain of one, or weights too small to matter.
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(dtype))
    return model


@pytest.fixture(scope="session")
def tiny_config() -> "Callable[..., GPTConfig]":
    """Return a factory: a tiny GPTConfig with the named fields changed."""
    return make_config


@pytest.fixture(scope="session")
def tiny_model() -> "Callable[..., GPT]":
    """Return a factory: config, seed, dtype -> a GPT whose every parameter matters."""
    return make_model


def tale(number: int) -> str:
    """Return a document of plain sentences that say the same few nouns again and again."""
    stream = np.random.default_rng([7, number])
    nouns, links = stream.choice(NOUNS.split(), 5, replace=False), LINKS.split()
    sentences = []
    for _ in range(stream.integers(7, 10)):
        pairs = [(stream.choice(links), stream.choice(nouns)) for _ in range(5)]
        words = [str(word) for pair in pairs for word in pair]
        sentences.append(" ".join(words).capitalize() + ".")
    return " ".join(sentences)


def write_experiment(folder: Path) -> None:
    """Write the tiny recipe and its sources."""
    (folder / "data" / "notes").mkdir(parents=True)
    lines = [json.dumps({"text": tale(number)}) + "\n" for number in range(120)]
    (folder / "data" / "tales.jsonl").write_text("".join(lines), encoding="utf-8")
    for number in range(60):
        path = folder / "data" / "notes" / f"{number:02}.txt"
        path.write_text(tale(1000 + number), encoding="utf-8")
    (folder / "tiny.toml").write_text(RECIPE, encoding="utf-8")


def run_growlm(*words: object) -> CompletedProcess[str]:
    """Run a command in this process; a traceback would be the test's."""
    from growlm.cli.main import main  # here, so that tests of other rooms do without

    arguments = [str(word) for word in words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def growlm() -> Callable[..., CompletedProcess[str]]:
    """Return a function: the words after ``growlm`` -> exit code and both outputs."""
    return run_growlm


@pytest.fixture(scope="session")
def write_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function: a folder -> the tiny recipe in it, with its sources beside it."""
    made = tmp_path_factory.mktemp("tiny")
    write_experiment(made)
    return lambda folder: shutil.copytree(made, folder, dirs_exist_ok=True) / "tiny.toml"


@pytest.fixture
def recipe(tmp_path: Path, write_tiny: Callable[[Path], Path]) -> Path:
    """Return a tiny recipe that nothing has been done with; its sources lie beside it."""
    return write_tiny(tmp_path)


@pytest.fixture(scope="module")
def few_canaries() -> Iterator[None]:
    """Plant two passages of each kind instead of 25, where it is not them that are tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("growlm.corpus.overlap.canary.COPIES", 2)
        yield


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Leave out of logs what takes seconds to draw: the page's charts, and the picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("growlm.report.page.html", lambda _: "<html></html>")
        patch.setattr("growlm.report.page.png", lambda _: b"png")
        yield


@pytest.fixture(scope="session")
def once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a function: a name, what fills a folder -> the folder; for reading only.

    It is filled once, also where several processes share the tests.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if hasattr(request.config, "workerinput") else own

    def filled(name: str, fill: Callable[[Path], None]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                fill(made := tmp_path_factory.mktemp(name))
                made.rename(folder)
        return folder

    return filled


@pytest.fixture(scope="session")
def finished(
    once: Callable[[str, Callable[[Path], None]], Path], write_tiny: Callable[[Path], Path]
) -> Path:
    """Return a folder with ``tiny.toml`` and its finished ``run``; for reading only."""

    def fill(folder: Path) -> None:
        done = run_growlm("run", write_tiny(folder), "--out", folder / "run")
        assert done.returncode == 0, done.stderr

    return once("finished", fill)


@pytest.fixture
def again(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished folder that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "again"))


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Return a function that runs a command in a process of its own, where a mishap meets it.

    The words after ``growlm``, and mishaps of ``victims.py`` by name -> exit code and both outputs.
    """
    folder = tmp_path_factory.mktemp("outputs")
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("victims.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        answers, orders = server.stdout, server.stdin

        def run(
            *words: object, after_seconds: float | None = None, **mishaps: Any
        ) -> CompletedProcess[str]:
            outputs = {name: str(folder / name) for name in ("out", "err")}
            arguments = [str(word) for word in words]
            order = {
                "words": arguments,
                "after_seconds": after_seconds,
                "mishaps": mishaps,
                **outputs,
            }
            orders.write(json.dumps(order) + "\n")
            orders.flush()
            code = json.loads(answers.readline())
            out, err = (Path(path).read_text(encoding="utf-8") for path in outputs.values())
            return CompletedProcess(arguments, code, out, err)

        yield run
        server.kill()
