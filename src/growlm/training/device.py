"""The device a stage runs on, and whether its layers can be compiled."""

import os
import platform
import shutil
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from growlm.model.gpt import GPT

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
    compilers = [os.environ.get("CXX", "g++"), "g++", "clang++"]
    if not any(shutil.which(each) for each in compilers):
        return "no C++ compiler was found"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's headers are not installed"
    return None


def compile_layers(model: GPT) -> None:
    """Compile each layer in place; layers of one shape share one compilation."""
    for layer in model.layers:
        layer.compile(dynamic=False)
