"""The training log as a page: Markdown, one HTML file that needs no network, a picture, JSON."""

import html as escapes
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import vl_convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pydantic import ValidationError

from growlm.base.errors import StorageError
from growlm.base.files import storage, write_bytes, write_text
from growlm.report.assets import SCRIPT, STYLE
from growlm.report.channels import HIGHLIGHT, highlighted, zoomable
from growlm.report.figures import Figure, figures, png
from growlm.report.palette import DARK, LIGHT, colours, dashes
from growlm.report.sections import Section, about, sections
from growlm.report.view import RunView
from growlm.report.words import plain

FILES = ("log.md", "log.html", "curves.png", "results.json")
"""What ``write`` leaves in the folder."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may load: nothing but itself."""

_EXPORT = "window.vegaEmbed = vegaEmbed;"
_PICTURE = "![Perplexity, loss against compute, and bits per byte](curves.png)"
_HINT = (
    "Point at a mark for its numbers; choose a stage above a chart to single it out; hold Shift "
    "and scroll or drag to zoom or move, and double-click to go back."
)


def markdown(view: RunView) -> str:
    """Return the log in Markdown, with all charts in ``curves.png``."""
    parts = [f"# {plain(view.title)}", about(view)]
    for section in sections(view):
        parts += [f"## {section.title}", section.body]
        if section.title == "Curves":
            parts.append(_PICTURE)
    return "\n\n".join(parts) + "\n"


def html(view: RunView) -> str:
    """Return the log as one HTML file with interactive charts, which loads nothing."""
    written = sections(view)
    drawn = {
        figure.name: figure
        for figure in figures(view, width="container", small_width="container", legend=False)
    }
    order = [drawn[name] for section in written for name in section.figures if name in drawn]
    title = escapes.escape(view.title)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            '<div class="page">',
            _contents(written),
            "<main>",
            f"<h1>{title}</h1>",
            f'<div class="about">{_rendered(about(view))}</div>',
            *(_section(view, section, drawn) for section in written),
            "</main>",
            "</div>",
            *_scripts(order),
            "</body>",
            "</html>",
            "",
        ]
    )


def write(view: RunView, folder: Path) -> None:
    """Write the four files of the log, each whole or as it was before.

    Raises:
        StorageError: The folder cannot be written.
    """
    contents = (markdown(view), html(view), png(view), view.model_dump_json(indent=2) + "\n")
    for name, content in zip(FILES, contents, strict=True):
        if isinstance(content, bytes):
            write_bytes(folder / name, content)
        else:
            write_text(folder / name, content)


def read(path: Path) -> RunView:
    """Read a ``results.json`` back.

    Raises:
        StorageError: It is not there, or is no log of this version.
    """
    with storage(path):
        content = path.read_bytes()
    try:
        return RunView.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise StorageError(
            f"{path} to be the results.json of a training log",
            got=f"{first['msg']} at {where}",
            fix="growlm log on the run's folder, which writes it again",
        ) from error


def _contents(written: Sequence[Section]) -> str:
    items = [
        f'<li><a href="#{_anchor(section)}">{escapes.escape(section.title)}</a></li>'
        for section in written
    ]
    return f'<nav class="contents" aria-label="Contents"><ol>{"".join(items)}</ol></nav>'


def _anchor(section: Section) -> str:
    return section.title.lower().replace(" ", "-")


def _section(view: RunView, section: Section, drawn: Mapping[str, Figure]) -> str:
    shown = [_figure(view, drawn[name]) for name in section.figures if name in drawn]
    hint = f"<p>{_HINT}</p>" if shown and section.title == "Curves" else ""
    heading = f'<h2 id="{_anchor(section)}">{escapes.escape(section.title)}</h2>'
    return f"<section>{heading}\n{_rendered(section.body)}{hint}{''.join(shown)}</section>"


def _figure(view: RunView, figure: Figure) -> str:
    several = " several" if len(figure.charts) > 1 else ""
    boxes = '<div class="chart"></div>' * len(figure.charts)
    return (
        f'<figure id="{figure.name}"><figcaption><strong>{escapes.escape(figure.title)}</strong>'
        f"{escapes.escape(figure.caption)}</figcaption>{_legend(view)}"
        f'<div class="charts{several}">{boxes}</div>'
        "<noscript><p>The charts need JavaScript; curves.png shows the same.</p></noscript>"
        "</figure>"
    )


def _legend(view: RunView) -> str:
    """Return a button for each stage, which singles it out in all charts."""
    hues, strokes = colours(view.stages), dashes(view.stages)
    buttons = [
        f'<button type="button" aria-pressed="false" data-stage="{escapes.escape(name)}">'
        f'<svg width="28" height="10" aria-hidden="true"><line x1="1" x2="27" y1="5" y2="5" '
        f'stroke="{hues[name]}" stroke-width="3" '
        f'stroke-dasharray="{" ".join(map(str, strokes[name]))}"/></svg>'
        f"{escapes.escape(name)}</button>"
        for name in hues
    ]
    return f'<div class="legend">{"".join(buttons)}</div>'


def _scripts(order: Sequence[Figure]) -> list[str]:
    charts = [highlighted(chart) for figure in order for chart in figure.charts]
    if not charts:
        return []
    page = {
        "charts": [zoomable(chart) for chart in charts],
        "light": LIGHT,
        "dark": DARK,
        "highlight": HIGHLIGHT,
    }
    return [
        f'<script type="application/json" id="charts">{_json(page)}</script>',
        f"<script>{vl_convert.javascript_bundle(_EXPORT)}</script>",
        f"<script>{SCRIPT}</script>",
    ]


def _json(content: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _rendered(text: str) -> str:
    """Return Markdown as HTML: no raw HTML, no images, tables in boxes that scroll."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("image", _image)
    return str(parser.render(text))


def _table_open(*_: Any) -> str:
    return '<div class="table" tabindex="0">\n<table>\n'


def _table_close(*_: Any) -> str:
    return "</table>\n</div>\n"


def _image(_renderer: RendererHTML, tokens: Sequence[Token], index: int, *_: Any) -> str:
    """Return a link in place of an image, which would be a request."""
    address = escapes.escape(str(tokens[index].attrs.get("src", "")))
    return f'<a href="{address}">{escapes.escape(tokens[index].content or address)}</a>'
