import math

import pytest
from markdown_it import MarkdownIt

from growlm.report.words import code, flops, number, plain, short, table

HOSTILE = [
    "<b>",
    "a|b",
    "`x`",
    "*x*",
    "_x_",
    "[x](y)",
    "&lt;",
    "~x~",
    "\\",
    "# x",
    "![x](y)",
    "a\nb",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("write", [plain, code])
def test_text_from_data_is_shown_as_it_is(text, write):
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")

    inline = parser.parse(f"| a | b |\n| --- | --- |\n| x {write(text)} | c |")

    cells = [token for token in inline if token.type == "inline"]
    shown = "".join(child.content for child in cells[2].children or [])
    assert len(cells) == 4
    assert shown == "x " + " ".join(text.split())
    kinds = {child.type for token in cells for child in token.children or []}
    assert kinds <= {"text", "text_special", "code_inline"}


def test_a_table_without_rows_is_nothing():
    assert table(["a"], []) == ""


def test_columns_of_words_and_of_numbers_are_set_apart():
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_numbers_that_are_not_finite_say_so():
    assert number(math.nan) == short(math.inf) == "not finite"


def test_negative_numbers_have_a_typographic_minus():
    assert number(-0.5, 1) == "\u22120.5"
    assert flops(1.5e-5) == "1.500e\u22125"
