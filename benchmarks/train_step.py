"""One training step of any shape on any device: tokens a second, its parts apart, what bounds each.

``python benchmarks/train_step.py --layers 36 --width 1536 --heads 12 --context 1024`` builds the
model as a stage does, trains on ids that were drawn, and prints a table; ``--out`` keeps it, and
the same as JSON beside it. Steps of the whole and of each part are timed one by one; medians count.

A part's bound is what it uses most of: of the arithmetic that a square matrix product reaches in
the same type, or of the bandwidth that a copy reaches, both measured in the same run. FLOPs are
``6 N + 12 L A T c`` a token: N the matrices with the head once, c the share of the attention matrix
that counts. It is printed with c = 1, as others publish it, and c = 1/2, what a causal model needs.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from setting import setting
from shapes import shape
from torch import Tensor

from growlm.model.attention import Attention
from growlm.model.config import GPTConfig, padded
from growlm.model.cost import (
    layer_matrix_parameters,
    non_embedding_parameters,
    parameters,
    training_flops_per_token,
)
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.model.loss import cross_entropy_sum
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.training.device import (
    choose_device,
    compile_layers,
    describe,
    settled_kernel,
    why_not_compiled,
)
from growlm.training.step import Batch, StepSettings, train_step

FORWARD_AND_BACKWARD = 3
"""Forward is one part of the arithmetic, backward two."""
PROBE = 2048
"""Rows and columns of the matrices whose product shows the arithmetic there is."""
TOGETHER = 8
"""Rounds of a part between two waits for the device, so that waiting is not what is timed."""
HARDLY = 0.25
"""Of arithmetic and bandwidth both, below which something else takes the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a step: its time, and what it needs in that time."""

    name: str
    seconds: float
    flops: float
    bytes: float
    """What it must read and write at least, once each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the device reaches at its simplest."""

    flops: float
    """Of a square matrix product, in a second."""
    bytes: float
    """Read and written by a copy, in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A model about to be timed."""

    config: GPTConfig
    model: GPT
    optimizer: torch.optim.Optimizer
    batch: Batch
    settings: StepSettings
    device: torch.device
    repeats: int

    @property
    def width_bytes(self) -> int:
        """Bytes of a number in the type that is computed in."""
        return 2 if self.device.type == "cuda" else 4

    def median(self, work: Callable[[], object], *, together: int = 1) -> float:
        """Return the median seconds of some work, after two turns that do not count.

        Args:
            work: What is timed.
            together: Rounds of it in a turn.
        """
        taken: list[float] = []
        for _ in range(self.repeats + 2):
            self._wait()
            start = time.perf_counter()
            for _ in range(together):
                work()
            self._wait()
            taken.append((time.perf_counter() - start) / together)
        return statistics.median(taken[2:])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def asked_shape(options: argparse.Namespace) -> GPTConfig:
    """Return the shape that was asked for."""
    return shape(
        layers=options.layers,
        heads=options.heads,
        kv_heads=options.heads,
        width=options.width,
        head_width=options.width // options.heads,
        mlp=options.mlp or 4 * options.width,
        context=options.context,
        vocab_size=options.vocab,
        padded_vocab_size=padded(options.vocab),
        positions=options.positions,
    )


def prepared(options: argparse.Namespace) -> Run:
    """Return a model, its optimizer and a batch on the device, layers compiled if they can be."""
    config, device = asked_shape(options), choose_device()
    model = GPT(config)
    initialize(model, torch.Generator().manual_seed(0))
    model = model.to(device)
    kernel, _ = settled_kernel(options.attention, config, device, documents=False)
    model.places.kernel = kernel
    model.residual = options.residual
    if options.compile and why_not_compiled(device) is None:
        compile_layers(model)
    settings = AdamWSettings(peak_lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    sequences = options.micro_sequences * options.micro_batches
    ids = torch.randint(
        options.vocab, (sequences, options.context + 1), generator=torch.Generator().manual_seed(1)
    )
    return Run(
        config=config,
        model=model,
        optimizer=adamw(model, settings),
        batch=Batch(ids=ids, documents=None, counted=None).to(device),
        settings=StepSettings(
            micro_sequences=options.micro_sequences, clip_norm=1.0, clip_value=None
        ),
        device=device,
        repeats=options.repeats,
    )


def machine(run: Run) -> Machine:
    """Return what a matrix product and a copy reach on the device."""
    dtype = torch.bfloat16 if run.device.type == "cuda" else torch.float32
    size = 4 * PROBE if run.device.type == "cuda" else PROBE
    left, right = (torch.randn(size, size, device=run.device, dtype=dtype) for _ in range(2))
    source = torch.empty(1 << 26, device=run.device, dtype=torch.float32)
    target = torch.empty_like(source)
    product = run.median(lambda: left @ right)
    copy = run.median(lambda: target.copy_(source))
    return Machine(flops=2 * size**3 / product, bytes=2 * source.nbytes / copy)


def whole_step(run: Run) -> float:
    """Return the seconds of a step: all micro-batches, clipping, the update."""
    return run.median(
        lambda: train_step(run.model, run.optimizer, run.batch, run.settings, finite_only=True)
    )


def parts(run: Run) -> Iterator[Part]:
    """Yield the parts of a step, each timed by itself and counted as often as it comes."""
    config, micros = run.config, run.batch.ids.shape[0] // run.settings.micro_sequences
    tokens = run.settings.micro_sequences * config.context
    yield _attention(run, micros)
    hidden = _hidden(run)
    if run.model.residual == "bfloat16" and run.device.type == "cuda":
        hidden = hidden.detach().bfloat16().requires_grad_()
    bias, angles = run.model.places(config.context, hidden.dtype)
    layer, gradient = run.model.layers[0], torch.randn_like(hidden)

    def once() -> None:
        with torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
            layer(hidden, bias, angles).backward(gradient)

    matrices = layer_matrix_parameters(config)
    attention = 4.0 * config.attention_width * config.context
    yield Part(
        name="layers, attention in them",
        seconds=run.median(once, together=TOGETHER) * config.layers * micros,
        flops=FORWARD_AND_BACKWARD * (2.0 * matrices + attention) * tokens * config.layers * micros,
        bytes=float(run.width_bytes * config.layers * micros)
        * (FORWARD_AND_BACKWARD * matrices + 4 * tokens * config.width),
    )
    yield _loss(run, micros)
    yield _update(run)


def _hidden(run: Run) -> Tensor:
    sequences, context = run.settings.micro_sequences, run.config.context
    return torch.randn(sequences, context, run.config.width, device=run.device, requires_grad=True)


def _attention(run: Run, micros: int) -> Part:
    config = run.config
    attention = Attention(config).to(run.device)
    dtype = torch.bfloat16 if run.device.type == "cuda" else torch.float32
    bias, _ = run.model.places(config.context, dtype)
    size = (run.settings.micro_sequences, config.heads, config.context, config.head_width)
    query, key, value = (
        torch.randn(size, device=run.device, dtype=dtype, requires_grad=True) for _ in range(3)
    )
    gradient = torch.randn_like(query)

    def once() -> None:
        attention.mixed(query, key, value, bias).backward(gradient)

    pairs = size[0] * config.context**2
    return Part(
        name="attention alone",
        seconds=run.median(once, together=TOGETHER) * config.layers * micros,
        flops=FORWARD_AND_BACKWARD * 4.0 * config.attention_width * pairs * config.layers * micros,
        bytes=float(run.width_bytes * 8 * query.numel() * config.layers * micros),
    )


def _loss(run: Run, micros: int) -> Part:
    config = run.config
    hidden = _hidden(run).detach().flatten(0, 1)
    hidden = hidden.to(torch.bfloat16) if run.device.type == "cuda" else hidden
    hidden.requires_grad_()
    targets = run.batch.ids[: run.settings.micro_sequences, 1:].flatten()

    def once() -> None:
        head = run.model.head_weight
        cross_entropy_sum(hidden, head, targets, vocab_size=config.vocab_size).backward()

    head = config.padded_vocab_size * config.width
    logits = hidden.shape[0] * config.padded_vocab_size
    return Part(
        name="head and loss",
        seconds=run.median(once, together=TOGETHER) * micros,
        flops=FORWARD_AND_BACKWARD * 2.0 * head * hidden.shape[0] * micros,
        bytes=float(micros * (8 * logits + run.width_bytes * FORWARD_AND_BACKWARD * head)),
    )


def _update(run: Run) -> Part:
    count = parameters(run.config)
    for parameter in run.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    norm = list(run.model.parameters())

    def once() -> None:
        torch.nn.utils.clip_grad_norm_(norm, 1.0)
        run.optimizer.step()

    seconds = run.median(once)
    run.optimizer.zero_grad()
    # The norm reads the gradients, scaling reads and writes them; the update reads four and
    # writes three.
    return Part(name="clipping and update", seconds=seconds, flops=0.0, bytes=4.0 * 10 * count)


def main() -> None:
    """Time a step, print the table, and keep it."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    run = prepared(options)
    found = machine(run)
    step = whole_step(run)
    rows = list(parts(run))
    peak = options.peak_flops or found.flops
    record = _record(run, found, rows, step=step, peak=peak)
    page = _page(record)
    print(page)
    if options.out:
        options.out.write_text(page + "\n")
        options.out.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")


def _record(
    run: Run, found: Machine, rows: list[Part], *, step: float, peak: float
) -> dict[str, Any]:
    config, tokens = run.config, run.batch.targets
    return {
        "shape": asdict(config),
        "parameters": parameters(config),
        "non_embedding_parameters": non_embedding_parameters(config),
        "tokens_per_step": tokens,
        "micro_sequences": run.settings.micro_sequences,
        "seconds_per_step": step,
        "tokens_per_second": tokens / step,
        "flops_per_token": {
            str(share): training_flops_per_token(config, context=config.context, causal=share)
            for share in (1.0, 0.5)
        },
        "peak_flops": peak,
        "machine": asdict(found),
        "attention": run.model.places.kernel,
        "residual": run.model.residual,
        "parts": [asdict(row) for row in rows],
        "device": describe(run.device),
        "setting": setting(describe(run.device).removeprefix(f"{platform.machine()} CPU, ")),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--mlp", type=int, help="hidden units (4 x width)")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--vocab", type=int, default=50_304)
    parser.add_argument("--positions", choices=["alibi", "learned", "rotary"], default="alibi")
    parser.add_argument("--attention", choices=["auto", "sdpa", "triton", "flash"], default="auto")
    parser.add_argument("--residual", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--micro-sequences", type=int, default=4, help="in a forward pass")
    parser.add_argument("--micro-batches", type=int, default=1, help="in a step")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument(
        "--peak-flops", type=float, help="for MFU; else a matrix product's, measured"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a Markdown file to write, and JSON beside it")
    return parser.parse_args()


def _page(record: dict[str, Any]) -> str:
    """Return a record as Markdown."""
    config, step = record["shape"], record["seconds_per_step"]
    speed = record["tokens_per_second"]
    mfu = {
        share: each * speed / record["peak_flops"]
        for share, each in record["flops_per_token"].items()
    }
    lines = [
        "# One training step",
        "",
        f"{config['layers']} layers, width {config['width']}, {config['heads']} heads, mlp "
        f"{config['mlp']}, context {config['context']}, vocabulary {config['padded_vocab_size']}, "
        f"{config['positions']}: {record['parameters']:,} parameters. "
        f"{record['tokens_per_step']:,} tokens a step, {record['micro_sequences']} sequences at "
        "once. Medians.",
        "",
        f"{record['setting']}, attention by {record['attention']}, "
        f"residual stream in {record['residual']}.",
        "",
        f"**{speed:,.0f} tokens/s**, {step * 1e3:,.1f} ms a step; of "
        f"{record['peak_flops'] / 1e12:,.2f} TFLOP/s: {mfu['1.0']:.1%} (attention counted whole), "
        f"{mfu['0.5']:.1%} (what a causal model needs).",
        "",
        "| part | ms | of the step | of the arithmetic | of the bandwidth | bound by |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for part in record["parts"]:
        arithmetic = part["flops"] / part["seconds"] / record["machine"]["flops"]
        bandwidth = part["bytes"] / part["seconds"] / record["machine"]["bytes"]
        bound = "arithmetic" if arithmetic >= bandwidth else "bandwidth"
        if max(arithmetic, bandwidth) < HARDLY:
            bound = "neither: overhead"
        lines.append(
            f"| {part['name']} | {part['seconds'] * 1e3:,.1f} | {part['seconds'] / step:.0%} | "
            f"{arithmetic:.0%} | {bandwidth:.0%} | {bound} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
