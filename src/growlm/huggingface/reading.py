"""Reading a folder: everything but the tensors' values is checked before the first is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.base.files import read_json
from growlm.model.config import GPTConfig
from growlm.model.families.family import Family, Values, read_config
from growlm.model.families.links import Link, check_shape, found, split
from growlm.model.families.table import family_of
from growlm.model.weights import EVERY, VOCABULARY, Read
from growlm.tensorfile import Entry, entries, load_tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights that could run code when they are read, and so are not."""

DTYPES = ("F32", "BF16", "F16")
"""Types of weights that are read; all become fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A Hugging Face folder that was checked, its tensors still on the disk."""

    path: Path
    values: Values
    """Its ``config.json``."""
    family: Family
    config: GPTConfig
    links: tuple[tuple[Link, str], ...]
    """Each of its tensors, and the name under which it is written."""
    files: Mapping[str, Path]
    """The file that holds each tensor, by the name under which it is written."""

    @property
    def ignores_code(self) -> bool:
        """Return whether it points to code of its own, which is never run."""
        return "auto_map" in self.values


def read_folder(path: Path) -> Folder:
    """Return what a folder holds, once everything but its tensors' values has been checked.

    Raises:
        CheckpointError: It is no such folder, of a family or type that ours has no place for, or
            lacks a shard or a tensor.
        StorageError: It cannot be read, or is not JSON.
    """
    if not (path / CONFIG).is_file():
        raise CheckpointError(
            f"a Hugging Face folder, with {CONFIG} in it",
            got=str(path),
            fix="the folder that a download or save_pretrained wrote",
        )
    values = read_object(path / CONFIG)
    family = family_of(values)
    config = read_config(family, values)
    places = _places(path)
    which = found(family, config, places)
    for link, name in which.links:
        _check(link, places[name][1])
    folder = Folder(
        path=path,
        values=values,
        family=family,
        config=config,
        links=which.links,
        files={name: file for name, (file, _) in places.items()},
    )
    if which.twin is not None:
        _check_tie(folder, which.twin)
    return folder


def stream(folder: Folder) -> Iterator[tuple[str, Tensor]]:
    """Yield each of our weights in fp32; one of the folder's tensors is in memory at a time."""
    for link, name in folder.links:
        yield from split(link, _wide(folder, name)).items()


def load(folder: Folder) -> dict[str, Tensor]:
    """Return all of our weights in fp32."""
    return dict(stream(folder))


def reader(folder: Folder) -> Read:
    """Return a reader of our weights, in fp32 and by our names; it keeps nothing."""
    places = {name: (link, theirs) for link, theirs in folder.links for name in link.ours}

    def read(name: str, rows: slice = EVERY) -> Tensor:
        link, theirs = places[name]
        if rows == EVERY or name not in VOCABULARY:
            return split(link, _wide(folder, theirs))[name][rows]
        end = min(rows.stop, link.shape[0])
        known = _wide(folder, theirs, slice(min(rows.start, end), end))
        padding = rows.stop - rows.start - known.shape[0]
        return torch.cat([known, known.new_zeros(padding, known.shape[1])]) if padding else known

    return read


def read_object(path: Path) -> dict[str, Any]:
    """Return a JSON file that holds an object.

    Raises:
        CheckpointError: It holds something else.
        StorageError: It cannot be read, or is not JSON.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} to hold a JSON object", got=f"{content}"[:40], fix="the file as it was written"
        )
    return cast(dict[str, Any], content)


def _places(path: Path) -> dict[str, tuple[Path, Entry]]:
    """Return for each tensor its file, and what that says of it."""
    if (path / WEIGHTS).is_file():
        return {name: (path / WEIGHTS, entry) for name, entry in entries(path / WEIGHTS).items()}
    if (path / INDEX).is_file():
        return _in_shards(path)
    pickles = [name for name in PICKLES if (path / name).is_file()]
    raise CheckpointError(
        f"{WEIGHTS}, or {INDEX} and its shards, in {path}",
        got=f"{pickles[0]}: a pickle, which may run code" if pickles else "neither",
        fix="saving the model with safetensors: save_pretrained does",
    )


def _in_shards(path: Path) -> dict[str, tuple[Path, Entry]]:
    listed = read_object(path / INDEX).get("weight_map")
    if not isinstance(listed, dict):
        raise _bad_index(path, "a weight_map", "none")
    where = cast(dict[str, Any], listed)
    shards = {shard: _shard(path, shard) for shard in where.values()}
    for name, shard in where.items():
        if name not in shards[shard]:
            raise _bad_index(path, f"'{name}' in {shard}, as it says", "no such tensor")
    return {name: (path / shard, shards[shard][name]) for name, shard in where.items()}


def _shard(path: Path, shard: Any) -> dict[str, Entry]:
    if not isinstance(shard, str) or Path(shard).name != shard:
        raise _bad_index(path, "the names of files in its own folder", f"'{shard}'")
    if not (path / shard).is_file():
        raise _bad_index(path, f"the shard {shard}", "no such file")
    return entries(path / shard)


def _bad_index(path: Path, expected: str, got: str) -> CheckpointError:
    return CheckpointError(
        expected, got=got, fix="fetching the folder again, whole", where=str(path / INDEX)
    )


def _check(link: Link, entry: Entry) -> None:
    check_shape(link, entry.shape)
    if entry.dtype not in DTYPES:
        raise CheckpointError(
            f"'{link.theirs}' to be one of {', '.join(DTYPES)}",
            got=entry.dtype,
            fix="the model as it was before it was quantised or converted",
        )


def _check_tie(folder: Folder, twin: str) -> None:
    """Refuse a head that was written although it is tied, unless it is the embedding."""
    embedding = next(name for link, name in folder.links if link.ours == ("embedding.weight",))
    if not torch.equal(_wide(folder, twin), _wide(folder, embedding)):
        raise CheckpointError(
            f"'{twin}' to equal '{embedding}', as tie_word_embeddings has it",
            got="other values",
            fix=f'"tie_word_embeddings": false in {CONFIG}, if the head is its own',
        )


def _wide(folder: Folder, name: str, rows: slice = EVERY) -> Tensor:
    return load_tensor(folder.files[name], name, rows).to(torch.float32)
