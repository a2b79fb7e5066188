"""The training log as a page: Markdown, one HTML file that needs no network, a picture, JSON."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from growlm.base.errors import StorageError
from growlm.base.files import storage, write_bytes, write_text
from growlm.report.document import as_markdown, document
from growlm.report.figures import png
from growlm.report.markup import as_html
from growlm.report.overlay import labels, overlay, spread
from growlm.report.results import FORMAT, Overlay, Results, results
from growlm.report.view import RunView

FILES = ("log.md", "log.html", "curves.png", "results.json")
"""What ``write`` leaves in the folder."""


def markdown(view: RunView) -> str:
    """Return the log in Markdown, with all charts in ``curves.png``."""
    return as_markdown(document(view))


def html(view: RunView) -> str:
    """Return the log as one HTML file with interactive charts, which loads nothing."""
    return as_html(document(view))


def write(view: RunView, folder: Path) -> None:
    """Write the four files of the log, each whole or as it was before.

    Raises:
        StorageError: The folder cannot be written.
    """
    told = results(view).model_dump_json(indent=2) + "\n"
    keep(folder, (markdown(view), html(view), png(view), told))


def write_several(views: Sequence[RunView], folder: Path) -> None:
    """Write the four files of a log of several runs, each whole or as it was before.

    Raises:
        StorageError: The folder cannot be written.
    """
    log = overlay(views)
    told = Overlay(
        format=FORMAT,
        runs={name: results(view) for name, view in zip(labels(views), views, strict=True)},
        spread=spread(views),
    )
    text = told.model_dump_json(indent=2) + "\n"
    keep(folder, (as_markdown(log), as_html(log), png(log.view), text))


def keep(folder: Path, contents: tuple[str, str, bytes, str]) -> None:
    """Write what ``FILES`` names, each whole or as it was before.

    Raises:
        StorageError: The folder cannot be written.
    """
    for name, content in zip(FILES, contents, strict=True):
        if isinstance(content, bytes):
            write_bytes(folder / name, content)
        else:
            write_text(folder / name, content)


def read(path: Path) -> RunView:
    """Read the run of a ``results.json`` back.

    Raises:
        StorageError: It is not there, or is no log of this version.
    """
    with storage(path):
        content = path.read_bytes()
    try:
        found = Results.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise StorageError(
            f"{path} to be the results.json of a training log",
            got=f"{first['msg']} at {where}",
            fix="growlm log on the run's folder, which writes it again",
        ) from error
    return RunView(**{name: getattr(found, name) for name in RunView.model_fields})
