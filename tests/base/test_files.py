"""Files that are whole or absent, whatever happens meanwhile."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from growlm.base.errors import FolderError, StorageError
from growlm.base.files import (
    digest_of,
    exclusive,
    read_json,
    remove,
    remove_temporary,
    sha256_bytes,
    sha256_file,
    storage,
    storage_error,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
)

ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""FIPS 180-2, appendix B.1."""

HOLD = """
import sys
from pathlib import Path
from growlm.base.files import exclusive
with exclusive(Path(sys.argv[1]), holder="runs/demo"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_bytes_come_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_bytes(tmp_path / "deep" / "file", b"\x00\xff")
    assert (tmp_path / "deep" / "file").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "deep") == ["file"]


def test_text_is_written_in_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "caf\u00e9")
    assert (tmp_path / "file").read_bytes() == b"caf\xc3\xa9"


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "file", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="a disk with room left; got 'No space left on device'"):
        write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_json_comes_back_and_is_readable_by_people(tmp_path: Path) -> None:
    content = {"caf\u00e9": [1, 2.5, None]}
    write_json(tmp_path / "file.json", content)
    assert read_json(tmp_path / "file.json") == content
    assert "caf\u00e9" in (tmp_path / "file.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b'{"a": 1', b"\xff\xfe", b""])
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"broken\.json to be JSON; got .*\. Try restoring"):
        read_json(tmp_path / "broken.json")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "expected a disk with room left; got 'No space left on device' at f. Try f"),
        (errno.EDQUOT, "expected a disk quota with room left; got .*Try freeing space"),
        (errno.EFBIG, "expected a disk quota with room left; got 'File too large'"),
        (
            errno.EACCES,
            "expected a place this user may read and write; .*Try another path or --out, or ch",
        ),
        (errno.EROFS, "expected a disk that can be written; got 'Read-only file system'"),
        (errno.ENOENT, "expected a file that is there; got .*Try the right path"),
        (errno.ENAMETOOLONG, "expected a name that the disk can hold; got 'File name too long'"),
        (errno.EIO, "expected a disk that works; got 'Input/output error' at f. Try again"),
    ],
)
def test_each_refusal_of_the_system_has_its_words(code: int, words: str) -> None:
    with pytest.raises(StorageError, match=words), storage(Path("f")):
        raise OSError(code, os.strerror(code))


def test_a_missing_file_is_known_by_the_name_of_the_error_too() -> None:
    error = storage_error(FileNotFoundError("no such file: f"), Path("f"))
    assert error.expected == "a file that is there"


def test_what_is_no_refusal_of_the_system_passes_through() -> None:
    with pytest.raises(KeyError), storage(Path("f")):
        raise KeyError("mine")


def test_a_folder_appears_when_its_block_ends_well(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "runs" / "one") as folder:
        (folder / "file").write_bytes(b"1")
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"2")
        assert not (tmp_path / "runs" / "one").exists()
    assert (tmp_path / "runs" / "one" / "inner" / "file").read_bytes() == b"2"
    assert names(tmp_path / "runs") == ["one"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_a_folder_whose_block_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail_inside() -> None:
        with whole_folder(tmp_path / "one") as folder:
            (folder / "file").write_bytes(b"1")
            raise error

    with pytest.raises(type(error)):
        fail_inside()
    assert names(tmp_path) == []


def test_a_folder_whose_disk_refuses_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="room left"), whole_folder(tmp_path / "one"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []


def test_what_a_kill_left_of_a_folder_is_removed_before_the_next_try(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from growlm.base.files import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "torn").write_bytes(b"1")
    os._exit(9)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "one")], check=False)
    assert killed.returncode == 9
    assert not (tmp_path / "one").exists()
    assert names(tmp_path) != []
    with whole_folder(tmp_path / "one") as folder:
        (folder / "whole").write_bytes(b"1")
    assert names(tmp_path) == ["one"]
    assert names(tmp_path / "one") == ["whole"]


def test_a_folder_that_is_there_already_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine").write_bytes(b"1")
    with (
        pytest.raises(StorageError, match=r"no file or folder at .*one yet; got one. Try another"),
        whole_folder(tmp_path / "one"),
    ):
        pytest.fail("the block ran")
    assert names(tmp_path / "one") == ["mine"]


def test_a_file_or_a_whole_folder_is_removed(tmp_path: Path) -> None:
    write_bytes(tmp_path / "folder" / "inner" / "file", b"1")
    write_bytes(tmp_path / "file", b"1")
    remove(tmp_path / "folder")
    remove(tmp_path / "file")
    assert names(tmp_path) == []


def test_a_folder_is_gone_before_the_first_of_its_files_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "folder" / "file", b"1")
    write_bytes(tmp_path / ".folder.tmp" / "earlier", b"1")

    def killed(path: Path, **_: object) -> None:
        if not (tmp_path / "folder").exists():
            raise KeyboardInterrupt
        shutil_rmtree(path)

    shutil_rmtree = shutil.rmtree
    monkeypatch.setattr("growlm.base.files.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(tmp_path / "folder")
    assert names(tmp_path) == [".folder.tmp"]
    assert names(tmp_path / ".folder.tmp") == ["file"]


def test_what_kills_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a.json.77.tmp", ".b.tmp/inner", "kept.tmp", ".lock", "c/.d.tmp"):
        write_bytes(tmp_path / name, b"1")
    remove_temporary(tmp_path)
    remove_temporary(tmp_path / "none")
    assert names(tmp_path) == [".lock", "c", "kept.tmp"]
    assert names(tmp_path / "c") == [".d.tmp"]


def test_removing_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a file that is there; got .*none"):
        remove(tmp_path / "none")


def test_sha256_of_a_file_and_of_bytes_are_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == ABC_SHA256
    assert sha256_file(tmp_path / "abc") == ABC_SHA256


def test_sha256_reads_a_file_of_many_blocks_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * (5 * 2**12 + 1)
    (tmp_path / "long").write_bytes(content)
    assert sha256_file(tmp_path / "long") == sha256_bytes(content)


def test_sha256_of_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a file that is there"):
        sha256_file(tmp_path / "none")


def test_a_digest_does_not_see_the_order_of_keys_but_sees_every_value() -> None:
    assert digest_of({"b": [1, 2], "a": 2}) == digest_of(json.loads('{"a": 2, "b": [1, 2]}'))
    assert digest_of({"b": [1, 2]}) != digest_of({"b": [2, 1]})
    assert digest_of({"a": 1}) == sha256_bytes(b'{"a":1}')


def test_one_process_holds_a_lock_and_the_next_learns_who(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        words = rf"runs/demo to be free; got another run in it \(process {holder.pid}\)"
        with pytest.raises(FolderError, match=words), exclusive(lock, holder="runs/demo"):
            pytest.fail("two processes hold the lock")
        holder.kill()
        holder.wait()
    with exclusive(lock, holder="runs/demo"):
        assert lock.read_text(encoding="utf-8") == str(os.getpid())


def test_a_lock_is_free_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "lock", holder="it"):
            pass
    with exclusive(tmp_path / "lock", holder="it"):
        assert (tmp_path / "lock").read_text(encoding="utf-8") == str(os.getpid())
