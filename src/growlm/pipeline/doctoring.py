"""The doctor: what this machine has, and what to do for what it lacks."""

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from growlm.base.compiler import why_no_compiler
from growlm.base.units import format_bytes
from growlm.base.version import VERSION

ROOM_BYTES = 5 * 2**30
"""Free disk below which there is a word about it."""

DRIVER = Path("/proc/driver/nvidia/version")
"""What NVIDIA's driver shows of itself on Linux."""

MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An extra of growlm."""

    packages: tuple[str, ...]
    """What it brings, by name."""
    purpose: str
    """What it is for, as what follows "to"."""


EXTRAS: Mapping[str, Part] = {
    "hf": Part(
        packages=("aiohttp", "datasets", "fsspec", "huggingface_hub", "pyarrow", "zstandard"),
        purpose="read whatever the Hugging Face Hub holds",
    ),
    "eval": Part(packages=("lm-eval",), purpose="take benchmarks from lm-evaluation-harness"),
    "cluster": Part(packages=("datatrove",), purpose="prepare texts on a cluster"),
    "web": Part(packages=("gradio",), purpose="open the playground in a browser"),
    "docs": Part(packages=("mkdocs-material", "mkdocstrings"), purpose="build the site"),
    "gpu": Part(packages=("flash-attn-4",), purpose="mix attention by FlashAttention"),
    "parquet": Part(packages=("pyarrow",), purpose="read Parquet files"),
    "zstd": Part(packages=("zstandard",), purpose="read .zst files"),
    "remote": Part(packages=("aiohttp", "fsspec"), purpose="read texts at https://"),
    "s3": Part(packages=("aiohttp", "fsspec", "s3fs"), purpose="read texts at s3://"),
    "gs": Part(packages=("aiohttp", "fsspec", "gcsfs"), purpose="read texts at gs://"),
    "hub": Part(
        packages=("aiohttp", "datasets", "fsspec", "huggingface_hub"),
        purpose="read data sets at hf://",
    ),
    "ray": Part(packages=("datatrove", "ray"), purpose="prepare texts on Ray"),
    "clean": Part(packages=("ftfy", "py3langid"), purpose="mend texts and tell their language"),
    "fast": Part(packages=("tiktoken",), purpose="encode texts faster"),
    "wandb": Part(packages=("wandb",), purpose="show a run at Weights & Biases"),
    "trackio": Part(packages=("trackio",), purpose="show a run at Trackio"),
}
"""Every extra of pyproject.toml; a test keeps the two alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the doctor looked at."""

    name: str
    found: str
    fix: str | None
    """What to do; None where nothing is missing."""
    optional: bool = False
    """Whether growlm does its work without it."""


def findings(place: Path) -> Iterator[Finding]:
    """Look at everything in turn.

    Torch is only woken where there is a driver of a GPU to ask it about.

    Args:
        place: Where runs would be written.
    """
    yield Finding(name="growlm", found=f"{VERSION}, Python {platform.python_version()}", fix=None)
    torch = _version("torch")
    yield _torch(torch)
    yield _device(torch)
    yield _compiler()
    yield _memory()
    yield _disk(place)
    for name, part in EXTRAS.items():
        yield _extra(name, part)


def _torch(found: str | None) -> Finding:
    if found is None:
        return Finding(name="torch", found="not installed", fix="pip install torch")
    return Finding(name="torch", found=found, fix=None)


def _device(torch: str | None) -> Finding:
    driver = DRIVER.exists() or shutil.which("nvidia-smi") is not None
    processor = f"{platform.machine()} CPU, {_cores()} cores"
    if not driver:
        fix = "nothing for toys; a machine with an NVIDIA GPU for more"
        return Finding(name="device", found=f"{processor}, no GPU", fix=fix, optional=True)
    gpus = _gpus() if torch else []
    if not gpus:
        fix = "a torch built for CUDA, and a driver that is new enough for it: pytorch.org"
        return Finding(name="device", found=f"{processor}; a GPU torch cannot use", fix=fix)
    return Finding(name="device", found=", ".join(gpus), fix=None)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # what this process may use, not what there is
    return os.cpu_count() or 1


def _gpus() -> list[str]:
    """Return the GPUs that torch can use, in words; none where it cannot even be woken."""
    try:
        import torch
    except (ImportError, OSError):
        return []
    devices = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    found: list[Any] = [torch.cuda.get_device_properties(each) for each in devices]
    return [f"{each.name} with {format_bytes(each.total_memory)}" for each in found]


def _compiler() -> Finding:
    why = why_no_compiler()
    if why is None:
        return Finding(name="compiler", found="a C++ compiler and Python's headers", fix=None)
    fix = "installing g++ and Python's headers (apt install g++ python3-dev): CPUs train faster"
    return Finding(name="compiler", found=why, fix=fix, optional=True)


def _memory() -> Finding:
    return Finding(name="memory", found=_memory_in_words(), fix=None)


def _memory_in_words() -> str:
    if not MEMORY.exists():
        return format_bytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    lines = dict(line.split(":") for line in MEMORY.read_text(encoding="ascii").splitlines())
    total, free = (
        format_bytes(int(lines[key].split()[0]) * 1_024) for key in ("MemTotal", "MemAvailable")
    )
    return f"{free} free of {total}"


def _disk(place: Path) -> Finding:
    usage = shutil.disk_usage(place)
    found = f"{format_bytes(usage.free)} free of {format_bytes(usage.total)}"
    if usage.free >= ROOM_BYTES:
        return Finding(name="disk", found=found, fix=None)
    fix = "freeing space, or --out on another disk; growlm check says what a recipe needs"
    return Finding(name="disk", found=found, fix=fix)


def _extra(name: str, part: Part) -> Finding:
    lacking = [package for package in part.packages if _version(package) is None]
    label = f"[{name}]"
    if not lacking:
        versions = ", ".join(f"{package} {_version(package)}" for package in part.packages)
        return Finding(name=label, found=versions, fix=None, optional=True)
    return Finding(
        name=label,
        found=f"no {', '.join(lacking)}",
        fix=f"pip install 'growlm[{name}]' to {part.purpose}",
        optional=True,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
