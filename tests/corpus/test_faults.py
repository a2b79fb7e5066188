import gzip
import json

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.documents import documents, readings
from growlm.recipe.sections import Source


@pytest.fixture
def source(tmp_path):
    def make(lines, **settings):
        content = b"".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        (tmp_path / "a.jsonl").write_bytes(content)
        return Source(name="mine", files=("*",), weight=1.0, **settings)

    return make


def line(text):
    return json.dumps({"text": text}) + "\n"


GOOD = [line(f"text {n}") for n in range(99)]


def test_what_is_lost_below_the_share_is_passed_over_and_told_with_its_place(source, tmp_path):
    mine = source([*GOOD[:50], "{\n", *GOOD[50:]], max_lost_share=0.01)
    found = list(readings(mine, folder=tmp_path))
    assert sum(got.document is not None for got in found) == 99
    lost = [(got.path, got.row, got.lost.kind) for got in found if got.lost]
    assert lost == [("a.jsonl", 50, "bad_json")]


def test_what_is_lost_above_the_share_is_refused_with_the_first_of_it(source, tmp_path):
    mine = source([*GOOD, "{\n", '{"no": 1}\n'], max_lost_share=0.01)
    with pytest.raises(
        CorpusError,
        match=r"a\.jsonl line 100 to be JSON; got .* \(the first of what source 'mine' loses: "
        r"2 of 101 records\)\. Try mending or deleting that line, or max_lost_share above 0\.01",
    ):
        list(documents(mine, folder=tmp_path))


def test_a_single_lost_record_of_a_small_source_is_refused_unless_asked_for(source, tmp_path):
    with pytest.raises(CorpusError, match=r"1 of 100 records.*max_lost_share above 0\.0001"):
        list(documents(source([*GOOD, "{\n"]), folder=tmp_path))


def test_a_source_of_which_all_is_lost_is_refused_long_before_its_end(source, tmp_path):
    mine = source(['{"content": "x"}\n'] * 5000)
    seen: list[int] = []
    with pytest.raises(CorpusError, match=r"a field 'text' in .*100 of 100 records"):
        seen.extend(got.row for got in readings(mine, folder=tmp_path))
    assert seen == list(range(99))


def test_a_broken_file_counts_as_all_of_itself(source, tmp_path):
    mine = source(GOOD, max_lost_share=0.3)
    whole = gzip.compress("".join(GOOD).encode())
    (tmp_path / "b.jsonl.gz").write_bytes(whole[:-9])
    with pytest.raises(CorpusError, match=r"a gzip file that is whole.*loses: 1 of 2 files"):
        list(documents(mine, folder=tmp_path))
    for name in ("c", "d"):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(whole)
    assert len(list(documents(mine, folder=tmp_path))) >= 3 * 99


def test_bytes_that_are_not_utf8_are_refused_above_their_share(source, tmp_path):
    bad = b'{"text": "caf\xe9"}\n'
    assert len(list(documents(source([*GOOD[:95], *[bad] * 5]), folder=tmp_path))) == 100
    with pytest.raises(
        CorpusError,
        match=r"source 'mine' to be UTF-8; got other bytes in 6 of 100 records, first in "
        r"a\.jsonl row 95\. Try converting it with iconv, or max_bad_utf8_share above 0\.05",
    ):
        list(documents(source([*GOOD[:94], *[bad] * 6]), folder=tmp_path))
