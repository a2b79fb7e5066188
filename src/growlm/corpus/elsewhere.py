"""Sources packed elsewhere: looked at, then fetched file by file, each checked before it counts."""

import hashlib
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from growlm.base.errors import CorpusError, StorageError
from growlm.base.files import BLOCK_BYTES, sha256_bytes, sha256_file, storage, sync, sync_folder
from growlm.base.units import format_bytes
from growlm.corpus import masks, remote, source_facts
from growlm.corpus.finding import Place
from growlm.corpus.manifest import NAME as MANIFEST, Manifest
from growlm.corpus.packed import plain
from growlm.corpus.prepare import FILES, TRAIN, VALIDATION
from growlm.corpus.source_facts import NAME as FACTS, SourceFacts

TRIES = 2
"""Times that a file is fetched before its damage is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A source as it lies elsewhere: what it says of itself, and nothing of its shards yet."""

    place: Place
    """Its folder, or the address of one."""

    sha256: str
    """Of its facts, which vouch for all else: another one is another source."""

    facts: SourceFacts
    train: Manifest
    validation: Manifest

    def files(self) -> Iterator["File"]:
        """Yield every file but its facts, the shards first, so that a manifest is never early."""
        for half, manifest in ((TRAIN, self.train), (VALIDATION, self.validation)):
            for shard in manifest.shards:
                stem = f"{half}/{shard.name}"
                yield File(path=f"{stem}.bin", bytes=shard.bytes, sha256=shard.sha256)
                yield File(path=f"{stem}.idx", bytes=None, sha256=shard.idx_sha256)
                if shard.mask_sha256 is not None:
                    path = f"{stem}{masks.SUFFIX}"
                    yield File(path=path, bytes=None, sha256=shard.mask_sha256)
        for path in reversed(FILES):  # whose first are the manifests
            yield File(path=path, bytes=None, sha256=self.facts.files[path])


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a packed source."""

    path: str
    """In its folder."""

    bytes: int | None
    """Its size, where a manifest says it."""

    sha256: str


def place_of(shards: str, *, folder: Path) -> Place:
    """Return the place that a recipe's ``shards`` name.

    Args:
        shards: A path or an address.
        folder: What a relative path starts from.
    """
    return shards.rstrip("/") if remote.is_address(shards) else folder / shards


def look(place: Place) -> Packed:
    """Return what a packed source says of itself; its shards are left where they are.

    Raises:
        CorpusError: Nothing packed is there, or it does not hold together.
    """
    content = _facts(place)
    name = str(_inside(place, FACTS))
    facts = source_facts.parsed(content, name=name, fix="the growlm that packed it, or a new copy")
    if set(facts.files) != set(FILES):
        raise CorpusError(
            f"{name} to vouch for {', '.join(FILES)}",
            got=", ".join(sorted(facts.files)) or "nothing",
            fix="the growlm that packed it, or a new copy",
        )
    train, validation = (
        _manifest(place, f"{half}/{MANIFEST}", facts) for half in (TRAIN, VALIDATION)
    )
    return Packed(
        place=place,
        sha256=sha256_bytes(content),
        facts=facts,
        train=train,
        validation=validation,
    )


def fetch(packed: Packed, out: Path, *, source: str) -> Generator[tuple[int, int], None, None]:
    """Copy a packed source into a folder; a kill costs the file that was being fetched.

    Every file is compared with its SHA-256 before it gets its name, those of an earlier try too.
    ``facts.json`` comes last: without it nothing is there.

    Args:
        packed: What is fetched.
        out: The folder; what an earlier try left there of the same source is kept.
        source: What the source is called here.

    Yields:
        Files that are there, and files in all.

    Raises:
        CorpusError: A file cannot be had, or is not what its manifest says, fetched twice.
        StorageError: It does not fit, or cannot be written.
    """
    files = [*packed.files()]
    missing = [file for file in files if not _is_whole(out / file.path, file)]
    _check_room(missing, out)
    done = len(files) - len(missing)
    yield done, len(files)
    for file in missing:
        _fetch(packed.place, file, out / file.path)
        done += 1
        yield done, len(files)
    packed.facts.model_copy(update={"source": source}).write(out)


def _facts(place: Place) -> bytes:
    try:
        return _read(_inside(place, FACTS))
    except CorpusError as error:
        raise CorpusError(
            f"a source's folder at {place}, as a run packs it",
            got=error.got,
            fix="corpus/NAME in the folder of a run that has prepared it",
        ) from error


def _manifest(place: Place, path: str, facts: SourceFacts) -> Manifest:
    """Return a manifest that a source's facts vouch for."""
    where, found = _inside(place, path), ""
    for _ in range(TRIES):
        content = _read(where)
        found = sha256_bytes(content)
        if found == facts.files[path]:
            return Manifest.parsed(content, name=str(where))
    raise _damaged(where, facts.files[path], found)


def _inside(place: Place, path: str) -> Place:
    return place / path if isinstance(place, Path) else f"{place}/{path}"


def _read(place: Place) -> bytes:
    with plain(place) as file:
        return file.read()


def _is_whole(path: Path, file: File) -> bool:
    with storage(path):
        if not path.is_file() or file.bytes not in (None, path.stat().st_size):
            return False
    return sha256_file(path) == file.sha256


def _check_room(missing: list[File], out: Path) -> None:
    needed = sum(file.bytes or 0 for file in missing)
    with storage(out):
        out.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
    if needed > free:
        raise StorageError(
            f"{format_bytes(needed)} free for the shards that {out} lacks",
            got=format_bytes(free),
            fix="freeing space, or another --out",
        )


def _fetch(place: Place, file: File, path: Path) -> None:
    """Fetch a file until it is what it should be, or twice."""
    where, found = _inside(place, file.path), ""
    temporary = path.with_name(f".{path.name}.tmp")
    with storage(path):
        path.parent.mkdir(exist_ok=True)
        try:
            for _ in range(TRIES):
                found = _copied(where, temporary)
                if found == file.sha256:
                    sync(temporary)
                    temporary.replace(path)
                    sync_folder(path.parent)
                    return
        finally:
            temporary.unlink(missing_ok=True)
    raise _damaged(where, file.sha256, found)


def _copied(place: Place, path: Path) -> str:
    """Copy a file, and return the SHA-256 of what came."""
    digest = hashlib.sha256()
    with plain(place) as far, path.open("wb") as near:
        while block := far.read(BLOCK_BYTES):
            digest.update(block)
            near.write(block)
    return digest.hexdigest()


def _damaged(place: Place, expected: str, found: str) -> CorpusError:
    return CorpusError(
        f"{place} with the SHA-256 {expected}",
        got=f"{found}, fetched {TRIES} times",
        fix="another copy, or packing it again where it comes from",
    )
