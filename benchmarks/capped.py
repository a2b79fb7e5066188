"""A long model on a small device: the published 1.1B's shape in 16 GiB, with validation, a stop.

``python benchmarks/capped.py --tokenizer tokenizer.json`` caps the process's share of a GPU, trains
200 steps at each context, stops the run halfway as a scheduler would and lets it go on, and prints
what the allocator had at its fullest in both processes: allocated, reserved, the gap between them,
and how often it found nothing. It needs CUDA and some 30 GiB of disk; ``--layers`` and others
make it smaller.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from setting import setting

from growlm.pipeline.folder import RunFolder
from growlm.runlog import GpuMemory, Memory, Step, read
from growlm.training.device import describe

CAPPED = """
import sys, torch
if sys.argv[1] != "0":
    torch.cuda.set_per_process_memory_fraction(float(sys.argv[1]))
from growlm.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
"""The command line, in a process that may have only a share of the device."""

RECIPE = """
name = "capped"
residual = "{residual}"
compile = {compiled}

[tokenizer]
{tokenizer}

[[source]]
name = "docs"
builtin = "docs"
weight = 1.0

[[source]]
name = "code"
builtin = "code"
weight = 1.0

[validation]
share = 0.03
tokens = 8192

[[stage]]
name = "long"
model = {{ layers = {layers}, heads = {heads}, width = {width}, linear_bias = true, norm_bias = true }}
context = {context}
tokens = {tokens}
batch = {batch}
micro_batch = {context}
activation_checkpointing = "full"
optimizer = {{ peak_lr = 1e-4, clip_norm = 1.0, moments = "{moments}" }}
schedule = {{ kind = "cosine", warmup_steps = 20 }}
validate_every = {every}
checkpoint_every = {half}
keep = 1
"""  # noqa: E501 - an inline table of TOML is one line
STOPPED = 75
"""Exit code of a run that was saved and stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """What one of the two processes had at its fullest."""

    context: int
    name: str
    steps: int
    tokens_per_second: float
    memory: GpuMemory | None

    @property
    def row(self) -> str:
        """Return it as a row of the table."""
        if self.memory is None:
            return f"| {self.context} | {self.name} | {self.steps} | - | - | - | - | - |"
        peak = (self.memory.peak_allocated_bytes, self.memory.peak_reserved_bytes)
        sizes = " | ".join(f"{each / 2**30:.3f}" for each in peak)
        gap = self.memory.gap_bytes / self.memory.peak_reserved_bytes
        found = f"{self.memory.retries} / {self.memory.ooms}"
        speed = f"{self.tokens_per_second:,.0f}"
        return (
            f"| {self.context} | {self.name} | {self.steps} | {sizes} | {gap:.2%} | {found} | "
            f"{speed} |"
        )


def halves(folder: Path, options: argparse.Namespace, *, context: int) -> Iterator[Half]:
    """Train a stage, stop it halfway, let it go on, and yield what each process had."""
    recipe = folder / "capped.toml"
    recipe.write_text(_recipe(options, context=context), encoding="utf-8")
    out = folder / "run"
    log = RunFolder(path=out).log("long")
    words = ["train", str(recipe), "--stage", "long", "--out", str(out), "--quiet"]
    for name, stop_at in (("from the first step", options.steps // 2), ("gone on", None)):
        begin = len(_steps(log))
        _trained(words, options.share, log, stop_at=stop_at)
        mine = _steps(log)[begin:]
        memory = [each.gpu for each in read(log) if isinstance(each, Memory)][-1]
        settled = sorted(each.seconds for each in mine)[len(mine) // 2]
        yield Half(
            context=context,
            name=name,
            steps=len(mine),
            tokens_per_second=options.micro_batches * context / settled,
            memory=memory,
        )


def _recipe(options: argparse.Namespace, *, context: int) -> str:
    batch = options.micro_batches * context
    origin = f'file = "{options.tokenizer.resolve()}"' if options.tokenizer else "vocab_size = 2048"
    return RECIPE.format(
        tokenizer=origin,
        residual=options.residual,
        compiled=str(options.compile).lower(),
        layers=options.layers,
        heads=options.heads,
        width=options.width,
        context=context,
        batch=batch,
        tokens=options.steps * batch,
        every=options.steps * batch // 8,
        half=options.steps * batch // 2,
        moments=options.moments,
    )


def _trained(words: list[str], share: float, log: Path, *, stop_at: int | None) -> None:
    environment = {**os.environ, "PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    command = [sys.executable, "-c", CAPPED, str(share), *words]
    with subprocess.Popen(command, env=environment) as process:
        while stop_at is not None and process.poll() is None:
            if len(_steps(log)) >= stop_at:
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.2)
    if process.returncode != (0 if stop_at is None else STOPPED):
        raise SystemExit(f"expected a run that ends well; got exit code {process.returncode}.")


def _steps(log: Path) -> list[Step]:
    return [each for each in read(log) if isinstance(each, Step)] if log.exists() else []


def main() -> None:
    """Train at every context, print the table, and keep it if asked."""
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    whole = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else 0
    options.share = options.gib * 2**30 / whole if whole else 0
    rows: list[str] = []
    for context in options.contexts:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for half in halves(Path(folder), options, context=context):
                rows.append(half.row)
                print(half.row, flush=True)
    page = "\n".join(
        [
            "# A long model on a small device",
            "",
            f"{options.layers} layers, width {options.width}, {options.heads} heads, "
            f"{options.micro_batches} sequences a step, one at a time; layers computed again, "
            f"moments in {options.moments}, residual stream in {options.residual}. The process may "
            f"have {options.gib:g} GiB. Peaks in GiB, of each process from its start.",
            "",
            f"{setting(describe(device).removeprefix(f'{platform.machine()} CPU, '))}.",
            "",
            "| context | process | steps | allocated | reserved | gap | retries / failures "
            "| tokens/s |",
            "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )
    print(page)
    if options.out:
        options.out.write_text(page + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=16.0, help="of the GPU, for the process")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1_024, 2_048])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--micro-batches", type=int, default=4, help="sequences in a step")
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--width", type=int, default=1_536)
    parser.add_argument("--moments", choices=["float32", "bfloat16", "8bit"], default="bfloat16")
    parser.add_argument("--residual", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json (one of 2,048 is trained)")
    parser.add_argument("--folder", type=Path, help="where the run may lie")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
