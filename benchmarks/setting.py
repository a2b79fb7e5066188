"""What a result was measured on: hardware, versions, date and commit, in a line."""

import platform
import subprocess
from datetime import UTC, datetime


def setting(*details: str) -> str:
    """Return the machine's kind, some details, the date, and the commit that is checked out."""
    return f"{hardware(*details)}; {today()}, commit {commit()}"


def hardware(*details: str) -> str:
    """Return the machine's kind and some details."""
    return ", ".join((f"{platform.machine()} CPU", *details))


def today() -> str:
    """Return the date, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def commit() -> str:
    """Return the commit that is checked out."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
