"""``make bench``: every benchmark beside a peer that is installed, then the page of all of them.

``python benchmarks/bench.py --quick`` takes about twenty minutes on two cores, and without
``--quick`` an hour or two. Each peer has an interpreter of its own, for they disagree about
versions: ``.peers/NAME/bin/python``, or ``--python NAME=PATH``. What is not installed is skipped,
and both the terminal and the page say how to install it.

Texts are those that every Python carries, and the tokenizer is trained on them, unless ``--texts``
and ``--tokenizer`` name others; ``--tasks`` names the folder of LAMBADA's, PIQA's and HellaSwag's
files, without which what needs them is skipped. ``--only`` runs some benchmarks alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers_page import OUTCOMES, RESULTS, SECTIONS, write
from setting import commit, today

from growlm.corpus.builtin import texts as builtin_texts
from growlm.corpus.tokenizer import train

HERE = Path(__file__).parent
END = "<|endoftext|>"
VOCAB_SIZE = 8_192
TRAINED_CHARACTERS = 4_000_000
"""Of the built-in text, for the tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all benchmarks are run with."""

    quick: bool
    pythons: dict[str, str]
    """The interpreter of each peer that is installed."""
    texts: list[str]
    tokenizer: Path
    tasks: Path | None

    def size(self, quick: int, full: int) -> str:
        """Return a size as a word of a command."""
        return str(quick if self.quick else full)

    @property
    def task_files(self) -> list[str]:
        """Benchmarks to look for in texts; none if no folder was named."""
        if self.tasks is None:
            return []
        names = ("lambada*", "piqa*.jsonl*", "hellaswag*.jsonl*")
        found = [path for name in names for path in sorted(self.tasks.glob(name))]
        return [str(path) for path in found]


@dataclass(slots=True, kw_only=True)
class Done:
    """What came of all benchmarks."""

    ran: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds of those that ran."""
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    """Why others did not."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """The last line of what they said."""


def exactness(_: Bench) -> list[str]:
    """Return the words that measure the exact operators."""
    return ["docs/ideas/growth.md"]


def passthrough(bench: Bench) -> list[str]:
    """Return the words that grow beside mergekit."""
    return ["--python", bench.pythons["mergekit"], "--layers", bench.size(8, 36)]


def streaming(bench: Bench) -> list[str]:
    """Return the words that grow beside a copy."""
    return ["--layers", bench.size(16, 36)]


def peers(bench: Bench) -> list[str]:
    """Return the words that train beside other trainers."""
    return ["--python", bench.pythons["trainers"], "--steps", bench.size(6, 12)]


def tokens(bench: Bench) -> list[str]:
    """Return the words that tokenize beside the reference."""
    words = [*bench.texts, "--tokenizer", str(bench.tokenizer)]
    return [*words, "--megabytes", "25"] if bench.quick else words


def duplicates(bench: Bench) -> list[str]:
    """Return the words that look for near-duplicates beside datatrove."""
    return [
        *bench.texts,
        *("--stock", bench.pythons["datatrove"]),
        *("--megabytes", bench.size(10, 30), "--repeats", bench.size(3, 7)),
        *("--stock-megabytes", bench.size(2, 4)),
    ]


def overlap(bench: Bench) -> list[str]:
    """Return the words that look for benchmarks beside datatrove."""
    return [
        *("--texts", *bench.texts),
        *("--against", *bench.task_files),
        *("--datatrove", bench.pythons["datatrove"]),
        *("--part", bench.size(4, 12)),
    ]


def evaluation(bench: Bench) -> list[str]:
    """Return the words that evaluate beside the harness."""
    sizes = [
        *("--layers", bench.size(4, 12), "--width", bench.size(256, 768)),
        *("--heads", bench.size(4, 12), "--rows", bench.size(40, 400)),
        *("--texts", bench.size(4, 20), "--repeats", "3"),
    ]
    return [str(bench.tasks), str(bench.tokenizer), *sizes]


WORDS: dict[str, Callable[[Bench], list[str]]] = {
    "exactness": exactness,
    "passthrough": passthrough,
    "streaming": streaming,
    "peers": peers,
    "tokens": tokens,
    "duplicates": duplicates,
    "overlap": overlap,
    "evaluation": evaluation,
}
"""Every benchmark, by its script's name, and the words that it takes."""

TASKS_NEEDED = ("overlap", "evaluation")
"""Benchmarks that need the tasks' files."""


def lack(name: str, bench: Bench) -> str:
    """Return why a benchmark cannot run; nothing if it can."""
    section = SECTIONS.get(name)
    if section is not None and section.peer and section.peer not in bench.pythons:
        return section.how_to_install
    if name in TASKS_NEEDED and not bench.task_files:
        return "`--tasks FOLDER` with the files of LAMBADA, PIQA and HellaSwag"
    return ""


def run(name: str, bench: Bench) -> str:
    """Run a benchmark, and return what went wrong in a line; nothing if it went well."""
    python = bench.pythons["harness"] if name == "evaluation" else sys.executable
    words = [python, f"benchmarks/{name}.py", *WORDS[name](bench)]
    if name != "exactness":
        words += ["--out", str(RESULTS.relative_to(HERE.parent) / f"{name}.md")]
    print(f"== {name}: {' '.join(['python', *words[1:]])}", flush=True)
    source = str(HERE.parent / "src")
    environment = {**os.environ, "PYTHONPATH": source, "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        words, cwd=HERE.parent, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == 0:
        return ""
    print(done.stderr[-4000:], file=sys.stderr)
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def measured(names: Sequence[str], bench: Bench) -> Done:
    """Run what can run, in order."""
    done = Done()
    for name in names:
        why = lack(name, bench)
        if why:
            done.skipped[name] = why
            print(f"== {name}: skipped, it needs {why}", flush=True)
            continue
        begun = time.perf_counter()
        wrong = run(name, bench)
        if wrong:
            done.failed[name] = wrong
        else:
            done.ran[name] = round(time.perf_counter() - begun, 1)
    return done


def carried(folder: Path) -> tuple[list[str], Path]:
    """Write the text that Python carries, and a tokenizer that is trained on it."""
    paths: list[str] = []
    sample: list[str] = []
    for kind in ("docs", "code"):
        path = folder / f"python-{kind}.jsonl"
        found = [text for _, text in builtin_texts(kind)]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in found)
        path.write_text(lines, encoding="utf-8", errors="replace")
        paths.append(str(path))
        sample += found
    size = 0
    for at, text in enumerate(sample):
        size += len(text)
        if size > TRAINED_CHARACTERS:
            sample = sample[: at + 1]
            break
    tokenizer = folder / "tokenizer.json"
    made = train(sample, vocab_size=VOCAB_SIZE, end_of_text=END)
    tokenizer.write_text(made.json, encoding="utf-8")
    return paths, tokenizer


def installed(given: Sequence[str]) -> dict[str, str]:
    """Return the interpreter of each peer that has one."""
    found = {
        path.parents[1].name: str(path) for path in (HERE.parent / ".peers").glob("*/bin/python")
    }
    return found | dict(each.split("=", 1) for each in given)


def keep(done: Done, *, quick: bool) -> None:
    """Keep what came of the benchmarks that were asked for, beside what is known of the others."""
    told: dict[str, Any] = (
        json.loads(OUTCOMES.read_text(encoding="utf-8")) if OUTCOMES.exists() else {}
    )
    about = {"date": today(), "commit": commit(), "quick": quick}
    found = {name: {"ran": seconds} for name, seconds in done.ran.items()}
    found |= {name: {"skipped": why} for name, why in done.skipped.items()}
    found |= {name: {"failed": wrong} for name, wrong in done.failed.items()}
    told |= {name: {**about, **outcome} for name, outcome in found.items()}
    ordered = {name: told[name] for name in WORDS if name in told}
    OUTCOMES.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Run all that can run, keep what came of it, and write the page."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        texts, tokenizer = options.texts, options.tokenizer
        if not texts or tokenizer is None:
            own_texts, own_tokenizer = carried(Path(folder))
            texts, tokenizer = texts or own_texts, tokenizer or own_tokenizer
        bench = Bench(
            quick=options.quick,
            pythons=installed(options.python),
            texts=texts,
            tokenizer=tokenizer,
            tasks=options.tasks,
        )
        RESULTS.mkdir(exist_ok=True)
        done = measured(options.only or list(WORDS), bench)
    keep(done, quick=options.quick)
    write()
    for name, seconds in done.ran.items():
        print(f"ran      {name}: {seconds:.0f} s")
    for name, why in done.skipped.items():
        print(f"skipped  {name}: it needs {why}")
    for name, wrong in done.failed.items():
        print(f"FAILED   {name}: {wrong}")
    sys.exit(1 if done.failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: twenty minutes")
    parser.add_argument("--only", nargs="+", choices=list(WORDS), metavar="NAME")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="the interpreter of a peer: mergekit, trainers, datatrove, harness",
    )
    parser.add_argument("--texts", nargs="+", metavar="PATTERN", help="files, folders or globs")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json")
    parser.add_argument("--tasks", type=Path, help="a folder with the tasks' files")
    return parser.parse_args()


if __name__ == "__main__":
    main()
