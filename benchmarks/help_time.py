"""How long ``growlm --help`` takes, interpreter and imports included: the median of some starts.

    python benchmarks/help_time.py

It fails above the limit.
"""

import statistics
import subprocess
import sys
import time

STARTS = 15
LIMIT_SECONDS = 0.3


def main() -> int:
    """Start it some times; return an exit code."""
    seconds: list[float] = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "growlm", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    print(
        f"growlm --help: {median * 1000:.0f} ms, the median of {STARTS}; "
        f"the fastest took {min(seconds) * 1000:.0f} ms"
    )
    return int(median > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
