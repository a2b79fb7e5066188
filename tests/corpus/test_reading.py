import gzip
import json
from pathlib import Path

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.reading import find, read


def write(path: Path, content: bytes | str, *, zipped: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def names(patterns, folder):
    return [path.relative_to(folder).as_posix() for path in find(patterns, folder=folder)]


def texts(path, text_field="text"):
    return [raw.text for raw in read(path, text_field=text_field)]


@pytest.fixture
def tree(tmp_path):
    for name in ("b.txt", "a.md", "Z.tex", "sub/c.jsonl", "sub.txt", "sub/d.txt.gz", "\u00e9.txt"):
        write(tmp_path / name, "x")
    for name in ("picture.png", ".hidden.txt", ".git/e.txt", "sub/.f.txt", "sub/table.csv.gz"):
        write(tmp_path / name, "x")
    return tmp_path


def test_a_folder_gives_its_known_files_in_byte_order(tree):
    expected = ["Z.tex", "a.md", "b.txt", "sub.txt", "sub/c.jsonl", "sub/d.txt.gz", "\u00e9.txt"]
    assert names((".",), tree) == expected


def test_patterns_keep_their_order_and_a_file_comes_once(tree):
    expected = ["b.txt", "sub/c.jsonl", "sub/d.txt.gz", "sub.txt", "\u00e9.txt"]
    assert names(("b.txt", "sub", "*.txt", "sub/c.jsonl"), tree) == expected


def test_globs_reach_into_folders_but_not_into_hidden_ones(tree):
    assert names(("**/*.txt",), tree) == ["b.txt", "sub.txt", "\u00e9.txt"]
    assert names(("s*",), tree) == ["sub.txt", "sub/c.jsonl", "sub/d.txt.gz"]
    assert names(("sub/[cd]*",), tree) == ["sub/c.jsonl", "sub/d.txt.gz"]


def test_absolute_globs_and_paths_above_the_folder_work(tree):
    below = tree / "sub"
    assert find((str(tree / "*.md"),), folder=below) == [tree / "a.md"]
    assert [path.name for path in find(("../*.md", "../b.txt"), folder=below)] == ["a.md", "b.txt"]


def test_a_name_with_wildcards_in_it_is_a_name_when_it_is_there(tree):
    write(tree / "odd[1].txt", "x")
    assert names(("odd[1].txt",), tree) == ["odd[1].txt"]


@pytest.mark.parametrize("pattern", ["none.txt", "*.json", "none/", "empty", ".git/*.png"])
def test_a_pattern_that_matches_nothing_is_refused(tree, pattern):
    (tree / "empty").mkdir()
    with pytest.raises(CorpusError, match=f"'{pattern.replace('*', '[*]')}', which matches none"):
        find((pattern,), folder=tree)


def test_a_file_of_another_kind_is_refused_when_named(tree):
    with pytest.raises(CorpusError, match=r"to end in one of \.txt.*picture\.png"):
        find(("picture.png",), folder=tree)


def test_an_unreadable_folder_is_refused(tree, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(CorpusError, match=r"'Permission denied' at .*sub"):
        find(("sub",), folder=tree)


def test_a_file_in_an_unreadable_folder_is_refused(tree, monkeypatch):
    def stat(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(CorpusError, match=r"'Permission denied' at .*b\.txt"):
        find(("b.txt",), folder=tree)


def test_an_unreadable_file_is_refused(tree, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"'Permission denied' at .*b\.txt.*chmod"):
        texts(tree / "b.txt")


@pytest.mark.parametrize("suffix", [".txt", ".md", ".tex", ".TXT", ".txt.gz"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_text_file_is_one_text_and_its_bytes_tell_whether_it_is_zipped(tmp_path, suffix, zipped):
    path = write(tmp_path / f"a{suffix}", "one\n\ntwo", zipped=zipped)
    assert texts(path) == ["one\n\ntwo"]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_json_line_is_a_text_with_its_line_as_row(tmp_path, zipped):
    lines = [json.dumps({"text": "a\nb"}), "", '{"text": "\\ud800", "n": NaN}', '{"text": "d"}']
    path = write(tmp_path / "a.jsonl", "\ufeff" + "\r\n".join(lines), zipped=zipped)
    assert [(raw.row, raw.text) for raw in read(path, text_field="text")] == [
        (0, "a\nb"),
        (2, "\ud800"),
        (3, "d"),
    ]


def test_members_of_a_gzip_file_are_read_one_after_another(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    assert texts(path) == ["one two"]


def test_dots_reach_into_objects(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"meta": {"body": "x"}}')
    assert texts(path, "meta.body") == ["x"]


def test_bad_utf8_is_replaced_and_marked(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n')
    got = list(read(path, text_field="text"))
    assert [(raw.text, raw.bad_utf8) for raw in got] == [("a", False), ("\ufffd", True)]


@pytest.mark.parametrize("kept", [3, 9, 100, -9, -1])
@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_a_truncated_gzip_file_is_refused_by_name(tmp_path, name, kept):
    lines = "".join(json.dumps({"text": f"line {n * n}"}) + "\n" for n in range(1000))
    path = write(tmp_path / name, gzip.compress(lines.encode())[:kept])
    with pytest.raises(CorpusError, match=f"gzip file that is whole.*{name}"):
        texts(path)


def test_junk_behind_a_gzip_file_is_refused(tmp_path):
    path = write(tmp_path / "a.txt.gz", gzip.compress(b"one") + b"junk")
    with pytest.raises(CorpusError, match="whole"):
        texts(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{text", "line 2 to be JSON"),
        ("[" * 100_000, "line 2 to be JSON"),
        ('{"content": "x", "id": 1}', "a field 'text' in .*the fields content, id.*text_field = "),
        ('{"texts": "x"}', "text_field = texts"),
        ('{"text": 7}', "text in field 'text' of .* line 2; got int"),
        ('{"text": null}', "got NoneType"),
        ('["x"]', "one JSON object a line"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "part.jsonl", '{"text": "fine"}\n' + line + "\n")
    with pytest.raises(CorpusError, match=message) as caught:
        texts(path)
    assert "part.jsonl line 2" in str(caught.value)
