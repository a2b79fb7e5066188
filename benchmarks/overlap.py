"""The overlap scan on one core, beside a Python set of 13-grams and datatrove's n-gram filter.

``python benchmarks/overlap.py --texts PATTERN ... --against FILE ...`` reads the texts, indexes the
benchmarks, and prints megabytes of UTF-8 per second of CPU. ``--datatrove PYTHON`` names an
interpreter that can import datatrove; its filter reads a part of the texts. ``--out`` keeps the
table. Reading files is counted for none of them.
"""

import argparse
import gc
import json
import os
import platform
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ratios import Ratio, keep
from setting import setting

from growlm.corpus.documents import documents
from growlm.corpus.overlap import canary
from growlm.corpus.overlap.benchmark import Benchmark, fields_of, read_benchmark
from growlm.corpus.overlap.index import Index, build
from growlm.corpus.overlap.scan import Rules, scan
from growlm.recipe.sections import Source

WORDS = 13

DATATROVE = """
import json, sys, time
from pathlib import Path
import numpy as np
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
from datatrove.utils.text import ngrams, simplify_text

folder = Path(sys.argv[1])
step = NGramsDecontFilter(str(folder), NGramsDecontConfig(n_grams=13))
hashes = set()
for text in json.loads((folder / "benchmarks.json").read_text()):
    words = step.tokenizer.word_tokenize(simplify_text(text, step.config.norm_config))
    hashes.update(step.hash_func(" ".join(each)) for each in ngrams(words, 13))
kind = step.config.hash_config.np_descr
np.array(sorted(hashes), dtype=kind).tofile(folder / "all.index.hashes")
step.load_index_hashes()
texts = json.loads((folder / "texts.json").read_text())
started = time.process_time()
hit = sum(step.filter(Document(text=text, id=str(n))) is not True for n, text in enumerate(texts))
print(json.dumps([time.process_time() - started, hit]))
"""
"""What an interpreter with datatrove runs: its filter, with an index of the same 13-grams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A text and its name."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one way came to."""

    name: str
    megabytes: float
    seconds: float
    documents: int
    """Documents in which something was found."""


def pages(patterns: Sequence[str]) -> list[Page]:
    """Return all texts that the patterns name, in memory."""
    source = Source(name="texts", files=tuple(patterns), weight=1.0)
    return [
        Page(name=f"{each.path}:{each.row}", text=each.text)
        for each in documents(source, folder=Path())
    ]


def megabytes(texts: Sequence[Page]) -> float:
    """Return the size of texts in UTF-8."""
    return sum(len(page.text.encode(errors="ignore")) for page in texts) / 1e6


def timed(name: str, texts: Sequence[Page], work: Callable[[Sequence[Page]], int]) -> Row:
    """Return what one way of looking through texts came to, in CPU seconds."""
    gc.collect()
    started = time.process_time()
    found = work(texts)
    seconds = time.process_time() - started
    return Row(name=name, megabytes=megabytes(texts), seconds=seconds, documents=found)


def our_scan(index: Index, rules: Rules) -> Callable[[Sequence[Page]], int]:
    """Return what scans texts our way."""
    return lambda texts: sum(1 for _ in scan(index, texts, rules=rules, tally=Counter()))


def set_of_words(benchmarks: Sequence[Benchmark]) -> Callable[[Sequence[Page]], int]:
    """Return what looks 13 words in a row up in a set of strings."""
    marks = str.maketrans("", "", string.punctuation)

    def grams(text: str) -> Iterator[str]:
        words = text.lower().translate(marks).split()
        return (" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))

    known = {
        gram for each in benchmarks for example in each.examples for gram in grams(example.text)
    }
    return lambda texts: sum(
        sum(gram in known for gram in grams(page.text)) > 0  # all, as a report needs them
        for page in texts
    )


def datatrove(python: Path, benchmarks: Sequence[Benchmark], texts: Sequence[Page]) -> Row:
    """Return what datatrove's filter came to, in its own interpreter."""
    with tempfile.TemporaryDirectory() as name:
        examples = [example.text for each in benchmarks for example in each.examples]
        (Path(name) / "benchmarks.json").write_text(json.dumps(examples))
        (Path(name) / "texts.json").write_text(json.dumps([page.text for page in texts]))
        done = subprocess.run(
            [python, "-c", DATATROVE, name],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
    seconds, found = json.loads(done.stdout.splitlines()[-1])
    name = f"datatrove, {WORDS} words in a row, stops at the first"
    return Row(name=name, megabytes=megabytes(texts), seconds=seconds, documents=found)


def part(texts: Sequence[Page], size: float) -> list[Page]:
    """Return every so-manieth text, until they have about so many megabytes."""
    step = max(1, round(megabytes(texts) / size))
    return list(texts[::step])


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown."""
    lines = ["| way | text | CPU | MB per CPU-second | documents |", "|---|---:|---:|---:|---:|"]
    lines += [
        f"| {row.name} | {row.megabytes:.1f} MB | {row.seconds:.1f} s | "
        f"{row.megabytes / row.seconds:.1f} | {row.documents} |"
        for row in rows
    ]
    return "\n".join(lines)


def ratios(turns: Sequence[Sequence[Row]], python: Path | None) -> list[Ratio]:
    """Return the others' ways beside ours, on the same texts in turns."""
    names = ["a Python set of 13 words in a row"]
    if python is not None:
        names.append(f"datatrove {version_in(python)}, its n-gram filter, 13 words in a row")
    return [
        Ratio(
            what=f"looking for benchmarks in {turns[0][0].megabytes:.1f} MB",
            peer=name,
            unit="MB per CPU-second",
            better="more",
            ours=tuple(turn[0].megabytes / turn[0].seconds for turn in turns),
            theirs=tuple(turn[at].megabytes / turn[at].seconds for turn in turns),
            remark="32 letters in a row",
        )
        for at, name in enumerate(names, 1)
    ]


def version_in(python: Path) -> str:
    """Return the version of datatrove that an interpreter has."""
    code = "from importlib.metadata import version; print(version('datatrove'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def measure(options: argparse.Namespace) -> tuple[str, list[Row], list[list[Row]]]:
    """Return a line about the index, what every way came to, and the turns on a part."""
    texts = pages(options.texts)
    given = [
        read_benchmark(path.name, path, fields=fields_of(path.name)) for path in options.against
    ]
    started = time.process_time()
    index = build([*given, canary.benchmark()])
    seconds = time.process_time() - started
    about = (
        f"{len(index.hashes):,} windows of {len(index.texts):,} texts, indexed in {seconds:.1f} s"
    )
    rows = [timed("growlm", texts, our_scan(index, "fast")) for _ in range(options.repeats)]
    rows = [min(rows, key=lambda row: row.seconds)]
    rows.append(timed("growlm, --rules exact", texts, our_scan(index, "exact")))
    some, name = part(texts, options.part), f"Python set, {WORDS} words in a row"
    turns: list[list[Row]] = []
    for _ in range(options.turns):
        turn = [
            timed("growlm", some, our_scan(index, "fast")),
            timed(name, some, set_of_words(given)),
        ]
        if options.datatrove is not None:
            turn.append(datatrove(options.datatrove, given, some))
        turns.append(turn)
    others = zip(*(turn[1:] for turn in turns), strict=True)
    rows += [min(each, key=lambda row: row.seconds) for each in others]
    return about, rows, turns


def main() -> None:
    """Print the table, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", nargs="+", required=True, metavar="PATTERN")
    parser.add_argument("--against", nargs="+", required=True, type=Path, metavar="FILE")
    parser.add_argument("--datatrove", type=Path, metavar="PYTHON")
    parser.add_argument("--part", type=float, default=12.0, help="MB that the others read")
    parser.add_argument("--repeats", type=int, default=3, help="of ours; the fastest counts")
    parser.add_argument("--turns", type=int, default=3, help="of ours and the others on a part")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    about, rows, turns = measure(options)
    names = " ".join(path.name for path in options.against)
    details = [
        f"one of {os.cpu_count()} cores",
        f"Python {platform.python_version()}",
        f"numpy {np.__version__}",
    ]
    shown = "\n\n".join(
        [
            "# The overlap scan",
            f"`python benchmarks/overlap.py`, against {names}: {about}.",
            setting(*details) + ".",
            table(rows),
        ]
    )
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")
        keep(options.out, ratios(turns, options.datatrove), details=details)


if __name__ == "__main__":
    sys.exit(main())
