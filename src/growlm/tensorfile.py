"""Files of tensors (safetensors): read whole or by name, written whole or one by one."""

import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import (
    load_file,  # pyright: ignore[reportUnknownVariableType]
    save_file,  # pyright: ignore[reportUnknownVariableType]
)
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.base.files import storage, storage_error
from growlm.base.memory import keep_freed

FLOAT = "F32"
"""How the format calls the type that is written one by one."""

FLOAT_BYTES = 4

TYPES = {
    torch.float64: "F64",
    torch.float32: FLOAT,
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
}
"""How the format calls the types that are written in turn."""

ENTRY_BYTES = 160
"""What a tensor's entry in the header takes beside its name, at most: type, shape, place."""

ALIGNMENT = 8
"""The header is padded with spaces, so that the data begins at a multiple of this."""

EVERY = slice(None)
"""All rows of a tensor."""

METADATA = {"format": "pt"}
"""What Hugging Face's readers look for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a file says of one of its tensors."""

    dtype: str
    """As the format writes it: ``F32``, ``BF16``, ``F16``, ``BOOL``."""
    shape: tuple[int, ...]


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, facts: Mapping[str, str] | None = None
) -> None:
    """Write tensors that are in memory.

    Args:
        path: The file.
        tensors: By name.
        facts: What else the file is to say, if anything.

    Raises:
        StorageError: The disk refused.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path, *([dict(facts)] if facts else []))
    except SafetensorError as error:
        # The library words the system's refusal its own way, and keeps only its number.
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else 0
        said = os.strerror(code) if code else str(error)
        raise storage_error(OSError(code, said), path) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a file.

    Raises:
        CheckpointError: It is no such file, or damaged.
        StorageError: It cannot be read.
    """
    with _reading(path):
        return load_file(path)


def entries(path: Path) -> dict[str, Entry]:
    """Return what a file says of its tensors; none is read.

    Raises:
        CheckpointError: It is no such file, or damaged.
        StorageError: It cannot be read.
    """
    with _opened(path) as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    return {
        name: Entry(dtype=part.get_dtype(), shape=tuple(part.get_shape()))
        for name, part in parts.items()
    }


def facts_of(path: Path) -> dict[str, str]:
    """Return what a file says beside its tensors.

    Raises:
        CheckpointError: It is no such file, or damaged.
        StorageError: It cannot be read.
    """
    with _opened(path) as file:
        return file.metadata() or {}


def load_tensor(path: Path, name: str, rows: slice = EVERY) -> Tensor:
    """Read one tensor of a file, or some of its rows.

    Raises:
        CheckpointError: It is no such file, damaged, or has no such tensor.
        StorageError: It cannot be read.
    """
    with _opened(path) as file:
        return file.get_tensor(name) if rows == EVERY else file.get_slice(name)[rows]


class Unread(Mapping[str, Tensor]):
    """The tensors of a file by name, each read when it is asked for and then forgotten."""

    def __init__(self, path: Path) -> None:
        """Look at what is there.

        Raises:
            CheckpointError: It is no such file, or damaged.
            StorageError: It cannot be read.
        """
        self._path = path
        self._names = tuple(entries(path))

    def __getitem__(self, name: str) -> Tensor:
        """Read a tensor."""
        if name not in self._names:
            raise KeyError(name)
        return load_tensor(self._path, name)

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a tensor; nothing is read."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._names)


def save_in_turn(path: Path, tensors: Iterable[tuple[str, Tensor]], *, names_bytes: int) -> None:
    """Write tensors of any type in the order they come, one in memory at a time.

    Their shapes are not known before they come, so room is left for what the file begins with.

    Args:
        path: The file.
        tensors: Names and tensors.
        names_bytes: Length of all names together, at most, each with ``ENTRY_BYTES`` more.

    Raises:
        StorageError: The disk refused.
    """
    content: dict[str, Any] = {"__metadata__": METADATA}
    room, begin = names_bytes + ENTRY_BYTES, 0
    room += -room % ALIGNMENT
    with storage(path), path.open("wb") as file:
        file.write(room.to_bytes(8, "little") + b" " * room)
        for name, tensor in tensors:
            plain = tensor.detach().cpu().contiguous()
            end = begin + plain.nbytes
            content[name] = {
                "dtype": TYPES[plain.dtype],
                "shape": list(plain.shape),
                "data_offsets": [begin, end],
            }
            file.write(_bytes(plain))
            begin = end
        header = json.dumps(content, separators=(",", ":")).encode()
        if len(header) > room:
            raise ValueError(f"{len(header)} bytes of names and shapes do not fit into {room}")
        file.seek(8)
        file.write(header)


def _bytes(plain: Tensor) -> memoryview:
    return memoryview(cast(Any, plain.flatten().view(torch.uint8).numpy()))


def stream_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    pieces_of: Callable[[str], Iterable[Tensor]],
) -> str:
    """Write tensors piece by piece, in fp32, so that one piece at a time is in memory.

    Args:
        path: The file.
        shapes: Each tensor's shape, by name, in the order they are written.
        pieces_of: Gives a tensor by its name, in pieces that follow each other in its bytes.

    Returns:
        The file's SHA-256.

    Raises:
        StorageError: The disk refused.
    """
    keep_freed()
    digest, header = sha256(), _header(shapes)
    with storage(path), path.open("wb") as file, _Aside(file.write, digest.update) as aside:
        aside.take(len(header).to_bytes(8, "little") + header)
        for name, shape in shapes.items():
            for content in _contents(name, shape, pieces_of(name)):
                aside.take(content)
    return digest.hexdigest()


class _Aside:
    """Calls that each take every piece in order, beside the making of the next one."""

    def __init__(self, *calls: Callable[[bytes | memoryview], object]) -> None:
        self._lanes = [(call, ThreadPoolExecutor(1)) for call in calls]
        self._under_way: list[Future[object]] = []

    def __enter__(self) -> "_Aside":
        return self

    def take(self, content: bytes | memoryview) -> None:
        """Wait for the piece before, and begin with this one; one is under way at most."""
        self._finish()
        self._under_way = [lane.submit(call, content) for call, lane in self._lanes]

    def _finish(self) -> None:
        for each in self._under_way:
            each.result()

    def __exit__(self, *failure: object) -> None:
        for _, lane in self._lanes:
            lane.shutdown()
        if failure[0] is None:
            self._finish()


def _contents(name: str, shape: tuple[int, ...], pieces: Iterable[Tensor]) -> Iterator[memoryview]:
    """Yield the bytes of a tensor's pieces, which must be as many as its shape says."""
    left = FLOAT_BYTES * prod(shape)
    for piece in pieces:
        plain = piece.detach().to("cpu", torch.float32).contiguous()
        content = _bytes(plain)
        left -= content.nbytes
        yield content
    if left:
        raise ValueError(f"{name} was to have the shape {shape}; its pieces are {left} bytes short")


def _header(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return the format's header: each tensor's type, shape and place, as JSON."""
    content: dict[str, Any] = {"__metadata__": METADATA}
    begin = 0
    for name, shape in shapes.items():
        end = begin + FLOAT_BYTES * prod(shape)
        content[name] = {"dtype": FLOAT, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    header = json.dumps(content, separators=(",", ":")).encode()
    return header + b" " * (-len(header) % ALIGNMENT)


@contextmanager
def _opened(path: Path) -> Generator[Any, None, None]:
    with _reading(path), cast(Any, safe_open)(path, framework="pt") as file:
        yield file


@contextmanager
def _reading(path: Path) -> Generator[None, None, None]:
    try:
        with storage(path):
            yield
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} to be a whole safetensors file",
            got=f"'{error}'",
            fix="another copy of it",
        ) from error
