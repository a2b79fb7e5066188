"""Files of tensors (safetensors): read whole or by name, written whole or one by one."""

import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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

FLOAT = "F32"
"""How the format calls the type that is written one by one."""

FLOAT_BYTES = 4

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


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors that are in memory.

    Raises:
        StorageError: The disk refused.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path)
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


def load_tensor(path: Path, name: str, rows: slice = EVERY) -> Tensor:
    """Read one tensor of a file, or some of its rows.

    Raises:
        CheckpointError: It is no such file, damaged, or has no such tensor.
        StorageError: It cannot be read.
    """
    with _opened(path) as file:
        return file.get_tensor(name) if rows == EVERY else file.get_slice(name)[rows]


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
    digest = sha256()
    with storage(path), path.open("wb") as file, ThreadPoolExecutor(1) as aside:
        header = _header(shapes)
        hashed = aside.submit(digest.update, len(header).to_bytes(8, "little") + header)
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for name, shape in shapes.items():
            for content in _contents(name, shape, pieces_of(name)):
                hashed.result()  # one piece waits at most
                hashed = aside.submit(digest.update, content)
                file.write(content)
        hashed.result()
    return digest.hexdigest()


def _contents(name: str, shape: tuple[int, ...], pieces: Iterable[Tensor]) -> Iterator[memoryview]:
    """Yield the bytes of a tensor's pieces, which must be as many as its shape says."""
    left = FLOAT_BYTES * prod(shape)
    for piece in pieces:
        plain = piece.detach().to("cpu", torch.float32).contiguous()
        content = (
            memoryview(cast(Any, plain.numpy())).cast("B") if plain.numel() else memoryview(b"")
        )
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
