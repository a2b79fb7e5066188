"""Growing a large model on a small machine: peak memory, and time beside a copy of the bytes.

``python benchmarks/streaming.py`` makes a Llama-shaped parent of 1.1B parameters in fp32, grows it
tensor by tensor, copies what was written with ``cp``, and prints a table; ``--out`` keeps it. Both
end with the bytes on the disk, and start with the parent in the page cache if it fits. ``TMPDIR``
says on which disk.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ratios import Ratio, keep
from setting import setting
from shapes import shape
from torch import Tensor
from watched import watched

from growlm.corpus.tokenizer import train
from growlm.huggingface.writing import Outgoing, write
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.families.table import FAMILIES
from growlm.model.gpt import weight_shapes
from growlm.model.weights import EVERY

END = "<|endoftext|>"

WIDER = ("--width", "2048", "--heads", "16")
"""Options that make the parent wider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One growth beside one copy of what it wrote."""

    grow_seconds: float
    copy_seconds: float
    resident_mib: float
    written_gb: float


def parent_shape(layers: int) -> GPTConfig:
    """Return the parent's shape: 1.1B parameters at 36 layers."""
    return shape(
        layers=layers,
        heads=12,
        kv_heads=12,
        width=1536,
        head_width=128,
        mlp=4096,
        context=1024,
        vocab_size=50_304,
        padded_vocab_size=50_304,
        positions="rotary",
        norm="rmsnorm",
        activation="swiglu",
    )


def make_parent(path: Path, config: GPTConfig) -> None:
    """Write a parent with drawn weights, one tensor in memory at a time."""
    stream, shapes = torch.Generator().manual_seed(0), weight_shapes(config)

    def read(name: str, rows: slice = EVERY) -> Tensor:
        size = shapes[name] if rows == EVERY else (rows.stop - rows.start, *shapes[name][1:])
        return 0.02 * torch.randn(size, generator=stream)

    tokenizer = train(["a river of marble"], vocab_size=300, end_of_text=END)
    outgoing = Outgoing(
        family=FAMILIES["llama"],
        config=config,
        context=config.context,
        end_of_text=END,
        tokenizer=tokenizer.json,
        tokenizer_files={},
    )
    path.mkdir()
    write(path, outgoing, read)


def grow_once(parent: Path, child: Path, options: Sequence[str]) -> Run:
    """Grow, then copy what was written."""
    command = [sys.executable, "-m", "growlm", "grow", str(parent), str(child), *options]
    taken = watched([*command, "--unmeasured", "--quiet"])
    copy = child.with_name("copy")
    start = time.perf_counter()
    subprocess.run(["cp", "-r", str(child), str(copy)], check=True)
    subprocess.run(["sync", "-f", str(copy)], check=True)
    copied = time.perf_counter() - start
    written = sum(file.stat().st_size for file in child.iterdir())
    shutil.rmtree(copy)
    shutil.rmtree(child)
    return Run(
        grow_seconds=taken.seconds,
        copy_seconds=copied,
        resident_mib=taken.resident_mib,
        written_gb=written / 1e9,
    )


def growths(layers: int) -> dict[str, tuple[str, ...]]:
    """Return what is grown from a parent of some layers, and the options that do it."""
    deeper = f"{layers} -> {layers * 4 // 3} layers by insert"
    deeper_options = ("--layers", str(layers * 4 // 3), "--depth", "insert")
    return {
        deeper: deeper_options,
        "width 1536 -> 2048, heads 12 -> 16, mlp 4096 -> 5440": (*WIDER, "--mlp", "5440"),
        f"{deeper}, width 1536 -> 2048, heads 12 -> 16": (*deeper_options, *WIDER),
    }


def rows(parent: Path, layers: int, repeats: int) -> Iterator[tuple[str, list[Run]]]:
    """Yield every growth's runs."""
    for name, options in growths(layers).items():
        yield name, [grow_once(parent, parent.with_name("child"), options) for _ in range(repeats)]


def table(found: dict[str, list[Run]]) -> str:
    """Return the medians in Markdown, and the ratio's spread."""
    lines = [
        "| growth | written | peak memory | growlm grow | cp, then sync | times a copy (spread) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in found.items():
        ratios = sorted(run.grow_seconds / run.copy_seconds for run in runs)
        cells = [
            f"{runs[0].written_gb:.2f} GB",
            f"{max(run.resident_mib for run in runs):,.0f} MiB",
            f"{statistics.median(run.grow_seconds for run in runs):.1f} s",
            f"{statistics.median(run.copy_seconds for run in runs):.1f} s",
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratios(found: dict[str, list[Run]]) -> list[Ratio]:
    """Return each growth beside the copy of what it wrote."""
    return [
        Ratio(
            what=f"growing {name}",
            peer="cp of the bytes that were written, then sync",
            unit="s",
            better="less",
            ours=tuple(run.grow_seconds for run in runs),
            theirs=tuple(run.copy_seconds for run in runs),
            remark=f"{runs[0].written_gb:.2f} GB",
        )
        for name, runs in found.items()
    ]


def main() -> None:
    """Print the table, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=36, help="of the parent (36: 1.1B)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parent, config = Path(folder, "parent"), parent_shape(options.layers)
        make_parent(parent, config)
        found = dict(rows(parent, options.layers, options.repeats))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    details = [
        f"{os.cpu_count()} cores",
        f"{memory:.0f} GiB of memory",
        f"torch {torch.__version__}",
    ]
    shown = "\n".join(
        [
            "# Growing tensor by tensor",
            "",
            f"`python benchmarks/streaming.py --layers {options.layers} --repeats "
            f"{options.repeats}`: a parent of {parameters(config):,} parameters in fp32. Medians; "
            "of the memory, the largest.",
            "",
            setting(*details) + ".",
            "",
            table(found),
        ]
    )
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")
        keep(options.out, ratios(found), details=details)


if __name__ == "__main__":
    main()
