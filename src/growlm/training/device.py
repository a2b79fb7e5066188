"""The device a stage runs on, whether its layers can be compiled, and what mixes its values."""

import os
import platform
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from growlm.base.compiler import why_no_compiler
from growlm.base.errors import TrainingError
from growlm.model.attention import Attention, Bias, Places
from growlm.model.config import GPTConfig
from growlm.model.flex import Kernel
from growlm.model.gpt import GPT

Asked = Literal["auto", "sdpa", "triton", "flash"]
"""A kernel, or whichever is best."""
BLACKWELL = (10, 0)
"""CUDA's number of the first devices on which FlashAttention's gradients can be repeatable."""
PARITY = 0.03
"""Relative error up to which a kernel in bf16 computes the same; one without a bias is off by more
than three times as much."""
PROBE_TOKENS = 200
"""Of the sequence on which a kernel has to prove itself: no multiple of any block."""
CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""The variable without which cuBLAS may add up in another order every time."""


def choose_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} threads, torch {torch.__version__}"


@contextmanager
def deterministic_algorithms(*, asked: bool) -> Generator[None, None, None]:
    """Hold torch to deterministic algorithms inside the block, if that is asked for.

    It is entered before anything is computed: cuBLAS looks at its workspace's setting only once.
    """
    if not asked:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault(CUBLAS_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)


def why_not_compiled(device: torch.device) -> str | None:
    """Return what stands in the way of compiling, or None."""
    if device.type == "cuda":
        return None
    return why_no_compiler()


def compile_layers(model: GPT) -> None:
    """Compile each layer in place; layers of one shape share one compilation."""
    for layer in model.layers:
        layer.compile(dynamic=False)


def choose_kernel(
    config: GPTConfig, device: torch.device, *, documents: bool, deterministic: bool = False
) -> tuple[Kernel, str]:
    """Return what should mix the values of attention on a device, and why.

    Args:
        config: The shape.
        device: Where it is trained.
        documents: Whether a token sees its own document alone.
        deterministic: Whether two runs must have the same bits.
    """
    if device.type != "cuda":
        return "sdpa", "FlexAttention has no gradients on a CPU"
    if config.attention_dropout:
        return "sdpa", "FlexAttention knows no dropout"
    if config.positions != "alibi" and not documents:
        return "sdpa", "a causal mask alone needs no bias"
    if find_spec("flash_attn") is None or find_spec("flash_attn.cute") is None:
        return "triton", "flash-attn-4 is not installed"
    if deterministic and torch.cuda.get_device_capability(device) < BLACKWELL:
        return "triton", "FlashAttention's gradients differ from run to run on this device"
    return "flash", "flash-attn-4 is installed"


def check_kernel(asked: Asked, config: GPTConfig, device: torch.device) -> None:
    """Refuse a kernel that was asked for and cannot be had.

    Raises:
        TrainingError: This device or this shape has none such.
    """
    if asked in {"auto", "sdpa"}:
        return
    best, why = choose_kernel(config, device, documents=True)
    if best == "sdpa" or (asked == "flash" and best != "flash"):
        raise TrainingError(
            f"attention = '{asked}' to be possible", got=why, fix="attention = 'auto'"
        )


def settled_kernel(
    asked: Asked, config: GPTConfig, device: torch.device, *, documents: bool
) -> tuple[Kernel, str]:
    """Return what mixes the values, and why; FlashAttention has to prove itself first.

    Raises:
        TrainingError: The kernel that was asked for cannot be had.
    """
    check_kernel(asked, config, device)
    if asked != "auto":
        return asked, "the recipe says so"
    deterministic = torch.are_deterministic_algorithms_enabled()
    kernel, why = choose_kernel(config, device, documents=documents, deterministic=deterministic)
    if kernel == "flash":
        error = parity(config, kernel, device, torch.bfloat16)
        if not error < PARITY:
            return "triton", f"FlashAttention is off by {error:.2g}"
    return kernel, why


def parity(config: GPTConfig, kernel: Kernel, device: torch.device, dtype: torch.dtype) -> float:
    """Return how far a kernel's attention is from that of fp64, relative to its largest entry.

    On a GPU, of the gradients too. A kernel that is told of a bias and forgets it is off by tenths.

    Args:
        config: Its heads, their width, and its positions.
        kernel: The kernel in question.
        device: Where it runs.
        dtype: What it is given.
    """
    attention, places = Attention(config), Places(config).to(device)
    stream = torch.Generator().manual_seed(0)
    shape = (1, config.heads, PROBE_TOKENS, config.head_width)
    given = [torch.randn(shape, generator=stream).to(device, dtype) for _ in range(3)]
    documents = torch.zeros(1, PROBE_TOKENS, dtype=torch.int64, device=device)
    bias, _ = places(PROBE_TOKENS, torch.float64, documents)
    wanted = _mixed(attention, [each.double() for each in given], bias)
    places.kernel = kernel
    bias, _ = places(PROBE_TOKENS, dtype, documents)
    found = _mixed(attention, given, bias)
    return max(
        float((one.double() - other).abs().max() / other.abs().max())
        for one, other in zip(found, wanted, strict=True)
    )


def _mixed(attention: Attention, inputs: list[Tensor], bias: Bias) -> list[Tensor]:
    """Return what attention mixes, detached; and on a GPU its gradients."""
    query, key, value = (each.requires_grad_(each.is_cuda) for each in inputs)
    mixed = attention.mixed(query, key, value, bias)
    gradients = torch.autograd.grad(mixed.sum(), inputs) if mixed.is_cuda else ()
    return [mixed.detach(), *gradients]
