"""Checkpoints: a folder of config, weights, optimizer and lineage that is whole or absent."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from torch import Tensor

from growlm.base.errors import CheckpointError, StorageError
from growlm.base.files import (
    digest_of,
    read_json,
    sha256_file,
    storage,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
)
from growlm.model.config import GPTConfig
from growlm.model.gpt import weight_shapes
from growlm.model.weights import EVERY, Read, pieces
from growlm.partfile import PATTERN, Parts, is_part
from growlm.tensorfile import (
    ENTRY_BYTES,
    Unread,
    load_tensor,
    load_tensors,
    save_in_turn,
    save_tensors,
    stream_tensors,
)

FORMAT = 3
IN_PARTS = 4
"""The format of a checkpoint whose tensors lie in parts, as many ranks wrote them."""

UNSAID = frozenset({"rotary_scaling"})
"""Fields of a shape that a checkpoint leaves out where there is nothing to say."""
META = "checkpoint.json"
THEIR_CONFIG = "config.json"
"""What a Hugging Face folder has in its place."""
WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
EMA = "ema.safetensors"
KINDS = {"weights": WEIGHTS, "optimizer": OPTIMIZER, "ema": EMA}
"""Where tensors of each kind lie; in parts all of them lie in every file."""

TOKENIZER = "tokenizer.json"
EXPOSURE = "exposure.json"
KEYS = 8
"""Tensors of optimizer state that a weight has, at most."""

KEY_BYTES = 16
"""Letters of the longest key of them, and the dot."""

DIGEST = "sha256"
"""The key in ``checkpoint.json`` under which the digest of all its other keys stands."""


class Ancestor(BaseModel, frozen=True, extra="forbid"):
    """One stretch of a checkpoint's life."""

    stage: str
    """The stage's name, or the name of the folder it came from."""
    origin: str
    """How its first weights came about: ``scratch``, ``grown by interleave``, ``average of 4``."""
    layers: int
    """Layers during that stretch."""
    tokens: int
    """Tokens trained in it."""
    flops: float
    """FLOPs trained in it."""
    weights_sha256: str
    """SHA-256 of the weights it ended with; empty for the checkpoint's own, last stretch."""


class DataPosition(BaseModel, frozen=True, extra="forbid"):
    """Where in the data a checkpoint stands, and which data that is."""

    cursor: int
    """Samples the sampler has emitted, over all stages of the lineage."""
    sampler: Mapping[str, Any]
    """The sampler's version, seed, slot, block, jitter, stages and phases."""
    sources: Mapping[str, str]
    """Each source's ``source_id``."""
    masks: Mapping[str, str] = {}
    """The ``mask_id`` of each masked source that its stage reads."""


class Meta(BaseModel, frozen=True, extra="forbid", ser_json_inf_nan="constants"):
    """``checkpoint.json``: all of a checkpoint but its tensors; infinities stay what they are."""

    format: int
    config: Mapping[str, Any]
    stage: str
    step: int
    lineage: tuple[Ancestor, ...]
    data: DataPosition | None
    training: Mapping[str, Any]
    """Facts about the stage a child should know, such as where its schedule ended."""
    end_of_text: str
    certificate: Mapping[str, Any] | None
    files: Mapping[str, str]
    """SHA-256 of each file beside this one."""

    @property
    def tokens(self) -> int:
        """Tokens seen over the whole lineage."""
        return sum(ancestor.tokens for ancestor in self.lineage)

    @property
    def weights_sha256(self) -> str:
        """The identity of the weights; in parts, of all the files that hold them."""
        return digest_of(self._parts) if self._parts else self.files[WEIGHTS]

    @property
    def keeps_optimizer(self) -> bool:
        """Whether the optimizer's state was saved beside the weights."""
        return OPTIMIZER in self.files or bool(self._parts)

    @property
    def _parts(self) -> dict[str, str]:
        return {name: self.files[name] for name in self.files if is_part(name)}

    def gpt_config(self) -> GPTConfig:
        """Return the model's shape.

        Raises:
            CheckpointError: A size is missing, or unknown to this version.
        """
        known = {field.name for field in fields(GPTConfig)}
        odd = sorted((known ^ set(self.config)) - UNSAID)
        if odd:
            raise CheckpointError(
                f"the config in {META} to hold every size of a model and no other",
                got=f"{', '.join(odd)} too much or missing",
                fix="the growlm that wrote it",
            )
        return GPTConfig.from_dict(self.config)


class Contents(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """What goes into a checkpoint."""

    config: GPTConfig
    stage: str
    step: int
    lineage: tuple[Ancestor, ...]
    data: DataPosition | None
    training: Mapping[str, Any]
    end_of_text: str
    tokenizer: str
    """The tokenizer's JSON."""
    tokenizer_files: Mapping[str, bytes] = {}
    """Files that came beside the tokenizer's JSON, by name, kept as they were."""
    certificate: Mapping[str, Any] | None
    weights: Mapping[str, Tensor] | None
    """The weights; None when ``write_weights``, or many ranks in parts, have written them."""
    optimizer: Mapping[str, Tensor]
    random: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] = {}
    """The moving average of the weights, by name; empty where none is kept."""
    exposure: Mapping[str, Any] | None = None
    """The exposure ledger; None where nothing is known of what was read."""


def save(path: Path, contents: Contents) -> Meta:
    """Write a checkpoint; it is whole or absent, whatever happens meanwhile.

    Raises:
        StorageError: Something is at ``path`` already, or the disk refused.
    """
    with whole_folder(path) as folder:
        return write(folder, contents, known={})


def write(folder: Path, contents: Contents, *, known: Mapping[str, str]) -> Meta:
    """Write a checkpoint's files into a folder, best one from ``whole_folder``.

    Args:
        folder: Where to; files that lie there already belong to the checkpoint.
        contents: What to write.
        known: SHA-256 of files that lie there already; the others' are found by reading them.

    Raises:
        StorageError: The disk refused.
    """
    if contents.weights is not None:
        save_tensors(folder / WEIGHTS, contents.weights)
    if contents.optimizer:
        save_tensors(folder / OPTIMIZER, contents.optimizer)
    if contents.random:
        save_tensors(folder / RANDOM, contents.random)
    if contents.ema:
        save_tensors(folder / EMA, contents.ema)
    write_text(folder / TOKENIZER, contents.tokenizer)
    if contents.exposure is not None:
        write_json(folder / EXPOSURE, contents.exposure)
    for name, content in contents.tokenizer_files.items():
        write_bytes(folder / name, content)
    files = sorted(folder.iterdir())
    meta = Meta(
        format=IN_PARTS if _part_files(folder) else FORMAT,
        config=contents.config.as_dict(),
        stage=contents.stage,
        step=contents.step,
        lineage=contents.lineage,
        data=contents.data,
        training=contents.training,
        end_of_text=contents.end_of_text,
        certificate=contents.certificate,
        files={file.name: known.get(file.name) or sha256_file(file) for file in files},
    )
    write_json(folder / META, {**meta.model_dump(mode="json"), DIGEST: identity(meta)})
    return meta


def write_weights(folder: Path, config: GPTConfig, read: Read) -> str:
    """Write a checkpoint's weights piece by piece, and return the file's SHA-256.

    Args:
        folder: The checkpoint's, best from ``whole_folder``.
        config: The model's shape.
        read: Reads its weights.

    Raises:
        StorageError: The disk refused.
    """
    return stream_tensors(
        folder / WEIGHTS, weight_shapes(config), lambda name: pieces(read, name, config)
    )


def write_optimizer(folder: Path, config: GPTConfig, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write a checkpoint's optimizer state, one tensor in memory at a time.

    Args:
        folder: The checkpoint's, best from ``whole_folder``.
        config: The model's shape.
        tensors: The state, by ``KEY.NAME``.

    Raises:
        StorageError: The disk refused.
    """
    names = sum(KEYS * (KEY_BYTES + len(name) + ENTRY_BYTES) for name in weight_shapes(config))
    save_in_turn(folder / OPTIMIZER, tensors, names_bytes=names)


def read_meta(path: Path) -> Meta:
    """Read what a checkpoint says of itself, without its tensors.

    Raises:
        CheckpointError: There is no checkpoint, one of another format, or one that was changed.
        StorageError: It cannot be read.
    """
    if not (path / META).is_file():
        theirs = (path / THEIR_CONFIG).is_file()
        raise CheckpointError(
            f"a checkpoint's folder, with {META} in it",
            got=f"{path}, a Hugging Face folder" if theirs else str(path),
            fix=f"growlm import {path} CKPT" if theirs else "a folder under runs/*/stages",
        )
    content = _read_json(path / META)
    values = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    found = values.get("format")
    if found not in (FORMAT, IN_PARTS):
        raise CheckpointError(
            f"{path} to be of checkpoint format {FORMAT}",
            got="no format" if found is None else f"format {found}",
            fix="the growlm that wrote it",
        )
    return _checked_meta(path / META, values)


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except StorageError as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        raise CheckpointError(
            f"{path} to be as it was written",
            got=f"'{error.__cause__}': the file was damaged or changed",
            fix="another checkpoint of the stage",
        ) from error


def _checked_meta(path: Path, values: dict[str, Any]) -> Meta:
    digest = values.pop(DIGEST, None)
    try:
        meta = Meta.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path} to be whole", got=f"'{key}': {first['msg']}", fix="another checkpoint"
        ) from None
    if digest != identity(meta):
        raise CheckpointError(
            f"{path} to be as it was written",
            got="other values under its digest: the file was damaged or changed",
            fix="another checkpoint of the stage",
        )
    return meta


def verify(path: Path, meta: Meta) -> None:
    """Compare every file of a checkpoint with its SHA-256.

    Raises:
        CheckpointError: A file is missing or was changed; it is named.
    """
    for name, expected in meta.files.items():
        if not (path / name).is_file():
            raise CheckpointError(
                f"{name} in {path}", got="no such file", fix="another checkpoint of the stage"
            )
        found = sha256_file(path / name)
        if found != expected:
            raise CheckpointError(
                f"{path / name} to have SHA-256 {expected[:12]}…",
                got=f"{found[:12]}…: the file was damaged or changed",
                fix="another checkpoint of the stage",
            )


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's weights."""
    return _whole(path, "weights") or load_tensors(path / WEIGHTS)


def reader(path: Path) -> Read:
    """Return a reader of a checkpoint's weights, one at a time; it keeps nothing."""
    files = _part_files(path)
    if files:
        return Parts(files, "weights").rows

    def read(name: str, rows: slice = EVERY) -> Tensor:
        return load_tensor(path / WEIGHTS, name, rows)

    return read


def unread_weights(path: Path) -> Mapping[str, Tensor]:
    """Return a checkpoint's weights, each read when asked for."""
    return _unread(path, "weights") or Unread(path / WEIGHTS)


def unread_optimizer(path: Path) -> Mapping[str, Tensor]:
    """Return a checkpoint's optimizer state, each tensor read when asked for; empty without."""
    return _unread(path, "optimizer")


def load_optimizer(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's optimizer state; empty when it was saved without."""
    return _whole(path, "optimizer")


def load_ema(path: Path) -> dict[str, Tensor]:
    """Read the moving average of a checkpoint's weights; empty where none was kept."""
    return _whole(path, "ema")


def unread_ema(path: Path) -> Mapping[str, Tensor]:
    """Return the moving average, each tensor read when asked for; empty where none was kept."""
    return _unread(path, "ema")


def _whole(path: Path, kind: str) -> dict[str, Tensor]:
    """Return tensors of a kind, read at once; empty where there are none."""
    file = path / KINDS[kind]
    return load_tensors(file) if file.is_file() else dict(_unread(path, kind))


def _unread(path: Path, kind: str) -> Mapping[str, Tensor]:
    """Return tensors of a kind, whole or in parts; empty where there are none."""
    files = _part_files(path)
    if files:
        return Parts(files, kind)
    return Unread(path / KINDS[kind]) if (path / KINDS[kind]).is_file() else {}


def _part_files(path: Path) -> list[Path]:
    """Return what many ranks wrote of a checkpoint, if they did."""
    with storage(path):
        return sorted(path.glob(PATTERN))


def load_random(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's random states; empty when it was saved without."""
    return load_tensors(path / RANDOM) if (path / RANDOM).is_file() else {}


def load_tokenizer(path: Path) -> str:
    """Read the tokenizer's JSON."""
    with storage(path):
        return (path / TOKENIZER).read_bytes().decode()


def load_tokenizer_files(path: Path, meta: Meta) -> dict[str, bytes]:
    """Read the files that came beside the tokenizer's JSON, by name."""
    own = {WEIGHTS, OPTIMIZER, RANDOM, EMA, TOKENIZER, EXPOSURE}
    with storage(path):
        others = [name for name in meta.files if name not in own and not is_part(name)]
        return {name: (path / name).read_bytes() for name in others}


def load_exposure(path: Path, meta: Meta) -> Any:
    """Read the exposure ledger, as JSON; None where there is none.

    Raises:
        CheckpointError: It was damaged.
        StorageError: It cannot be read.
    """
    return _read_json(path / EXPOSURE) if EXPOSURE in meta.files else None


def identity(meta: Meta) -> str:
    """Return the digest of everything a checkpoint says of itself, its files' hashes included."""
    return digest_of(meta.model_dump(mode="json"))
