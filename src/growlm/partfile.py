"""Files of parts of tensors, as many ranks write them: read whole, or by rows, by anyone."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.tensorfile import EVERY, facts_of, load_tensor

FILE = "part-{rank:05d}.safetensors"
"""What a rank writes."""

PATTERN = "part-*.safetensors"
"""What all of them are called."""

FACT = "parts"
"""What a file says of its tensors: by name, where each begins in its whole, and the whole's shape.
"""


def is_part(name: str) -> bool:
    """Return whether a file is one that a rank wrote, by its name.

    >>> is_part("part-00012.safetensors"), is_part("model.safetensors")
    (True, False)
    """
    return fnmatchcase(name, PATTERN)


class _Part(NamedTuple):
    """Where a part of a tensor lies, in a file and in the whole."""

    path: Path
    begin: tuple[int, ...]
    size: tuple[int, ...]
    whole: tuple[int, ...]
    """The whole's size."""


class Parts(Mapping[str, Tensor]):
    """Tensors that lie in parts in some files, each put together when it is asked for."""

    def __init__(self, paths: Sequence[Path], kind: str) -> None:
        """Look at what is there.

        Args:
            paths: All files of a checkpoint.
            kind: What the names in the files begin with, and a dot; only these are here, without.

        Raises:
            CheckpointError: A file is no such file, or damaged.
            StorageError: A file cannot be read.
        """
        self._kind = f"{kind}."
        self._parts: dict[str, list[_Part]] = defaultdict(list)
        for path in paths:
            for name, (begin, size, whole) in _facts(path).items():
                if name.startswith(self._kind):
                    part = _Part(path, tuple(begin), tuple(size), tuple(whole))
                    self._parts[name.removeprefix(self._kind)].append(part)

    def rows(self, name: str, rows: slice = EVERY) -> Tensor:
        """Read a tensor, or some of its rows."""
        parts = self._parts[name]
        shape = parts[0].whole
        if not shape:
            return load_tensor(parts[0].path, self._kind + name)
        first, end, _ = rows.indices(shape[0])
        found: Tensor | None = None
        for part in parts:
            low, high = max(first, part.begin[0]), min(end, part.begin[0] + part.size[0])
            if low >= high:
                continue
            wanted = slice(low - part.begin[0], high - part.begin[0])
            read = load_tensor(part.path, self._kind + name, wanted)
            if found is None:
                found = torch.empty((end - first, *shape[1:]), dtype=read.dtype)
            others = zip(part.begin[1:], part.size[1:], strict=True)
            found[(slice(low - first, high - first), *(slice(a, a + n) for a, n in others))] = read
        return cast(Tensor, found)

    def __getitem__(self, name: str) -> Tensor:
        """Read a tensor."""
        if name not in self._parts:
            raise KeyError(name)
        return self.rows(name)

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a tensor; nothing is read."""
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._parts)


def _facts(path: Path) -> dict[str, list[list[int]]]:
    try:
        return json.loads(facts_of(path)[FACT])
    except (KeyError, ValueError):
        raise CheckpointError(
            f"{path} to say what parts it holds", got="nothing", fix="another checkpoint"
        ) from None
