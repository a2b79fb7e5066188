"""What a model wrote, as HTML: each token coloured by its probability, and none of it obeyed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from growlm.base.visible import visible
from growlm.pipeline.generating import ENDS, Piece
from growlm.report.words import plural

LEAST = 1e-3
"""Tokens that are no likelier than this have the full colour."""

INSIDE = "\u2026"
"""Stands for a token that ends inside a character."""

MARKS = {"\n": "\u21b5", "\t": "\u21e5", " ": "\u00b7"}
"""What blanks look like where a token stands alone."""

CSS = """
.growlm-text { white-space: break-spaces; overflow-wrap: anywhere; line-height: 1.7;
  min-height: 8em; }
.growlm-text .prompt { opacity: 0.75; }
.growlm-text .token { position: relative; border-radius: 2px; cursor: default;
  background: color-mix(in srgb, #D55E00 calc(var(--surprise) * 60%), transparent); }
.growlm-text .token:hover { outline: 2px solid #0072B2; }
.growlm-text .token:hover::after { content: attr(data-likely); position: absolute; z-index: 20;
  left: 0; top: 1.7em; padding: 0.4em 0.7em; white-space: pre; line-height: 1.4;
  font-family: ui-monospace, monospace; font-size: 0.85em; color: #fff; background: #1b1b1b;
  border-radius: 4px; pointer-events: none; }
.growlm-note { font-size: 0.9em; margin: 0.4em 0; }
.growlm-mistake { border-left: 4px solid #D55E00; padding: 0.4em 0.8em; }
.growlm-table { max-height: 24em; overflow: auto; }
.growlm-table table { border-collapse: collapse; width: 100%; font-size: 0.85em; }
.growlm-table th, .growlm-table td { text-align: left; padding: 0.15em 0.6em; }
.growlm-key { display: inline-block; width: 8em; height: 0.8em; border-radius: 2px;
  background: linear-gradient(to right, color-mix(in srgb, #D55E00 60%, transparent), transparent);
  border: 1px solid #888; }
"""
"""How it looks. Likely tokens are plain, so colour says surprise; Okabe and Ito's vermilion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A prompt and what a model has written on it so far."""

    name: str
    """The model's."""
    prompt: str
    pieces: Sequence[Piece]


def safe(text: str) -> str:
    """Return text as HTML that shows it: nothing in it is markup, in an attribute neither.

    >>> safe('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return escape(visible(text), quote=True)


def alone(text: str) -> str:
    r"""Return a token's text so that its blanks can be seen.

    >>> alone(" the\n")
    '·the↵'
    """
    return "".join(MARKS.get(each, each) for each in visible(text)) or INSIDE


def html(written: Written) -> str:
    """Return the text so far, its colours, and how fast it comes; its table once it has ended."""
    tokens = "".join(_token(piece) for piece in written.pieces)
    ended = bool(written.pieces) and written.pieces[-1].end is not None
    name = safe(written.name)
    return (
        f'<div class="growlm-text" role="region" tabindex="0" dir="auto" '
        f'aria-label="What {name} writes" aria-busy="{"false" if ended else "true"}">'
        f'<span class="prompt">{safe(written.prompt)}</span>{tokens}</div>'
        f'<p class="growlm-note" role="status">{note(written.pieces)}</p>'
        f"{_table(written) if ended else ''}"
    )


def note(pieces: Sequence[Piece]) -> str:
    """Return how many tokens there are, how fast they came, and why they ended."""
    if not pieces:
        return "reading the prompt \u2026"
    last = pieces[-1]
    rate = f", {len(pieces) / last.seconds:.3g} tokens/s" if last.seconds else ""
    told = f"; ended at {ENDS[last.end]}" if last.end else ""
    return f"{plural(len(pieces), 'token')}{rate}{told}"


def surprise(probability: float) -> float:
    """Return how strong a token's colour is: 0 for a certain one, 1 from the least on.

    It grows with the logarithm, so that one in ten and one in a hundred look different.

    >>> [round(surprise(each), 2) for each in (1.0, 0.1, 0.01, 0.001, 0.0)]
    [0.0, 0.33, 0.67, 1.0, 1.0]
    """
    return max(0.0, math.log(max(probability, LEAST)) / math.log(LEAST))  # no -0.0


def mistake(line: str) -> str:
    """Return what went wrong, where the text would have been."""
    return f'<p class="growlm-mistake" role="alert">{safe(line)}</p>'


def _token(piece: Piece) -> str:
    shown = piece.text if piece.text or piece.end else INSIDE
    likely = "\n".join(f"{chance:6.1%}  {alone(text)}" for text, chance in piece.alternatives)
    told = f"{piece.probability:.1%} likely\n{likely}"
    return (
        f'<span class="token" style="--surprise:{surprise(piece.probability):.3f}" '
        f'data-likely="{safe(told)}">{safe(shown)}</span>'
    )


def _table(written: Written) -> str:
    rows = "".join(
        f"<tr><td>{safe(alone(piece.text))}</td><td>{piece.probability:.1%}</td>"
        f"<td>{safe(_listed(piece))}</td></tr>"
        for piece in written.pieces
    )
    name = safe(written.name)
    return (
        '<details class="growlm-table"><summary>Tokens as a table</summary>'
        f'<table aria-label="Tokens of {name}"><thead><tr><th scope="col">token</th>'
        '<th scope="col">probability</th><th scope="col">likeliest</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></details>"
    )


def _listed(piece: Piece) -> str:
    return ", ".join(f"{alone(text)} {chance:.1%}" for text, chance in piece.alternatives)
