"""What models wrote is shown, coloured, and never obeyed."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from growlm.pipeline.generating import ENDS, Piece
from growlm.web.tokens import Written, alone, html, mistake, note, safe

ALLOWED = {"div", "span", "p", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"}


class Outline(HTMLParser):
    """A page's tags with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if attrs.get("class") == name]


def written(*pieces: Piece, name: str = "child", prompt: str = "Once") -> Written:
    return Written(name=name, prompt=prompt, pieces=pieces)


def test_nothing_that_is_shown_becomes_markup(piece: Callable[..., Piece], hostile: str) -> None:
    bad = piece(hostile, alternatives=((hostile, 0.5),), end="tokens")
    page = Outline(html(written(piece(hostile), bad, name=hostile, prompt=hostile)))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    shown = hostile.replace("\x1b", "\u241b")
    assert page.text.count(shown) >= 3  # the prompt and both tokens, to the letter
    assert page.of("growlm-text")[0]["aria-label"] == f"What {shown} writes"
    assert shown.replace(" ", "\u00b7") in (page.of("token")[1]["data-likely"] or "")
    assert {tag for tag, _ in Outline(mistake(hostile)).tags} == {"p"}


def test_a_token_says_its_probability_and_what_else_was_likely(piece: Callable[..., Piece]) -> None:
    (token,) = Outline(html(written(piece("\n", probability=0.031)))).of("token")
    assert token["data-likely"] == "3.1% likely\n 50.0%  \u00b7the\n 25.0%  \u21b5"


@pytest.mark.parametrize(
    ("probability", "strength"), [(1.0, "0.000"), (0.1, "0.333"), (1e-3, "1.000"), (0.0, "1.000")]
)
def test_the_less_likely_the_stronger_the_colour(
    piece: Callable[..., Piece], probability: float, strength: str
) -> None:
    (token,) = Outline(html(written(piece("a", probability=probability)))).of("token")
    assert token["style"] == f"--surprise:{strength}"


def test_the_text_is_there_to_the_letter_and_half_characters_are_marked(
    piece: Callable[..., Piece],
) -> None:
    page = Outline(html(written(piece(" upon"), piece(""), piece("\U0001f41f\n a"))))
    assert page.text.startswith("Once upon\u2026\U0001f41f\n a")


def test_readers_of_the_screen_are_told_who_writes_how_far_and_whether_it_is_done(
    piece: Callable[..., Piece],
) -> None:
    going = Outline(html(written(piece("a"))))
    (region,) = going.of("growlm-text")
    assert (region["role"], region["tabindex"], region["aria-busy"]) == ("region", "0", "true")
    assert going.of("growlm-note")[0]["role"] == "status"
    assert "table" not in {tag for tag, _ in going.tags}
    done = Outline(html(written(piece("a"), piece(" b", end="tokens"))))
    assert done.of("growlm-text")[0]["aria-busy"] == "false"
    heads = [attrs for tag, attrs in done.tags if tag == "th"]
    assert heads == [{"scope": "col"}] * 3
    assert ("table", {"aria-label": "Tokens of child"}) in done.tags
    assert sum(tag == "tr" for tag, _ in done.tags) == 3


@pytest.mark.parametrize("end", ENDS)
def test_the_note_counts_times_and_says_why_it_ended(piece: Callable[..., Piece], end: Any) -> None:
    told = note([piece("a"), piece("b", end=end, seconds=0.5)])
    assert told == f"2 tokens, 4 tokens/s; ended at {ENDS[end]}"
    assert note([piece("a", seconds=0.0)]) == "1 token"
    assert note([]).startswith("reading the prompt")


def test_the_token_that_ends_a_text_shows_nothing(piece: Callable[..., Piece]) -> None:
    page = html(written(piece("", end="end of text")))
    assert re.search(r'class="token"[^>]*></span></div>', page)


def test_text_is_safe_in_attributes_and_blanks_can_be_seen() -> None:
    assert safe("\"'<>&") == "&quot;&#x27;&lt;&gt;&amp;"
    assert alone(" a\t\n") == "\u00b7a\u21e5\u21b5"
    assert alone("") == "\u2026"
