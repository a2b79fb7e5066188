from pathlib import Path
from typing import Any

import pytest

from growlm.base.errors import EvaluationError
from growlm.evaluation.results import ExampleScore
from growlm.evaluation.sheet import Heading, Sheet, as_values, from_values, read_sheet


def heading(**changes: Any) -> Heading:
    values: dict[str, Any] = {
        "task": "piqa",
        "version": "1.0",
        "asked": "a" * 64,
        "data_sha256": "d" * 64,
        "rows": 3,
        "limit": None,
        "context": 1024,
        "overlap": 0,
        "dtype": "fp32",
        "batch_tokens": 16_384,
        "prefix": 0,
        "tokenizer_sha256": "t" * 64,
        "weights_sha256": "w" * 64,
        "code": "0.1.0+c",
    }
    return Heading(**(values | changes))


def examples(*indices: int) -> list[ExampleScore]:
    return [
        ExampleScore(index=n, values={"acc": n / 3, "nats": -0.1 * n}, option_nats=(-1.5, -n / 7))
        for n in indices
    ]


def opened(folder: Path, **changes: Any) -> Sheet:
    sheet = Sheet(folder, heading(**changes))
    sheet.open()
    return sheet


def test_a_sheet_is_read_as_it_was_written(tmp_path):
    sheet = opened(tmp_path)
    sheet.add(examples(2, 0))
    sheet.add(examples(1, 2))
    found, score = read_sheet(sheet.path)
    assert found == heading()
    assert score == sheet.score()
    assert score.examples == tuple(examples(0, 1, 2))
    assert len(sheet.path.read_text().splitlines()) == 4


def test_what_was_scored_before_a_kill_stays_and_half_a_line_goes(tmp_path):
    opened(tmp_path).add(examples(2))
    path = opened(tmp_path).path
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"index": 1, "ac')
    sheet = opened(tmp_path)
    assert sheet.path.read_bytes() == whole
    assert list(sheet.found) == [2]
    path.write_bytes(b'{"scores"')
    assert opened(tmp_path).found == {}


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "v" * 64},
        {"data_sha256": "e" * 64},
        {"code": "0.1.0+d"},
        {"asked": "b" * 64},
        {"context": 512},
        {"tokenizer_sha256": "u" * 64},
        {"limit": 3},
    ],
)
def test_scores_of_anything_else_are_never_found(tmp_path, change):
    opened(tmp_path).add(examples(0))
    assert opened(tmp_path, **change).found == {}


def test_a_score_without_options_has_none():
    example = ExampleScore(index=4, values={"bytes": 7.0})
    assert as_values(example) == {"index": 4, "bytes": 7.0}
    assert from_values(as_values(example)) == example


def test_a_sheet_that_is_not_full_has_no_score(tmp_path):
    sheet = opened(tmp_path)
    sheet.add(examples(0))
    with pytest.raises(
        EvaluationError, match=r"the scores of 3 examples in .*; got 1. Try the same"
    ):
        read_sheet(sheet.path)


@pytest.mark.parametrize("content", ["", "[]\n", '{"scores": 2}\n', '{"scores": 1}\n', "x\n"])
def test_another_file_is_no_sheet(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(EvaluationError, match="a score sheet of format 1; got something else"):
        read_sheet(path)


def test_a_sheet_under_another_s_name_is_refused(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path, context=512)
    one.path.write_bytes(other.path.read_bytes())
    with pytest.raises(EvaluationError, match="to be of what its name says"):
        opened(tmp_path)
