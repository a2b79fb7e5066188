"""What a page is made of, before it is Markdown or HTML: a title, sections, and a run to draw."""

from dataclasses import dataclass

from growlm.report.sections import Section, about, sections
from growlm.report.view import RunView
from growlm.report.words import plain

PICTURE = "![Perplexity, loss against compute, and bits per byte](curves.png)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A training log, of one run or of several."""

    title: str
    """Its heading, plain text."""
    about: str
    """The line under it, Markdown."""
    sections: tuple[Section, ...]
    """Its sections."""
    view: RunView
    """What its charts draw."""


def document(view: RunView) -> Document:
    """Return the log of one run."""
    return Document(title=view.title, about=about(view), sections=sections(view), view=view)


def as_markdown(log: Document) -> str:
    """Return a log in Markdown, with all charts in ``curves.png``."""
    parts = [f"# {plain(log.title)}", log.about]
    for section in log.sections:
        parts += [f"## {section.title}", section.body]
        if section.title == "Curves":
            parts.append(PICTURE)
    return "\n\n".join(parts) + "\n"
