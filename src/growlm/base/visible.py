"""Text that is shown and never obeyed: control characters as pictures."""

KEPT = "\n\t"
"""Control characters that stay what they are."""

PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    **dict.fromkeys(
        (*range(0x80, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
        "\ufffd",
    ),
    **{ord(each): each for each in KEPT},
}
"""What stands for each: Unicode's pictures; the mark for the unknown where it has none."""


def visible(text: str) -> str:
    r"""Return text that moves no cursor, rings no bell and turns no line around.

    >>> visible("a\x1b[31mb\n")
    'a␛[31mb\n'
    """
    return text.translate(PICTURES)
