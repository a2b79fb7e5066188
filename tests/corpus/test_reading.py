import gzip
import json
import re
from pathlib import Path

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.reading import Form, Lost, Raw, read


def form(text_field="text", id_field=None, split=None):
    pattern = None if split is None else re.compile(split)
    return Form(text_field=text_field, id_field=id_field, split=pattern)


def write(path: Path, content: bytes | str, *, zipped: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def raws(path, **asked):
    return [raw for raw in read(path, form(**asked)) if isinstance(raw, Raw)]


def texts(path, **asked):
    return [raw.text for raw in raws(path, **asked)]


def losses(path, **asked):
    return [
        (lost.row, lost.kind, str(lost.error))
        for lost in read(path, form(**asked))
        if isinstance(lost, Lost)
    ]


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    path = write(tmp_path / "b.txt", "x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"'Permission denied' at .*b\.txt.*chmod"):
        texts(path)


@pytest.mark.parametrize("suffix", [".txt", ".md", ".tex", ".TXT", ".txt.gz"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_text_file_is_one_text_and_its_bytes_tell_whether_it_is_zipped(tmp_path, suffix, zipped):
    path = write(tmp_path / f"a{suffix}", "one\n\ntwo", zipped=zipped)
    assert texts(path) == ["one\n\ntwo"]


def test_a_text_file_is_cut_at_a_pattern_if_asked(tmp_path):
    path = write(tmp_path / "a.txt", b"one\n***\ntw\xff\n***\n\n***\nthree", zipped=True)
    got = raws(path, split=r"\n?\*\*\*\n")
    assert [(raw.row, raw.text, raw.bad_utf8) for raw in got] == [
        (0, "one", False),
        (1, "tw\ufffd", True),
        (2, "", False),
        (3, "three", False),
    ]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_json_line_is_a_text_with_its_line_as_row(tmp_path, zipped):
    lines = [json.dumps({"text": "a\nb"}), "", '{"text": "\\ud800", "n": NaN}', '{"text": "d"}']
    path = write(tmp_path / "a.jsonl", "\ufeff" + "\r\n".join(lines), zipped=zipped)
    assert [(raw.row, raw.text) for raw in raws(path)] == [
        (0, "a\nb"),
        (2, "\ud800"),
        (3, "d"),
    ]


def test_a_line_of_fifty_megabytes_is_read(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", json.dumps({"text": "ab" * 25_000_000}), zipped=True)
    assert [len(text) for text in texts(path)] == [50_000_000]


def test_dots_reach_into_objects(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"meta": {"body": "x"}}')
    assert texts(path, text_field="meta.body") == ["x"]


def test_a_record_keeps_the_id_that_it_gives_itself(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x", "meta": {"n": 7}}\n{"text": "y"}\n')
    got = list(read(path, form(id_field="meta.n")))
    assert got[0] == Raw(row=0, text="x", origin_id="7", bad_utf8=False)
    assert losses(path, id_field="meta.n") == [
        (1, "no_field", f"expected a field 'meta.n' in {path} line 2; got the fields text. "
         "Try id_field = text."),
    ]  # fmt: skip


def test_bad_utf8_is_replaced_and_marked(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n')
    got = raws(path)
    assert [(raw.text, raw.bad_utf8) for raw in got] == [("a", False), ("\ufffd", True)]


@pytest.mark.parametrize("kept", [3, 9, 100, -9, -1])
@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_a_truncated_file_is_lost_by_name_where_it_ends(tmp_path, name, kept):
    lines = "".join(json.dumps({"text": f"line {n * n}"}) + "\n" for n in range(1000))
    path = write(tmp_path / name, gzip.compress(lines.encode())[:kept])
    ((row, kind, said),) = losses(path)
    assert kind == "broken_file"
    assert "a gzip file that is whole; got 'it ends inside the packed data' in " in said
    assert name in said
    whole = texts(path)
    assert row == len(whole)
    assert whole == [f"line {n * n}" for n in range(row)]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("{text", "bad_json", "line 2 to be JSON"),
        ("[" * 100_000, "bad_json", "line 2 to be JSON"),
        (
            '{"content": "x", "id": 1}',
            "no_field",
            "a field 'text' in .*the fields content, id.*text_field = ",
        ),
        ('{"texts": "x"}', "no_field", "text_field = texts"),
        ('{"text": 7}', "no_field", "text in field 'text' of .* line 2; got int"),
        ('{"text": null}', "no_field", "got NoneType"),
        ('["x"]', "no_field", "one JSON object a line"),
    ],
)
def test_a_bad_line_is_lost_by_file_and_line_and_the_others_are_read(tmp_path, line, kind, message):
    path = write(tmp_path / "part.jsonl", f'{{"text": "one"}}\n{line}\n{{"text": "two"}}\n')
    assert texts(path) == ["one", "two"]
    ((row, found, said),) = losses(path)
    assert (row, found) == (1, kind)
    assert re.search(message, said)
    assert "part.jsonl line 2" in said


def test_far_files_are_read_like_near_ones(far_files):
    far_files("box/a.jsonl", gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'))
    assert texts("memory://box/a.jsonl") == ["one", "two"]
