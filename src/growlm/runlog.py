"""The run log's records: one JSON object a line, all that training and report share."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from growlm.base.errors import StorageError
from growlm.base.files import storage, write_bytes


class Record(
    BaseModel,
    frozen=True,
    extra="forbid",
    use_attribute_docstrings=True,
    ser_json_inf_nan="strings",
):
    """One line of a run log; a number that is not finite is a string, as JSON has none."""

    step: int
    """Optimizer steps done in this stage."""

    tokens: int
    """Training tokens seen in this stage."""


class Start(Record, frozen=True):
    """The stage begins, or goes on after a stop."""

    kind: Literal["start"] = "start"
    device: str
    """What it runs on, in words."""
    compiled: bool
    """Whether the blocks are compiled."""
    attention: str = "sdpa"
    """What mixes the values, ``sdpa``, ``triton`` or ``flash``, and why."""
    deterministic: bool = False
    """Whether torch is held to deterministic algorithms."""
    time: str
    """UTC, ISO 8601."""


class RankSeconds(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What each of many ranks took for a step, the fastest and the slowest of them.

    They wait for each other within a step, so that the whole of it differs little; a rank that
    reads slowly shows in the reading.
    """

    fastest: float
    """Wall-clock time of the fastest rank's step."""
    slowest: float
    """Of the slowest rank's."""
    slowest_rank: int
    """Which one that was."""
    reading: float
    """Until the rank that waited longest for its batch had it."""
    reading_rank: int
    """Which one that was."""


class Step(Record, frozen=True):
    """One optimizer step."""

    kind: Literal["step"] = "step"
    loss: float
    """Training loss before the step, nats per token."""
    lr: float
    """Learning rate of the step."""
    gradient_norm: float
    """Norm of the whole gradient, before clipping."""
    seconds: float
    """Wall-clock time of the step."""
    skipped: Literal["not finite", "spike"] | None = None
    """Why its update was not taken; null where it was."""
    ranks: RankSeconds | None = None
    """What each of many ranks took; null of a single process."""


class ValidationLoss(Record, frozen=True):
    """Loss on the held-out tokens."""

    kind: Literal["validation"] = "validation"
    loss: float
    """Mean over the sources by the stage's mixture weights, nats per token."""
    losses: Mapping[str, float]
    """By source, nats per token."""


class GpuMemory(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What the allocator of a GPU holds, and the most it held since the stage began or went on."""

    allocated_bytes: int
    """In tensors."""

    reserved_bytes: int
    """Asked of the driver, used or not."""

    peak_allocated_bytes: int
    """The most in tensors."""

    peak_reserved_bytes: int
    """The most asked of the driver."""

    gap_bytes: int
    """The most reserved, less the most allocated: held, and in no tensor even when it was fullest.
    """

    retries: int
    """Times that it gave back what it kept, because nothing that fits was free."""

    ooms: int
    """Times that it found no memory even so."""


class Memory(Record, frozen=True):
    """What memory is held, with each validation."""

    kind: Literal["memory"] = "memory"
    resident_bytes: int
    """Of the process, in main memory."""
    peak_resident_bytes: int
    """The most that the process ever had there."""
    gpu: GpuMemory | None = None
    """Of the GPU that the stage trains on; null on a CPU."""


class Saved(Record, frozen=True):
    """A checkpoint was published."""

    kind: Literal["checkpoint"] = "checkpoint"
    path: str
    """Its folder, relative to the stage's."""
    seconds: float | None = None
    """Wall-clock time of saving it."""
    stood_seconds: float | None = None
    """Those of them in which training stood still; null where it did in all."""


class Notice(Record, frozen=True):
    """Something the reader of the log should know."""

    kind: Literal["notice"] = "notice"
    text: str
    """One sentence."""


class Rollback(Record, frozen=True):
    """The weights went back to those of an earlier step; the steps in between left no trace."""

    kind: Literal["rollback"] = "rollback"
    to: int
    """The step whose weights and moments are gone on with."""


class Apart(
    BaseModel,
    frozen=True,
    extra="forbid",
    use_attribute_docstrings=True,
    ser_json_inf_nan="strings",
):
    """How far the copies in one space have moved apart since growth."""

    copies: int
    """Copies beside the first of each source, in all layers."""

    equal: int
    """How many of them still equal another copy of their source, up to rounding."""

    largest: float
    """Largest absolute difference of two copies' weights; exactly 0 where none has ever parted."""

    relative: float
    """Mean of |copy - first| / |first| over the matrices that write the space."""


class Copies(Record, frozen=True):
    """How far copies have moved apart since growth."""

    kind: Literal["copies"] = "copies"
    distance: float | None
    """Of layers: the mean of |copy - first| / |first| over their matrices; null without copies."""
    spaces: Mapping[str, Apart] = {}
    """Of units, by the size that counts them: width, heads, kv_heads, head_width, mlp."""


AnyRecord = Annotated[
    Start | Step | ValidationLoss | Copies | Memory | Saved | Rollback | Notice,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)


class Writer:
    """Appends records to a run log; a kill can tear the last line only."""

    def __init__(self, path: Path) -> None:
        with storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # No buffer: after a refused write nothing may wait to be written at close.
            self._file = path.open("ab", buffering=0)
        self._path = path

    def write(self, record: AnyRecord) -> None:
        """Append one record.

        Raises:
            StorageError: The disk refused it.
        """
        with storage(self._path):
            line = _line(record)
            while line:
                line = line[self._file.write(line) :]

    def sync(self) -> None:
        """Push all records to the disk."""
        with storage(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[AnyRecord]:
    """Yield the records of a run log; a torn last line is left out.

    Raises:
        StorageError: The log cannot be read, or a line other than the last is no record.
    """
    with storage(path):
        content = path.read_bytes()
    whole, end, _ = content.rpartition(b"\n")
    yield from parsed(whole, path) if end else ()


def parsed(content: bytes, path: Path) -> Iterator[AnyRecord]:
    """Yield the records of some whole lines of a run log.

    Args:
        content: The lines, without the last one's end.
        path: The log, for messages.

    Raises:
        StorageError: A line is no record.
    """
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            yield _ADAPTER.validate_json(line)
        except ValidationError as error:
            raise StorageError(
                f"{path} to hold one record a line",
                got=f"line {number}: {error.errors()[0]['msg']}",
                fix="removing that line",
            ) from error


def rewind(path: Path, *, step: int) -> None:
    """Drop what a run log says beyond a step, so that a resumed stage writes it again.

    Args:
        path: The log; nothing happens when it is absent.
        step: The step of the checkpoint the stage resumes from.
    """
    if not path.exists():
        return
    kept = [record for record in read(path) if record.step <= step]
    write_bytes(path, b"".join(map(_line, kept)))


def _line(record: AnyRecord) -> bytes:
    return record.model_dump_json().encode() + b"\n"
