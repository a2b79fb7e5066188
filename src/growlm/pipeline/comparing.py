"""Several runs on one page, from what lies in their folders."""

from collections.abc import Sequence
from pathlib import Path

from growlm.base.errors import RecipeError
from growlm.pipeline.events import Stop
from growlm.pipeline.folder import enclosing
from growlm.pipeline.open import recorded_run
from growlm.pipeline.viewing import run_view
from growlm.report.page import FILES, write_several


def check_place(paths: Sequence[Path], out: Path | None) -> None:
    """Refuse a place for the page of one run, which has its own, and none for that of several.

    Raises:
        RecipeError: As said.
    """
    several = len(paths) > 1
    if several != (out is not None):
        raise RecipeError(
            "--out with several runs, and with them only",
            got=f"{len(paths)} {'runs without' if several else 'run with'} --out",
            fix="--out runs/together" if several else "removing --out, or naming another run",
        )


def compare(paths: Sequence[Path], out: Path, *, version: str) -> tuple[Path, ...]:
    """Write the page of several runs, and return its files.

    Args:
        paths: The runs' folders.
        out: Where the page goes, best a folder of its own.
        version: growlm's, for the log.

    Raises:
        RecipeError: A run is named twice, or the page would take the place of a run's own.
        FolderError: One of them is no run's folder, or its corpus was never prepared.
        StorageError: The disk refused.
    """
    real = [path.resolve() for path in paths]
    for at, path in enumerate(real):
        if path in real[:at]:
            raise RecipeError("different runs", got=f"{paths[at]} twice", fix="naming it once")
    if enclosing(out / FILES[0]) is not None:
        raise RecipeError(
            "a folder for the page of several runs that is no run's",
            got=str(out),
            fix="a folder beside the runs",
        )
    runs = [recorded_run(path, stop=Stop(), version=version) for path in paths]
    write_several([run_view(each.plan, each.folder, version=version) for each in runs], out)
    return tuple(out / name for name in FILES)
