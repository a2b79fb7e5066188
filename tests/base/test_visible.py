"""What is shown is never obeyed."""

import unicodedata

from growlm.base.visible import visible


def test_no_control_character_is_left_but_line_ends_and_tabs() -> None:
    every = "".join(map(chr, range(0x3000)))
    left = [each for each in visible(every) if unicodedata.category(each) == "Cc"]
    assert left == ["\t", "\n"]


def test_nothing_is_left_that_turns_a_line_around() -> None:
    turning = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    every = "".join(map(chr, range(0x3000)))
    assert not [each for each in visible(every) if unicodedata.bidirectional(each) in turning]


def test_a_text_without_any_stays_as_it_is() -> None:
    text = "Naïve 猫, 🐟\n\tand \u200d so on"
    assert visible(text) == text
    assert visible("\x1b[2J\x07") == "\u241b[2J\u2407"
