"""What another process takes: its time, and the most memory that it held.

Memory is read while it runs: what the kernel tells at its end (``ru_maxrss``) survives exec(2), so
that it may be the peak of the benchmark itself.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.02
"""Between two looks at a process's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a process took."""

    seconds: float
    resident_mib: float
    """The most that it had in main memory, pages of files that it maps among them."""
    anonymous_mib: float
    """The most that it held itself."""


def watched(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Taken:
    """Run a command to its end; one that fails ends the benchmark with what it said."""
    start = time.perf_counter()
    resident = anonymous = 0.0
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            command, stdout=told, stderr=told, env=environment or dict(os.environ)
        )
        while process.poll() is None:
            sizes = _sizes(process.pid)
            resident = max(resident, sizes.get("VmHWM", 0.0))
            anonymous = max(anonymous, sizes.get("RssAnon", 0.0))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - start
        if process.returncode:
            told.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{told.read().decode()[-2000:]}")
    return Taken(seconds=seconds, resident_mib=resident, anonymous_mib=anonymous)


def _sizes(pid: int) -> dict[str, float]:
    """Return a process's sizes in MiB, by their names in ``/proc``; none once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(size.split()[0]) / 1024 for name, size in pairs}
