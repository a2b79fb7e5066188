import sys

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus import remote

pytestmark = pytest.mark.usefixtures("unpatient")


def read(address):
    with remote.opened(address) as file:
        return file.read()


def test_a_far_file_is_read(far_files):
    far_files("box/a.txt", bytes(range(256)) * 9000)
    assert read("memory://box/a.txt") == bytes(range(256)) * 9000


def test_a_far_file_can_be_read_from_anywhere(far_files):
    far_files("box/a.txt", b"0123456789")
    with remote.opened("memory://box/a.txt") as file:
        file.seek(-3, 2)
        assert (file.read(2), file.tell()) == (b"78", 9)


def test_a_read_that_fails_is_tried_again_from_the_same_place(far_files, monkeypatch):
    far_files("box/a.txt", b"0123456789")
    store = __import__("fsspec").filesystem("memory")
    file = store.store["/box/a.txt"]
    fails = iter([True, False, True])

    whole = file.read

    def shaky(size=-1):
        content = whole(size)
        if next(fails, False):
            raise ConnectionError("reset by peer")
        return content

    monkeypatch.setattr(file, "read", shaky)
    monkeypatch.setattr(store, "open", lambda *_: file)
    assert read("memory://box/a.txt") == b"0123456789"


def test_a_file_that_is_not_there_is_told_in_one_line(far_files):
    far_files("box/a.txt", b"x")
    with pytest.raises(CorpusError, match=r"a source that can be reached; got '.*b\.txt"):
        read("memory://box/b.txt")


def test_a_store_that_never_answers_is_told_in_one_line(far_files, monkeypatch):
    far_files("box/a.txt", b"x")
    store = __import__("fsspec").filesystem("memory")

    def refuse(*_, **__):
        raise RuntimeError("no route\nto host")

    monkeypatch.setattr(store, "glob", refuse)
    with pytest.raises(CorpusError, match=r"got 'no route' at memory://box\. Try another address"):
        remote.find("memory://box")


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    for name in ("fsspec", "fsspec.core"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CorpusError, match=r"fsspec, to read https.*pip install 'growlm\[remote\]'"):
        remote.facts("https://example.org/a.txt")


def test_the_package_of_a_store_is_asked_for_by_its_protocol(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(CorpusError, match=r"reads s3:// addresses.*pip install 'fsspec\[s3\]'"):
        remote.facts("s3://bucket/a.txt")
