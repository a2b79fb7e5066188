import io

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.packed import Broken
from growlm.corpus.reading import Form, Lost, Raw, read
from growlm.corpus.tables import rows

pyarrow = pytest.importorskip("pyarrow")
import pyarrow.parquet as parquet  # noqa: E402 - it needs the package that may be missing

FORM = Form(text_field="text", id_field=None, split=None)


@pytest.fixture
def table(tmp_path):
    def write(columns, name="a.parquet", **options):
        parquet.write_table(pyarrow.table(columns), tmp_path / name, **options)
        return tmp_path / name

    return write


def test_every_row_is_a_text_with_its_number(table):
    path = table({"text": [f"text {n}" for n in range(1000)], "n": range(1000)}, row_group_size=99)
    got = [raw for raw in read(path, FORM) if isinstance(raw, Raw)]
    assert [(raw.row, raw.text) for raw in got] == [(n, f"text {n}") for n in range(1000)]


def test_dots_reach_into_structures_and_ids_come_along(table):
    path = table({"meta": [{"body": "x", "n": 1}], "key": [7], "other": ["y"]})
    form = Form(text_field="meta.body", id_field="key", split=None)
    assert list(read(path, form)) == [Raw(row=0, text="x", origin_id="7", bad_utf8=False)]


def test_only_the_needed_columns_are_read(table):
    path = table({"text": ["x"], "other": ["y"]})
    with path.open("rb") as file:
        assert list(rows(file, fields=("text",), name="a")) == [{"text": "x"}]


def test_rows_without_a_text_are_lost_by_their_number(table):
    path = table({"text": ["x", None], "n": [1, 2]})
    first, second = read(path, FORM)
    assert isinstance(first, Raw)
    assert isinstance(second, Lost)
    assert "text in field 'text' of" in str(second.error)
    assert "a.parquet row 2; got NoneType" in str(second.error)


def test_a_missing_column_is_told_with_those_that_are_there(table):
    (lost,) = read(table({"texts": ["x"], "n": [1]}), FORM)
    assert isinstance(lost, Lost)
    assert "got the fields texts, n. Try text_field = texts." in str(lost.error)


@pytest.mark.parametrize("kept", [8, 100, -9, -1])
def test_a_truncated_file_is_lost(table, kept):
    path = table({"text": [f"text {n}" for n in range(1000)]})
    path.write_bytes(path.read_bytes()[:kept])
    *_, last = read(path, FORM)
    assert isinstance(last, Lost)
    assert "a Parquet file that is whole" in str(last.error)


def test_a_file_of_another_kind_is_broken():
    with pytest.raises(Broken):
        list(rows(io.BytesIO(b"text"), fields=("text",), name="a"))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(CorpusError, match=r"pyarrow, to read a; .*pip install 'growlm\[parquet\]'"):
        list(rows(io.BytesIO(), fields=("text",), name="a"))
