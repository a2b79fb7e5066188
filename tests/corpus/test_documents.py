import gzip
import os
from hashlib import blake2b

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.documents import Document, documents, listing, readings
from growlm.recipe.sections import Source


def write(folder, **texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_a_document_knows_its_origin(tmp_path, files_source):
    write(tmp_path / "texts", b="second\r\n", a="first")
    assert list(documents(files_source("texts"), folder=tmp_path)) == [
        Document(source="mine", path="texts/a.txt", row=0, group="first", text="first"),
        Document(source="mine", path="texts/b.txt", row=0, group="second", text="second"),
    ]


def test_a_uid_is_the_hash_of_source_path_and_row():
    document = Document(source="web", path="p/a.jsonl", row=17, group="x", text="x")
    assert document.uid == blake2b(b"web\0p/a.jsonl\x0017", digest_size=16).hexdigest()


def test_uids_do_not_change_when_the_tree_is_copied(tmp_path, files_source):
    for place in ("one", "two"):
        write(tmp_path / place / "texts", a="first", b="second")
        (tmp_path / place / "lines.jsonl").write_text('{"text": "x"}\n{"text": "y"}\n')
    source = files_source("texts", "lines.jsonl")
    one, two = (
        [document.uid for document in documents(source, folder=tmp_path / place)]
        for place in ("one", "two")
    )
    assert one == two
    assert len(set(one)) == 4


def test_empty_texts_are_dropped_and_counted(tmp_path, files_source):
    write(tmp_path, a="\n\r\n", b="text", c="")
    source = files_source(".")
    assert [document.path for document in documents(source, folder=tmp_path)] == ["b.txt"]
    assert [got.document is None for got in readings(source, folder=tmp_path)] == [
        True,
        False,
        True,
    ]


def test_a_path_of_undecodable_bytes_still_gives_a_document(tmp_path, files_source):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("text")
    (document,) = documents(files_source("."), folder=tmp_path)
    assert document.path == "caf\ufffd.txt"
    assert len(document.uid) == 32


def test_the_listing_changes_when_a_file_does(tmp_path, files_source):
    write(tmp_path, a="text", b="more")
    source = files_source(".")
    before = listing(source, folder=tmp_path)
    assert [sorted(fact) for fact in before] == [["bytes", "mtime_ns", "path"]] * 2
    assert listing(source, folder=tmp_path) == before
    os.utime(tmp_path / "b.txt", ns=(1, 1))
    assert listing(source, folder=tmp_path) != before
    write(tmp_path, c="third")
    assert len(listing(source, folder=tmp_path)) == 3


def test_a_source_of_empty_files_is_refused_when_listed(tmp_path, files_source):
    write(tmp_path, a="", b="")
    with pytest.raises(CorpusError, match=r"'mine' to hold text; got 2 empty files, a\.txt first"):
        listing(files_source("*.txt"), folder=tmp_path)


def test_the_listing_of_a_builtin_names_python_and_its_modules(tmp_path):
    (facts,) = listing(Source(name="code", builtin="code", weight=1.0), folder=tmp_path)
    assert sorted(facts) == ["bytes", "files", "python"]
    assert int(facts["bytes"]) > 5_000_000


def test_real_collections_are_read_whole(shared_data, files_source):
    web = files_source("text/openwebtext.jsonl.gz")
    assert sum(1 for _ in documents(web, folder=shared_data)) == 1000
    latex = list(documents(files_source("text/latex"), folder=shared_data))
    assert len(latex) == 115
    with gzip.open(shared_data / latex[0].path, "rt", encoding="utf-8") as file:
        assert latex[0].text == file.read().strip("\n")
