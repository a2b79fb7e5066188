"""The training log as one HTML file that needs no network: charts to move, pictures for print."""

import base64
import html as escapes
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import vl_convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from growlm.report import figures as drawing
from growlm.report.assets import SCRIPT, STYLE, WITHOUT_SCRIPT
from growlm.report.channels import HIGHLIGHT, explorable, highlighted, unchecked
from growlm.report.document import Document
from growlm.report.explore import Control
from growlm.report.figures import SMALL_WIDTH, STILL_WIDTH, Figure
from growlm.report.palette import DARK, LIGHT, colours, dashes
from growlm.report.sections import Section
from growlm.report.view import RunView

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may load: nothing but itself."""

_EXPORT = "window.vegaEmbed = vegaEmbed;"
_HINT = (
    "Point anywhere in a chart for the numbers of the nearest mark; choose a stage above it to "
    "single it out; hold Shift and scroll or drag to zoom or move, and double-click to go back."
)


@unchecked()
def as_html(log: Document) -> str:
    """Return a log as one HTML file with charts that answer to their reader."""
    drawn = _figures(log.view)
    pictures = stills(log.view)
    order = [drawn[name] for section in log.sections for name in section.figures if name in drawn]
    title = escapes.escape(log.title)
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
            f"<noscript><style>{WITHOUT_SCRIPT}</style></noscript>",
            "</head>",
            "<body>",
            '<a class="skip" href="#start">To the text</a>',
            '<div class="page">',
            _contents(log.sections),
            '<main id="start">',
            f"<h1>{title}</h1>",
            f'<div class="about">{rendered(log.about)}</div>',
            *(_section(log, section, drawn, pictures) for section in log.sections),
            "</main>",
            "</div>",
            *_scripts(order),
            "</body>",
            "</html>",
            "",
        ]
    )


def _figures(view: RunView) -> dict[str, Figure]:
    found = drawing.figures(view, width="container", small_width="container", legend=False)
    return {figure.name: figure for figure in found}


def stills(view: RunView) -> dict[str, str]:
    """Return each figure's picture as an address that loads nothing, by the figure's name."""
    found = drawing.figures(view, width=STILL_WIDTH, small_width=SMALL_WIDTH, legend=False)
    coded = {each.name: base64.b64encode(drawing.still(each).encode()) for each in found}
    return {name: f"data:image/svg+xml;base64,{text.decode()}" for name, text in coded.items()}


def _contents(written: Sequence[Section]) -> str:
    items = [
        f'<li><a href="#{_anchor(section)}">{escapes.escape(section.title)}</a></li>'
        for section in written
    ]
    return f'<nav class="contents" aria-label="Contents"><ol>{"".join(items)}</ol></nav>'


def _anchor(section: Section) -> str:
    return section.title.lower().replace(" ", "-")


def _section(
    log: Document, section: Section, drawn: Mapping[str, Figure], pictures: Mapping[str, str]
) -> str:
    names = [name for name in section.figures if name in drawn]
    shown = [_figure(log.view, drawn[name], pictures[name]) for name in names]
    hint = f'<p class="live">{_HINT}</p>' if shown and section.title == "Curves" else ""
    heading = f'<h2 id="{_anchor(section)}">{escapes.escape(section.title)}</h2>'
    return f"<section>{heading}\n{rendered(section.body)}{hint}{''.join(shown)}</section>"


def _figure(view: RunView, figure: Figure, picture: str) -> str:
    several = " several" if len(figure.charts) > 1 else ""
    boxes = '<div class="chart"></div>' * len(figure.charts)
    return (
        f'<figure id="{figure.name}"><figcaption><strong>{escapes.escape(figure.title)}</strong>'
        f"{escapes.escape(figure.caption)}</figcaption>{_legend(view)}{_controls(figure)}"
        f'<div class="charts live{several}">{boxes}</div>'
        f'<img class="still" alt="{escapes.escape(figure.alternative)}" src="{picture}">'
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
    label = 'role="group" aria-label="Stages: choose one to single it out"'
    return f'<div class="legend" {label}>{"".join(buttons)}</div>'


def _controls(figure: Figure) -> str:
    if not figure.controls:
        return ""
    return f'<div class="controls live">{"".join(map(_control, figure.controls))}</div>'


def _control(control: Control) -> str:
    facts = f'data-parameter="{control.parameter}" data-redraws="{int(control.redraws)}"'
    if not control.slider:
        options = "".join(
            f'<option value="{escapes.escape(value)}">{escapes.escape(name)}</option>'
            for value, name in control.choices.items()
        )
        return f"<label>{control.label} <select {facts}>{options}</select></label>"
    names = escapes.escape(json.dumps(list(control.choices.values())))
    told = escapes.escape(list(control.choices.values())[control.chosen])
    return (
        f'<label>{control.label} <input type="range" min="0" max="{len(control.choices) - 1}" '
        f'value="{control.chosen}" aria-valuetext="{told}" data-names="{names}" {facts}>'
        f"<output>{told}</output></label>"
    )


def _scripts(order: Sequence[Figure]) -> list[str]:
    charts = [_chart(figure, at) for figure in order for at in range(len(figure.charts))]
    if not charts:
        return []
    page = {"charts": charts, "light": LIGHT, "dark": DARK, "highlight": HIGHLIGHT}
    return [
        f'<script type="application/json" id="charts">{_json(page)}</script>',
        f"<script>{bundle()}</script>",
        f"<script>{SCRIPT}</script>",
    ]


@cache
def bundle() -> str:
    """Return the chart library, which is the same in every page and takes seconds to make."""
    return vl_convert.javascript_bundle(_EXPORT)


def _chart(figure: Figure, at: int) -> dict[str, Any]:
    """Return one chart of a figure as the page draws it, with its words for screen readers."""
    found = explorable(highlighted(figure.charts[at], figure.parameters))
    return {**found, "description": f"{figure.title}. {figure.alternative}"}


def _json(content: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def rendered(text: str) -> str:
    """Return Markdown as HTML: no raw HTML, no images, tables in boxes that scroll."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("image", _image)
    return str(parser.render(text))


def _table_open(*_: Any) -> str:
    return '<div class="table" tabindex="0" role="region" aria-label="Table">\n<table>\n'


def _table_close(*_: Any) -> str:
    return "</table>\n</div>\n"


def _image(_renderer: RendererHTML, tokens: Sequence[Token], index: int, *_: Any) -> str:
    """Return a link in place of an image, which would be a request."""
    address = escapes.escape(str(tokens[index].attrs.get("src", "")))
    return f'<a href="{address}">{escapes.escape(tokens[index].content or address)}</a>'
