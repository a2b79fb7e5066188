"""The memory that ``growlm plan`` foresees, against what a GPU's allocator has at its fullest.

``python benchmarks/memory.py`` prints a table of shapes and checkpointing modes; it needs CUDA.
"""

import argparse
import gc
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import torch
from shapes import shape

from growlm.model.activations import CUDA, Load
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.model.loss import CHUNK_TOKENS
from growlm.model.memory import Moments, Setup, needs
from growlm.model.recompute import MODES, Checkpointing
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.training.device import compile_layers, describe, settled_kernel
from growlm.training.memory import forget_peaks, gpu_memory
from growlm.training.step import Batch, StepSettings, train_step

OPTIMIZER = AdamWSettings(peak_lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
STEPS = 3
"""Steps before the one that is watched: moments are there, and layers are compiled."""
MICRO_BATCHES = 2

REFERENCE = shape(
    layers=18,
    heads=12,
    kv_heads=12,
    width=1_536,
    head_width=128,
    mlp=6_144,
    context=1_024,
    vocab_size=50_277,
    padded_vocab_size=50_304,
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
    norm_bias=True,
    dropout=0.1,
)
KINDS: dict[str, dict[str, Any]] = {
    "reference": {},
    "rotary, swiglu": {
        "norm": "rmsnorm",
        "activation": "swiglu",
        "positions": "rotary",
        "dropout": 0.0,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One shape, planned and measured; bytes."""

    shape: str
    checkpointing: Checkpointing
    micro_batch: int
    planned: int
    allocated: int
    reserved: int

    @property
    def error(self) -> float:
        """How far the plan is off, as a share of what was allocated."""
        return self.planned / self.allocated - 1


def cases(
    sequences: int, *, layers: Sequence[int], contexts: Sequence[int]
) -> Iterator[tuple[str, GPTConfig, Checkpointing, Load]]:
    """Yield every case.

    Args:
        sequences: Of 1,024 tokens, in a micro-batch.
        layers: Of the models.
        contexts: Of the models; a micro-batch has as many tokens in each.
    """
    shapes = {
        f"{count} layers, context {context}, {kind}": (
            replace(REFERENCE, layers=count, context=context, **changes),
            Load(sequences=sequences * 1_024 // context, context=context),
        )
        for context, (kind, changes), count in itertools.product(contexts, KINDS.items(), layers)
    }
    for (name, (config, load)), mode in itertools.product(shapes.items(), MODES):
        yield name, config, mode, load


def measured(
    config: GPTConfig, mode: Checkpointing, load: Load, *, moments: Moments, compiled: bool
) -> tuple[int, int]:
    """Return the most bytes allocated and reserved in a step."""
    device = torch.device("cuda")
    torch.compiler.reset()
    gc.collect()  # compiled layers refer to each other: the case before would still be there
    torch.cuda.empty_cache()
    model = GPT(config).to(device)
    initialize(model, torch.Generator(device).manual_seed(1))
    model.places.kernel, _ = settled_kernel("auto", config, device, documents=False)
    model.checkpoint_layers(mode)
    if compiled:
        compile_layers(model)
    optimizer = adamw(model, replace(OPTIMIZER, moments=moments))
    settings = StepSettings(micro_sequences=load.sequences, clip_norm=1.0, clip_value=None)
    size = (load.sequences * MICRO_BATCHES, load.context + 1)
    batch = Batch(
        ids=torch.randint(0, config.vocab_size, size, device=device), documents=None, counted=None
    )
    for step in range(STEPS + 1):
        if step == STEPS:
            forget_peaks(device)
        train_step(model, optimizer, batch, settings)
    found = gpu_memory(torch.cuda.memory_stats(device))
    return found.peak_allocated_bytes, found.peak_reserved_bytes


def row(
    name: str,
    config: GPTConfig,
    *,
    mode: Checkpointing,
    load: Load,
    moments: Moments,
    compiled: bool,
) -> Row:
    """Return one case, planned and measured."""
    setup = Setup(
        load=load,
        accumulates=True,
        chunk_tokens=CHUNK_TOKENS,
        checkpointing=mode,
        checkpointed=config.layers,
        moments=moments,
        muon=False,
        average=False,
        sharding="replicated",
        devices=1,
        numbers=CUDA,
    )
    allocated, reserved = measured(config, mode, load, moments=moments, compiled=compiled)
    return Row(
        shape=name,
        checkpointing=mode,
        micro_batch=load.tokens,
        planned=needs(config, setup).peak,
        allocated=allocated,
        reserved=reserved,
    )


def main() -> None:
    """Print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sequences", type=int, default=8, help="of 1,024 tokens, in a micro-batch"
    )
    parser.add_argument("--layers", type=int, nargs="+", default=[6, 18])
    parser.add_argument("--contexts", type=int, nargs="+", default=[512, 1_024, 2_048])
    parser.add_argument(
        "--moments", choices=get_args(Moments), default="float32", help="what AdamW's are held in"
    )
    parser.add_argument("--eager", action="store_true", help="leave layers uncompiled")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("expected a GPU; got none. Try a machine that has one.")
    print(describe(torch.device("cuda")))
    found = cases(options.sequences, layers=options.layers, contexts=options.contexts)
    for name, config, mode, load in found:
        told: dict[str, Any] = {"moments": options.moments, "compiled": not options.eager}
        case = row(name, config, mode=mode, load=load, **told)
        if options.json:
            print(json.dumps({**asdict(case), "error": case.error}))
        else:
            sizes = (f"{each / 2**30:.2f}" for each in (case.planned, case.allocated))
            print(f"{name}, {mode}: {' GiB planned, '.join(sizes)} GiB, {case.error:+.1%}")


if __name__ == "__main__":
    main()
