"""What the log of a run's folder shows, for benchmarks that read finished runs."""

from pathlib import Path

from growlm.base.version import VERSION
from growlm.pipeline.events import Stop
from growlm.pipeline.open import recorded_run
from growlm.pipeline.viewing import run_view
from growlm.report.view import RunView


def view_of(folder: Path) -> RunView:
    """Return what a run's log shows."""
    run = recorded_run(folder, stop=Stop(), version=VERSION)
    return run_view(run.plan, run.folder, version=VERSION)
