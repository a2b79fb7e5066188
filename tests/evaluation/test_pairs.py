from collections.abc import Sequence
from typing import Any

import pytest

from growlm.base.errors import EvaluationError
from growlm.evaluation.pairs import requests_of

PREFIX = 256


def encode(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]


def asked(before: str, after: str, **changes: Any) -> tuple[str, str]:
    options: dict[str, Any] = {"encode": encode, "prefix": PREFIX, "context": 100, **changes}
    (request,) = requests_of([(before, after)], **options)
    shown = [
        "".join("^" if n == PREFIX else chr(n) for n in ids)
        for ids in (request.inputs, request.targets)
    ]
    return shown[0], shown[1]


def test_a_continuation_is_scored_behind_its_context():
    assert asked("ab", " cd") == ("ab c", " cd")


def test_blanks_at_the_end_of_a_context_are_scored_with_the_continuation():
    assert asked("ab \n", "cd") == ("ab \nc", " \ncd")


def test_the_prefix_stands_where_there_is_no_context():
    assert asked("", "cd") == ("^c", "cd")
    assert asked("  ", "cd") == ("^  c", "  cd")


def test_a_continuation_that_opens_with_the_prefix_needs_no_other():
    assert asked("", "cde", prefix=ord("c")) == ("cd", "de")


def test_what_is_too_long_loses_its_beginning():
    assert asked("abcdef", "gh", context=4) == ("defg", "gh")
    assert asked("abcdef", "ghij", context=4) == ("fghi", "ghij")


def test_tokens_of_a_continuation_are_those_behind_as_many_as_the_context_has():
    def merges(texts: Sequence[str]) -> list[list[int]]:
        return [list(text.replace("bc", "X").encode()) for text in texts]

    assert asked("ab", "cde", encode=merges) == ("abd", "de")


def test_every_text_is_encoded_once():
    seen: list[str] = []

    def counting(texts: Sequence[str]) -> list[list[int]]:
        seen.extend(texts)
        return encode(texts)

    requests_of([("ab", "c"), ("ab", "d")], encode=counting, prefix=PREFIX, context=9)
    assert sorted(seen) == ["ab", "abc", "abd"]


def test_a_continuation_longer_than_the_context_is_refused():
    with pytest.raises(EvaluationError, match="'ghijk' to fit a context of 4 tokens; got 5"):
        asked("a", "ghijk", context=4)


def test_a_continuation_without_tokens_is_refused():
    with pytest.raises(EvaluationError, match=r"got 0 tokens of it\. Try another row"):
        asked("ab", "")
