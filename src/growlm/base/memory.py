"""Memory: how much the process has, and how what is freed serves again, here and on a GPU."""

import ctypes
import os
import re
import resource
import sys
from collections.abc import MutableMapping
from pathlib import Path

from growlm.base.errors import TrainingError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""What glibc calls the sizes from which it gives freed memory back (``malloc.h``)."""

KEPT_BYTES = 2**30
"""So much is kept: more than any piece of a model that is held at once."""

ALLOCATOR = "PYTORCH_ALLOC_CONF"
OLD_ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
"""What torch's allocator on a GPU reads when it starts: today's name, and the one before it."""

EXPANDABLE = "expandable_segments:True"
"""Segments that grow, so that memory freed by one size serves another."""


def settle_allocator(environment: MutableMapping[str, str]) -> str:
    """Let a GPU's segments grow unless somebody chose; return what its allocator will read.

    It is too late once a GPU has been used.

    Args:
        environment: The process's; changed in place.

    Raises:
        TrainingError: It asks for segments that grow and for blocks that are never split: together
            they let reserved memory grow without bound (pytorch/pytorch, issue 123548).
    """
    if ALLOCATOR not in environment and OLD_ALLOCATOR not in environment:
        environment[ALLOCATOR] = EXPANDABLE
    name = ALLOCATOR if ALLOCATOR in environment else OLD_ALLOCATOR
    text = environment[name]
    chosen = [part.replace(" ", "").lower() for part in text.split(",")]
    splits = any(part.startswith("max_split_size_mb:") for part in chosen)
    if splits and EXPANDABLE.lower() in chosen:
        raise TrainingError(
            f"{name} without max_split_size_mb where segments are expandable: together they let "
            "reserved memory grow without bound",
            got=f"'{text}'",
            fix=f"{name}={EXPANDABLE}",
        )
    return text


def keep_freed() -> bool:
    """Let the C library keep freed memory for what is asked for next; return whether it does.

    It would give every large piece back, and the kernel would clear fresh pages for the next: for
    passes over weights, that takes longer than the work. Only glibc can be told (mallopt(3)).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(size, KEPT_BYTES) for size in (TRIM_THRESHOLD, MMAP_THRESHOLD))


def resident_bytes() -> int:
    """Return what the process has in main memory; its peak, where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _counted_peak()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes() -> int:
    """Return the most that the process ever had in main memory, never less than it has now."""
    try:
        told = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return max(_counted_peak(), resident_bytes())
    found = re.search(r"^VmHWM:\s*(\d+) kB$", told, re.MULTILINE)
    highest = int(found[1]) * 1024 if found else _counted_peak()
    return max(highest, resident_bytes())


def _counted_peak() -> int:
    """Return the peak by getrusage(2), which may be a little behind.

    On Linux it survives exec(2): it may be the peak of whatever started this process.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
