"""What memory training holds, as the run log has it."""

import pytest
import torch

from growlm.runlog import GpuMemory
from growlm.training.memory import forget_peaks, gpu_memory, memory_record


def test_on_a_cpu_the_process_is_what_is_watched():
    device = torch.device("cpu")
    forget_peaks(device)
    found = memory_record(device, step=3, tokens=48)
    assert (found.step, found.tokens, found.gpu) == (3, 48, None)
    assert 0 < found.resident_bytes <= found.peak_resident_bytes


def test_the_gap_is_between_the_most_of_both():
    statistics = {
        "allocated_bytes.all.current": 10,
        "allocated_bytes.all.peak": 70,
        "reserved_bytes.all.current": 90,
        "reserved_bytes.all.peak": 100,
        "num_alloc_retries": 2,
    }
    assert gpu_memory(statistics) == GpuMemory(
        allocated_bytes=10,
        reserved_bytes=90,
        peak_allocated_bytes=70,
        peak_reserved_bytes=100,
        gap_bytes=30,
        retries=2,
        ooms=0,
    )


@pytest.mark.gpu
def test_on_a_gpu_its_allocator_is_watched_too():
    device = torch.device("cuda")
    forget_peaks(device)
    held = torch.zeros(2**20, device=device)
    found = memory_record(device, step=0, tokens=0).gpu
    assert found is not None
    assert held.nbytes <= found.allocated_bytes <= found.reserved_bytes
