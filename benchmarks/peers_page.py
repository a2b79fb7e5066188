"""The page of all benchmarks beside peers: ``docs/peers.md``, from what ``make bench`` left.

``python benchmarks/peers_page.py`` writes it. No number is typed: each comes from the
``NAME.ratios.json`` in ``results/bench``. A benchmark that was run by itself, at more length, has
its result in ``results/NAME.md``, which ``make bench`` leaves alone and the page names.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratios import HEADER, SUFFIX, read

ROOT = Path(__file__).parents[1]
ALONE = ROOT / "benchmarks" / "results"
"""What benchmarks left that were run by themselves."""
RESULTS = ALONE / "bench"
"""What ``make bench`` left."""
OUTCOMES = RESULTS / "bench.json"
"""What ``make bench`` last ran of each benchmark, and what it skipped."""
PAGE = ROOT / "docs" / "peers.md"

PACKAGES = {
    "mergekit": "mergekit",
    "trainers": "litgpt 'transformers<6' accelerate",
    "datatrove": "'datatrove[io,processing]<0.11' spacy 'xxhash<4'",
    "harness": "'lm-eval<0.5' 'transformers<6' accelerate datasets .",
}
"""Peers, and what pip calls them; the harness runs in one process with growlm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page."""

    title: str
    about: str
    peer: str = ""
    """Which of ``PACKAGES`` it needs; none if nothing."""

    @property
    def how_to_install(self) -> str:
        """The line that installs what it needs, as the page writes it."""
        place = f".peers/{self.peer}"
        line = f"python3 -m venv {place} && {place}/bin/pip install {PACKAGES[self.peer]}"
        return f"`{line}`"


SECTIONS = {
    "passthrough": Section(
        title="Growing, beside mergekit",
        about="The same doubled layers from folder to folder. mergekit repeats layers and proves "
        "nothing, so growlm's certificate is left for later; memory is what each holds itself.",
        peer="mergekit",
    ),
    "streaming": Section(
        title="Growing, beside a copy",
        about="How far growing is from a mere copy of the bytes that were written. growlm starts "
        "torch, some seconds, and hashes all that it reads and writes; `cp` does neither. Where "
        "the disk is slow, both wait for it, and the ratio is near one.",
    ),
    "peers": Section(
        title="A training step, beside litgpt and transformers",
        about="The same number of parameters on the same ids, in fp32 on a CPU, with fused AdamW "
        "and clipping; growlm with ALiBi, litgpt with rotary positions, transformers with learned "
        "ones.",
        peer="trainers",
    ),
    "tokens": Section(
        title="Tokenizing, beside tokenizers",
        about="One core, reading and cleaning in no time.",
    ),
    "duplicates": Section(
        title="Near-duplicates, beside datatrove",
        about="Signing, with reading, cleaning and writing in both times; one core.",
        peer="datatrove",
    ),
    "overlap": Section(
        title="Benchmarks in texts, beside a set and datatrove",
        about="One core. datatrove's filter stops at the first hit of a document.",
        peer="datatrove",
    ),
    "evaluation": Section(
        title="Evaluation, beside the harness's hf",
        about="The same random weights, the same questions; each side at its fastest batch size. "
        "Seconds inside the backend, encoding included.",
        peer="harness",
    ),
}
"""The page's sections, by the name of their benchmark."""

OPENING = """\
# Beside its peers

Written by `make bench`; no number is typed by hand. **Times** says how many times as fast growlm
was, or how many times less it took: above 1 it speaks for growlm, below 1 against it. Both took
turns on the same machine; the figure is the median of the turns' ratios, with the lowest and the
highest. Columns of values are medians.

`make bench BENCH="--quick"` takes about twenty minutes on two cores, `make bench` an hour or two.
Peers have environments of their own in `.peers/`, for their versions clash with each other: in the
commands below `python` also stands for theirs. Texts, tokenizer and tasks are named with `--texts`,
`--tokenizer` and `--tasks`; without tasks, two of the benchmarks are skipped.
"""


def page() -> str:
    """Return the page in Markdown."""
    parts = [OPENING]
    for name, section in SECTIONS.items():
        parts.append(f"## {section.title}\n\n{section.about}\n\n{_found(name, section)}\n")
    return "\n".join([*parts, _last()])


def _found(name: str, section: Section) -> str:
    """Return what is known of a benchmark: its ratios, or how to have them."""
    kept, alone = RESULTS / f"{name}{SUFFIX}", ALONE / f"{name}.md"
    link = f"At more length, by itself: [{alone.name}](../benchmarks/results/{alone.name})."
    more = f"\n\n{link}" if alone.exists() else ""
    if kept.exists():
        told, ratios = read(kept)
        rows = [*HEADER, *(each.row() for each in ratios)]
        return "\n".join(rows) + "\n\n" + _measured(told, name) + more
    needed = f" It needs {section.how_to_install}." if section.peer else ""
    return f"Not measured yet.{needed}{more}"


def _measured(told: dict[str, Any], name: str) -> str:
    python = f"Python {told['python']}"
    machine = told["hardware"] if python in told["hardware"] else f"{told['hardware']}, {python}"
    return (
        f"`{told['command']}`; {machine}; {told['date']}, commit "
        f"{told['commit']}; [all of it](../benchmarks/results/bench/{name}.md)."
    )


def _last() -> str:
    """Return what ``make bench`` last ran of each benchmark, and what it skipped."""
    if not OUTCOMES.exists():
        return "## What ran\n\n`make bench` has not run since this page is written by it.\n"
    told: dict[str, dict[str, Any]] = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    return "\n".join(["## What ran\n", *_outcomes(told), ""])


def _outcomes(told: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, last in told.items():
        when = f"{last['date']}, commit {last['commit']}"
        if "ran" in last:
            size = "quick sizes" if last["quick"] else "full sizes"
            yield f"- `{name}` ran, {size}, {last['ran']:.0f} s; {when}"
        elif "skipped" in last:
            yield f"- `{name}` was skipped: it needs {last['skipped']}; {when}"
        else:
            yield f"- `{name}` failed: {last['failed']}; {when}"


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
