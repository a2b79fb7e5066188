"""Files that are whole or absent: atomic writes, whole folders, SHA-256, locks."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from growlm.base.errors import FolderError, StorageError

BLOCK_BYTES = 1 << 20

_CAUSES = {
    errno.ENOSPC: ("a disk with room left", "freeing space or another --out"),
    errno.EDQUOT: ("a disk quota with room left", "freeing space or another --out"),
    errno.EFBIG: ("a disk quota with room left", "freeing space or another --out"),
    errno.EACCES: ("a place this user may read and write", "another path or --out, or chmod"),
    errno.EPERM: ("a place this user may read and write", "another path or --out, or chmod"),
    errno.EROFS: ("a disk that can be written", "another --out"),
    errno.ENOENT: ("a file that is there", "the right path"),
    errno.ENOTDIR: ("a folder", "another path"),
    errno.EISDIR: ("a file", "a path that is no folder"),
    errno.ENAMETOOLONG: ("a name that the disk can hold", "a shorter one"),
}


def storage_error(error: OSError, path: Path) -> StorageError:
    """Return the one-line error for what the operating system said of a path."""
    # A library may raise FileNotFoundError by its name alone.
    missing = errno.ENOENT if isinstance(error, FileNotFoundError) else 0
    unknown = ("a disk that works", "again, or another disk")
    expected, fix = _CAUSES.get(error.errno or missing, unknown)
    said = error.strerror or str(error)
    return StorageError(expected, got=f"'{said}' at {error.filename or path}", fix=fix)


@contextmanager
def storage(path: Path) -> Generator[None, None, None]:
    """Turn the operating system's refusals inside the block into a StorageError.

    Raises:
        StorageError: The disk is full, read-only, or out of reach.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or as it was before.

    Raises:
        StorageError: The file could not be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StorageError: It is not there, not readable, or not JSON.
    """
    with storage(path):
        content = path.read_bytes()
    try:
        return json.loads(content)
    except ValueError as error:
        raise StorageError(
            f"{path} to be JSON", got=str(error), fix="restoring the file, or deleting it"
        ) from error


@contextmanager
def whole_folder(path: Path) -> Generator[Path, None, None]:
    """Yield a temporary folder that becomes ``path`` when the block ends well.

    Until then, and after any failure or kill, ``path`` is absent. What an earlier kill left of
    the temporary folder is removed first.

    Raises:
        StorageError: Something is at ``path`` already, or the folder could not be written;
            nothing is left behind.
    """
    temporary = unfinished(path)
    with storage(path):
        if path.exists():
            raise StorageError(
                f"no file or folder at {path} yet", got="one", fix="another name, or removing it"
            )
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in sorted(temporary.rglob("*")):
                sync(file)
            sync_folder(temporary)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(path.parent)


def unfinished(path: Path) -> Path:
    """Return what ``whole_folder`` calls a folder until it is whole."""
    return path.with_name(f".{path.name}.tmp")


def remove(path: Path) -> None:
    """Remove a file or a whole folder; a kill leaves no half of it under its name.

    Raises:
        StorageError: The system refused.
    """
    with storage(path):
        if not path.is_dir():
            path.unlink()
            return
        doomed = unfinished(path)
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed)


def remove_temporary(folder: Path) -> None:
    """Remove what kills left of files and folders that were being written in a folder.

    Args:
        folder: Where nobody else is writing; nothing happens when it is absent.

    Raises:
        StorageError: The system refused.
    """
    with storage(folder):
        for path in folder.glob(".*.tmp"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync(path: Path) -> None:
    """Push a file's bytes to the disk."""
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Push a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex, reading it block by block."""
    digest = hashlib.sha256()
    with storage(path), path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def digest_of(content: Any) -> str:
    """Return the SHA-256 of canonical JSON: sorted keys, no spaces, UTF-8.

    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_bytes(canonical.encode())


@contextmanager
def exclusive(path: Path, *, holder: str) -> Generator[None, None, None]:
    """Hold a lock file; the system frees it when this process ends, however it ends.

    Args:
        path: The lock file; made when absent.
        holder: What the lock protects, for the message.

    Raises:
        FolderError: Another process holds it.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        with storage(path):
            _lock(file, holder)
        yield


def _lock(file: TextIO, holder: str) -> None:
    """Take the lock and leave this process's id in the file, for the message to the next."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise FolderError(
            f"{holder} to be free",
            got=f"another run in it (process {file.read().strip() or 'unknown'})",
            fix="waiting for it, or another --out",
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
