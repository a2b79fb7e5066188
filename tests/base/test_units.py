"""Counts as people write them."""

import re

import pytest
from hypothesis import given, strategies as st

from growlm.base.units import (
    COUNT_PATTERN,
    format_bytes,
    format_count,
    format_seconds,
    parse_bytes,
    parse_count,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4_096),
        ("350K", 350_000),
        ("1.5M", 1_500_000),
        ("48B", 48_000_000_000),
        ("0.000001T", 1_000_000),
        ("1.500K", 1_500),
    ],
)
def test_a_count_is_multiplied_out(text: str, count: int) -> None:
    assert parse_count(text) == count


@given(st.integers(0, 10**60))
def test_a_plain_number_is_itself_however_long(count: int) -> None:
    assert parse_count(str(count)) == count


@pytest.mark.parametrize("text", ["", "M", "1G", "1 M", "-1", "1e6", "1.M", ".5M", "1m", "1\n"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a count such as 4096, 350K, 1\.5M or 48B"):
        parse_count(text)


@pytest.mark.parametrize("text", ["1.5", "1.2345K", "0.0000001M"])
def test_a_count_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a whole number once K, M, B or T is multiplied out"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("16GiB", 2**34), ("0.5 MiB", 2**19), ("80GB", 80 * 10**9), ("1.5TB", 15 * 10**11)],
)
def test_a_size_is_multiplied_out_by_its_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "16", "16G", "16gib", "-1GB", "1 PB", "iB", "1iB", "1e3MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as 16GiB, 512MiB or 80GB"):
        parse_bytes(text)


def test_a_size_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="a whole number of bytes"):
        parse_bytes("1.5B")


@given(st.text("0123456789.KMBTG-", max_size=6))
def test_the_pattern_for_editors_agrees_with_the_parser(text: str) -> None:
    try:
        parse_count(text)
        refused = ""
    except ValueError as error:
        refused = str(error)
    assert bool(re.search(COUNT_PATTERN, text)) == ("such as" not in refused)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999.94, "999.9"),
        (999.96, "1K"),
        (1_000, "1K"),
        (587_210_000, "587.2M"),
        (999_949, "999.9K"),
        (999_999, "1M"),
        (1_097_200_000, "1.097B"),
        (2.4e12, "2.4T"),
        (-1_500, "-1.5K"),
    ],
)
def test_a_count_is_shown_with_four_digits(count: float, text: str) -> None:
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1.0 KiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**41, "2.0 TiB"),
        (2**52, "4096.0 TiB"),
    ],
)
def test_a_size_is_shown_in_binary_units(size: int, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.26, "3.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (250, "4 min 10 s"),
        (3_599.7, "1 h 0 min"),
        (7_260, "2 h 1 min"),
        (86_399, "23 h 59 min"),
        (350_000, "4 d 1 h"),
    ],
)
def test_time_is_shown_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
