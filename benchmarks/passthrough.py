"""Growing beside mergekit's passthrough: the same doubled layers, from folder to folder.

``python benchmarks/passthrough.py --python PYTHON`` makes a Llama-shaped parent in fp32 and doubles
its layers in turns, as ``growlm grow --depth stack`` and as a passthrough merge; PYTHON is an
interpreter that has mergekit. Every tensor of the two children is compared, bit for bit. Both end
with the bytes on the disk, and start with the parent in the page cache if it fits. ``TMPDIR`` says
on which disk; ``--out`` keeps the table.

mergekit proves nothing, so that growlm's certificate is left for later (``--unmeasured``). Memory
is what a process holds itself: pages of the parent's file that it maps are not counted.
"""

# safetensors' open files have no types:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ratios import Ratio, keep, shown
from safetensors import safe_open
from setting import setting
from streaming import make_parent, parent_shape
from watched import watched

from growlm.model.cost import parameters

MERGE = """slices:
- sources: [{{model: {parent}, layer_range: [0, {layers}]}}]
- sources: [{{model: {parent}, layer_range: [0, {layers}]}}]
merge_method: passthrough
dtype: float32
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One child made."""

    seconds: float
    anonymous_mib: float
    written_gb: float


def timed(command: Sequence[str], child: Path) -> Run:
    """Return what a command took until its child lay on the disk."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if command[0] == sys.executable:
        environment = dict(os.environ)
    start = time.perf_counter()
    taken = watched(command, environment=environment)
    subprocess.run(["sync", "-f", str(child)], check=True)
    seconds = time.perf_counter() - start
    written = sum(file.stat().st_size for file in child.iterdir()) / 1e9
    return Run(seconds=seconds, anonymous_mib=taken.anonymous_mib, written_gb=written)


def tensors(folder: Path) -> dict[str, Path]:
    """Return the file that each tensor of a folder lies in."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found |= dict.fromkeys(file.keys(), path)
    return found


def equal(one: Path, other: Path) -> str:
    """Return how many tensors of two folders are the same, bit for bit, in words."""
    ours, theirs = tensors(one), tensors(other)
    same = 0
    for name in sorted(ours.keys() & theirs.keys()):
        with safe_open(ours[name], framework="pt") as a, safe_open(theirs[name], "pt") as b:
            same += torch.equal(a.get_tensor(name), b.get_tensor(name))
    every = len(ours.keys() | theirs.keys())
    return f"{same} of {every} tensors are equal, bit for bit"


def main() -> None:
    """Take turns, and print what came of them."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parent, config = folder / "parent", parent_shape(options.layers)
        make_parent(parent, config)
        recipe = folder / "merge.yml"
        recipe.write_text(MERGE.format(parent=parent, layers=options.layers), encoding="utf-8")
        ours, theirs = folder / "growlm", folder / "mergekit"
        commands = {
            ours: [
                *(sys.executable, "-m", "growlm", "grow", str(parent), str(ours)),
                *("--layers", str(2 * options.layers), "--depth", "stack"),
                *("--unmeasured", "--quiet"),
            ],
            theirs: [
                *(options.python, "-m", "mergekit.scripts.run_yaml", str(recipe), str(theirs)),
                "--quiet",
            ],
        }
        runs: dict[Path, list[Run]] = {ours: [], theirs: []}
        for _ in range(options.repeats):
            for child, command in commands.items():
                shutil.rmtree(child, ignore_errors=True)
                runs[child].append(timed(command, child))
        same = equal(ours, theirs)
    _tell(options, parameters(config), same, (runs[ours], runs[theirs]))


def _tell(
    options: argparse.Namespace, size: int, same: str, runs: tuple[list[Run], list[Run]]
) -> None:
    ours, theirs = runs
    peer = f"mergekit {_version(options.python)}"
    what = f"doubling the layers of {size / 1e6:,.0f}M parameters"
    ratios = [
        Ratio(
            what=f"{what}: {name}",
            peer=peer,
            unit=unit,
            better="less",
            ours=tuple(getattr(run, field) for run in ours),
            theirs=tuple(getattr(run, field) for run in theirs),
            remark=same,
        )
        for name, unit, field in (("time", "s", "seconds"), ("memory", "MiB", "anonymous_mib"))
    ]
    rows = [
        f"| {name} | {each[0].written_gb:.2f} GB | "
        f"{shown(statistics.median(run.seconds for run in each))} s "
        f"({shown(min(run.seconds for run in each))} to "
        f"{shown(max(run.seconds for run in each))}) | "
        f"{max(run.anonymous_mib for run in each):,.0f} MiB |"
        for name, each in (("growlm grow --unmeasured", ours), (peer, theirs))
    ]
    details = [f"{os.cpu_count()} cores", f"torch {torch.__version__}"]
    text = "\n".join(
        [
            "# Growing beside mergekit's passthrough",
            "",
            f"A parent of {size:,} parameters in fp32, {options.layers} layers, twice in a row; "
            f"{options.repeats} turns each, medians and ranges, of memory the largest. {same}. "
            "Ours is left unmeasured, for mergekit measures nothing.",
            "",
            setting(*details) + ".",
            "",
            "| way | written | time | memory of its own |",
            "| --- | ---: | ---: | ---: |",
            *rows,
        ]
    )
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
        keep(options.out, ratios, details=details)


def _version(python: str) -> str:
    code = "from importlib.metadata import version; print(version('mergekit'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="an interpreter with mergekit")
    parser.add_argument("--layers", type=int, default=36, help="of the parent (36: 1.1B)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
