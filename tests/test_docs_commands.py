"""The pages' commands: each page is a session in a folder of its own; CONTRIBUTING.md says how."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from safetensors.torch import save_file

from growlm.base.errors import RecipeError
from growlm.cli.main import COMMANDS
from growlm.cli.parser import Parser, command
from growlm.model.config import GPTConfig
from growlm.model.families.family import write_config
from growlm.model.families.links import to_theirs
from growlm.model.families.table import FAMILIES
from growlm.model.gpt import GPT

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

BLOCK = re.compile(
    r"(?:^<!-- ((?:(?!-->).)*) -->\n+)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
PROMPT = "$ "
EXIT = re.compile(r"# exits with (\d+)$")
NOT_RUN, IN_SMALL, FILE = "not run", "run in small", "file"
SHELL = ("sh", "console")
BEGINS = re.compile(
    r"(\$ |.* -m |srun )?(growlm|make|pip|python|torchrun|\.venv/bin/\w+) [a-z-]+\b"
)
"""How a line begins that is a command, and so must stand in a block that is tested."""

HARMLESS = {"cat", "cp", "head", "ls", "mkdir", "rm", "tail"}
"""What a page may do beside growlm."""

SHAPE = {
    "positions": "rotary",
    "tied": False,
    "heads": 4,
    "width": 32,
    "vocab_size": 300,
    "padded_vocab_size": 384,
}
LLAMA = {
    "norm": "rmsnorm",
    "activation": "swiglu",
    "linear_bias": False,
    "norm_bias": False,
    "kv_heads": 2,
    "mlp": 64,
}
PYTHIA = {"parallel": True, "rotary_share": 0.25, "kv_heads": 4, "mlp": 128}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what it says, and the mark in front of it."""

    language: str
    body: str
    mark: str
    words: str

    @property
    def commands(self) -> list[str]:
        """Its commands, a line each."""
        lines = self.body.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [each.removeprefix(PROMPT) for each in lines if each.startswith(PROMPT)]
        return [each.strip() for each in lines if each.strip() and not each.startswith("#")]


def blocks(text: str) -> Iterator[Block]:
    for comment, language, body in BLOCK.findall(text):
        mark, _, words = comment.partition(":")
        known = mark in {NOT_RUN, IN_SMALL, FILE}
        yield Block(language, body, mark if known else "", words.strip() if known else "")


def covered(block: Block) -> bool:
    return block.language in SHELL or bool(block.mark)


def words_of(line: str, block: Block) -> list[str]:
    return shlex.split(line, comments=True) if block.language in SHELL else line.split()


def named(words: list[str]) -> Iterator[list[str]]:
    """Yield the words of every growlm command in a line, whatever starts it."""
    for number in [number for number, word in enumerate(words) if word == "growlm"]:
        behind = list(takewhile(lambda word: not set(word) <= set(";&|><"), words[number + 1 :]))
        if behind:
            yield behind


def read(words: list[str]) -> Parser:
    """Read a command's words as the command line does; return the command's parser."""
    assert words[0] in COMMANDS, f"growlm {words[0]}"
    _, parser = command(words[0], meaning="")
    if not {"-h", "--help"} & set(words):
        parser.read(words[1:])
    return parser


def in_small(words: list[str], options: list[str]) -> list[str]:
    """Return a command with other values of its options, and with more settings of its recipe."""
    words = list(words)
    known = read(words).options
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name == "--set" and name in known:
            words += [name, value]
        elif name in words:
            words[words.index(name) + 1] = value
    return words


def look_at(block: Block) -> None:
    """Look at a block that is not run, as closely as can be without running it."""
    assert block.words, f"a reason is missing: {block.body}"
    if block.language == "sh":
        script = ["/bin/bash", "-n", "-c", block.body]
        assert not subprocess.run(script, check=False, capture_output=True).stderr
    for line in block.commands if block.language in SHELL else block.body.splitlines():
        words = words_of(line, block)
        for each in named(words):
            read(each)
        look_at_others(words)


def look_at_others(words: list[str]) -> None:
    """Look at what is no command of growlm: targets of make, extras of pip, files of the clone."""
    if words[:1] == ["make"]:
        made = subprocess.run(["/usr/bin/make", "-n", *words[1:]], cwd=ROOT, capture_output=True)  # noqa: PLW1510
        assert made.returncode == 0, made.stderr
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for word in words if "install" in words else ():
        for extra in re.findall(r"^(?:growlm|\.)\[(.*)\]$", word):
            assert set(extra.split(",")) <= set(extras["optional-dependencies"]), word
    for word in words:
        if re.fullmatch(r"(examples|benchmarks|tools|recipes|\.ci)/\S+", word):
            assert (ROOT / word).exists(), word


def carry_out(line: str, block: Block, growlm: Callable[..., CompletedProcess[str]]) -> None:
    """Run one command of a page in the folder that is the present one."""
    words = shlex.split(line, comments=True)
    if words[0] != "growlm":
        assert words[0] in HARMLESS, f"'{line}' cannot be run; mark it: <!-- not run: why -->"
        subprocess.run(["/bin/bash", "-c", line], check=True, capture_output=True)
        return
    words, target = (words[1:-2], words[-1]) if words[-2:-1] == [">"] else (words[1:], None)
    if words[0] in COMMANDS:
        read(words)
        words = in_small(words, shlex.split(block.words))
    done = growlm(*words)
    code = EXIT.search(line)
    assert done.returncode == (int(code[1]) if code else 0), f"{line}\n{done.stderr}"
    if target is not None:
        Path(target).write_text(done.stdout, encoding="utf-8")


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    finished: Path,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
) -> Path:
    """Return a folder with a small one of everything that the pages' readers have."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    shutil.copytree(finished / "data", folder / "recipes" / "data")
    shutil.copytree(finished / "data" / "notes", folder / "texts" / "notes")
    shutil.copy(finished / "data" / "tales.jsonl", folder / "texts")
    shutil.copy(finished / "tiny.toml", folder / "recipes" / "demo.toml")
    run = Path(shutil.copytree(finished / "run", folder / "runs" / "demo"))
    (folder / "runs" / "tiny").symlink_to("demo")  # its name in the recipe, and so in its log
    for name, shape in {"llama": LLAMA, "pythia": PYTHIA}.items():
        make_folder(folder / name, tiny_model(tiny_config(**SHAPE, **shape)))
        shutil.copy(run / "corpus" / "tokenizer.json", folder / name)
    return folder


def make_folder(folder: Path, model: GPT) -> None:
    """Write a Hugging Face folder, all but its tokenizer.json."""
    family = FAMILIES["llama" if model.config.norm == "rmsnorm" else "gpt_neox"]
    folder.mkdir()
    theirs = to_theirs(family, model.config, model.state_dict())
    save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
    values = write_config(family, model.config, context=16)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    tokens = {"eos_token": "<|endoftext|>", "bos_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens), encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def session(
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    growlm: Callable[..., CompletedProcess[str]],
) -> Callable[[str], None]:
    """Return a function that carries out all that a page shows, in a folder of its own."""

    def run(text: str) -> None:
        found = [block for block in blocks(text) if covered(block)]
        if any(block.mark != NOT_RUN for block in found):
            shutil.copytree(world, tmp_path, symlinks=True, dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        for block in found:
            if block.mark == NOT_RUN:
                look_at(block)
            elif block.mark == FILE:
                Path(block.words).write_text(block.body, encoding="utf-8")
            else:
                for line in block.commands:
                    carry_out(line, block, growlm)

    return run


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_a_page_does_what_it_says(
    page: Path, session: Callable[[str], None]
) -> None:
    session(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_command_of_a_page_stands_where_it_is_not_tested(page: Path) -> None:
    others = [each for each in blocks(page.read_text(encoding="utf-8")) if not covered(each)]
    lines = [line for each in others for line in each.body.splitlines()]
    assert [each for each in lines if BEGINS.match(each)] == []


def test_a_misspelt_option_is_found_run_or_not(session: Callable[[str], None]) -> None:
    block = "```sh\ngrowlm check recipes/demo.toml --otu there\n```\n"
    for text in (block, f"<!-- not run: a control -->\n{block}"):
        with pytest.raises(RecipeError, match=r"got '--otu'\. Try --out"):
            session(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```sh\ngrowlm inspect nowhere\n```\n", "growlm inspect nowhere\n.*expected a checkpoint"),
        ("```console\n$ growlm check recipes/demo.toml  # exits with 2\n```\n", "0 == 2"),
        ("```sh\nmake demo\n```\n", "'make demo' cannot be run; mark it"),
        ("<!-- not run: -->\n```sh\nmake demo\n```\n", "a reason is missing"),
        ("<!-- not run: long -->\n```sh\nmake dmeo\n```\n", "No rule to make target 'dmeo'"),
        ("<!-- not run: long -->\n```sh\npip install 'growlm[wbe]'\n```\n", "wbe"),
        ("<!-- not run: long -->\n```sh\nif growlm; then\n```\n", "syntax error"),
        ("<!-- not run: long -->\n```yaml\nargs: growlm rnu x\n```\n", "growlm rnu"),
        ("<!-- not run: long -->\n```sh\npython examples/nothing.py\n```\n", "nothing.py"),
    ],
)
def test_what_else_is_wrong_on_a_page_is_found(
    session: Callable[[str], None], text: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        session(text)


def test_a_page_is_one_session_with_its_files_and_in_small(
    session: Callable[[str], None], tmp_path: Path
) -> None:
    session(
        "<!-- file: mine.json -->\n```json\n{}\n```\n"
        "<!-- run in small: --layers 3 -->\n```sh\n"
        "growlm grow llama deep --layers 32 \\\n  --depth append > said.txt\nls mine.json\n```\n"
    )
    assert json.loads((tmp_path / "deep" / "config.json").read_text())["num_hidden_layers"] == 3
    assert "2 -> 3 layers" in (tmp_path / "said.txt").read_text()


@pytest.mark.parametrize(
    "line",
    ["growlm log RUN", "$ make test", "  args: python -m growlm run x.toml", "srun growlm run x"],
)
def test_a_command_in_a_block_without_a_language_is_found(line: str) -> None:
    assert BEGINS.match(line)
    assert not BEGINS.match("growlm: expected a key; got 'x'. Try y.")
