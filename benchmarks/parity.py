"""How far the fast paths of a training step are from the plain ones, on whatever device there is.

``python benchmarks/parity.py`` prints a table; ``--out FILE`` keeps it. Each error is the largest
difference from fp64 by the largest entry, of values and of gradients; of the chunked loss's
gradients it is the norm of the difference by the norm. Checkpointing is held against none.
"""

import argparse
import itertools
import platform
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from setting import setting
from shapes import shape
from torch import Tensor

from growlm.model.config import GPTConfig
from growlm.model.flex import Kernel
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.model.loss import cross_entropy_sum
from growlm.model.recompute import MODES, Checkpointing
from growlm.training.device import choose_device, compile_layers, describe, parity
from growlm.training.step import Batch, batch_loss_sum

HEADS = ((8, 64), (12, 128), (16, 96))
CHUNKS = (64, 512, 4_096)
WIDTH = 256
TOKENS, VOCAB = {"cuda": 16_384, "cpu": 2_048}, {"cuda": 4_096, "cpu": 512}
"""Of the loss: on a GPU 256 chunks of 64, where sums in bf16 go wrong."""

Row = tuple[str, str, str]


def attention(device: torch.device) -> Iterator[Row]:
    """Yield the error of each kernel that has gradients on the device, for several heads."""
    kernels: tuple[Kernel, ...] = ("sdpa", "triton") if device.type == "cuda" else ("sdpa",)
    dtypes = [torch.float32] + [torch.bfloat16] * (device.type == "cuda")
    for kernel, dtype, (heads, head_width) in itertools.product(kernels, dtypes, HEADS):
        error = parity(_shape(heads, head_width), kernel, device, dtype)
        yield f"attention, {kernel}", f"{heads} heads of {head_width}, {_name(dtype)}", _told(error)


def _shape(heads: int, head_width: int) -> GPTConfig:
    return shape(
        layers=3,
        heads=heads,
        kv_heads=heads,
        width=heads * head_width,
        head_width=head_width,
        mlp=2 * heads * head_width,
        context=256,
        vocab_size=500,
        padded_vocab_size=512,
    )


def chunked_loss(device: torch.device) -> Iterator[Row]:
    """Yield the errors of the loss and of its gradients, by chunk and type."""
    stream = torch.Generator().manual_seed(2)
    tokens, vocab = TOKENS[device.type], VOCAB[device.type]
    states, rows = (torch.randn(size, WIDTH, generator=stream) for size in (tokens, vocab))
    targets = torch.randint(0, vocab, (tokens,), generator=stream).to(device)
    for dtype in (torch.float32, torch.bfloat16):
        hidden, head = states.to(device, dtype), (rows / 16).to(device, dtype)
        logits = partial(_plain, targets=targets)
        wanted = _with_gradients(logits, hidden.double(), head.double())
        for chunk in CHUNKS:
            work = partial(_chunked, targets=targets, chunk=chunk)
            found = _with_gradients(work, hidden, head.float())
            told = ", ".join(map(_told, map(_apart, map(Tensor.double, found), wanted)))
            yield "loss, by hidden states, by head", f"chunks of {chunk}, {_name(dtype)}", told


def _apart(one: Tensor, other: Tensor) -> float:
    apart, whole = (torch.dot(each, each) for each in ((one - other).flatten(), other.flatten()))
    return (float(apart) / float(whole)) ** 0.5


def _plain(hidden: Tensor, head: Tensor, *, targets: Tensor) -> Tensor:
    return F.cross_entropy(hidden @ head.T, targets, reduction="sum")


def _chunked(hidden: Tensor, head: Tensor, *, targets: Tensor, chunk: int) -> Tensor:
    return cross_entropy_sum(hidden, head, targets, vocab_size=head.shape[0], chunk_tokens=chunk)


def _with_gradients(work: "partial[Tensor]", *inputs: Tensor) -> list[Tensor]:
    leaves = [each.detach().requires_grad_() for each in inputs]
    value = work(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def checkpointing(device: torch.device) -> Iterator[Row]:
    """Yield how far gradients are from those where nothing is computed again."""
    kernel: Kernel = "triton" if device.type == "cuda" else "sdpa"
    for compiled in (False, True):
        kept = _gradients("none", device, kernel=kernel, compiled=compiled)
        for mode in MODES[1:]:
            found = _gradients(mode, device, kernel=kernel, compiled=compiled)
            error = float((found - kept).abs().max() / kept.abs().max())
            how = f"{'compiled' if compiled else 'eager'}, {kernel}"
            yield f"checkpointing, {mode}", how, _told(error)


def _gradients(
    mode: Checkpointing, device: torch.device, *, kernel: Kernel, compiled: bool
) -> Tensor:
    config = _shape(2, 64)
    model = GPT(config)
    initialize(model, torch.Generator().manual_seed(0))
    model = model.to(device).train()
    model.places.kernel = kernel
    model.checkpoint_layers(mode)
    if compiled:
        compile_layers(model)
    ids = torch.randint(0, 500, (4, config.context + 1), generator=torch.Generator().manual_seed(1))
    batch_loss_sum(model, Batch(ids=ids, documents=None, counted=None).to(device)).backward()
    return torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _told(error: float) -> str:
    return "0" if not error else f"{error:.1e}"


def main() -> None:
    """Print the table, and keep it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    device = choose_device()
    rows = [*attention(device), *chunked_loss(device), *checkpointing(device)]
    lines = [
        "# Fast paths beside plain ones",
        "",
        f"{setting(describe(device).removeprefix(f'{platform.machine()} CPU, '))}.",
        "",
        "| path | of | error |",
        "| --- | --- | ---: |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
