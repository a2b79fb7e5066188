"""The device a stage runs on, and whether its layers can be compiled."""

import os
import platform
import shutil
import sysconfig
from pathlib import Path

import torch

from growlm.model.gpt import GPT


def choose_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} threads, torch {torch.__version__}"


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
