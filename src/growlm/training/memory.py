"""What memory training holds: of the process, and of the GPU that it runs on."""

from collections.abc import Mapping

import torch

from growlm.base.memory import peak_resident_bytes, resident_bytes
from growlm.runlog import GpuMemory, Memory


def memory_record(device: torch.device, *, step: int, tokens: int) -> Memory:
    """Return what is held now, and the most that was, as the run log has it.

    Args:
        device: What the stage trains on.
        step: Steps done.
        tokens: Tokens seen.
    """
    resident = resident_bytes()
    return Memory(
        step=step,
        tokens=tokens,
        resident_bytes=resident,
        peak_resident_bytes=max(peak_resident_bytes(), resident),
        gpu=gpu_memory(torch.cuda.memory_stats(device)) if device.type == "cuda" else None,
    )


def gpu_memory(statistics: Mapping[str, int]) -> GpuMemory:
    """Return the gauges that matter, of all that the allocator counts.

    Args:
        statistics: ``torch.cuda.memory_stats``; what is absent was never counted.
    """
    peak = {kind: statistics.get(f"{kind}_bytes.all.peak", 0) for kind in ("allocated", "reserved")}
    return GpuMemory(
        allocated_bytes=statistics.get("allocated_bytes.all.current", 0),
        reserved_bytes=statistics.get("reserved_bytes.all.current", 0),
        peak_allocated_bytes=peak["allocated"],
        peak_reserved_bytes=peak["reserved"],
        gap_bytes=peak["reserved"] - peak["allocated"],
        retries=statistics.get("num_alloc_retries", 0),
        ooms=statistics.get("num_ooms", 0),
    )


def forget_peaks(device: torch.device) -> None:
    """Begin to watch and count anew, which on a CPU cannot be done."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.reset_accumulated_memory_stats(device)
