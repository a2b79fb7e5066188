"""Files of tensors (safetensors): read whole or by name, written whole or one by one."""

import json
import os
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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


def load_tensor(path: Path, name: str) -> Tensor:
    """Read one tensor of a file.

    Raises:
        CheckpointError: It is no such file, damaged, or has no such tensor.
        StorageError: It cannot be read.
    """
    with _opened(path) as file:
        return file.get_tensor(name)


def stream_tensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], tensor_of: Callable[[str], Tensor]
) -> None:
    """Write tensors one by one, in fp32, so that one at a time is in memory.

    Args:
        path: The file.
        shapes: Each tensor's shape, by name, in the order they are written.
        tensor_of: Gives a tensor by its name.

    Raises:
        StorageError: The disk refused.
    """
    with storage(path), path.open("wb") as file:
        header = _header(shapes)
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for name, shape in shapes.items():
            plain = tensor_of(name).detach().to("cpu", torch.float32).reshape(shape).contiguous()
            file.write(cast(Any, plain.numpy()))


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
