"""What a result was measured on: hardware, versions, date and commit, in a line."""

import platform
import subprocess
from datetime import UTC, datetime


def setting(*details: str) -> str:
    """Return the machine's kind, some details, the date, and the commit that is checked out."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    told = ", ".join((f"{platform.machine()} CPU", *details))
    return f"{told}; {datetime.now(UTC):%Y-%m-%d}, commit {commit}"
