"""Saving in parts: each of many ranks writes its own, by torch.distributed.checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import MetadataIndex
from torch.distributed.checkpoint.state_dict_saver import (
    save,  # pyright: ignore[reportUnknownVariableType]
)
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from growlm.base.errors import GrowlmError, StorageError, TrainingError
from growlm.base.files import sha256_file, sync
from growlm.optim.sharded import local
from growlm.partfile import FACT, FILE
from growlm.tensorfile import save_tensors


class Written:
    """Tensors to be written by many ranks together: how they lie, and copies of what lies here."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy them to main memory; they may change afterwards."""
        self._tensors = dict(tensors)
        self._copies = {
            name: local(each).detach().to("cpu", copy=True) for name, each in tensors.items()
        }

    def write(self, folder: Path, *, group: Any) -> dict[str, str]:
        """Write one file on each rank; return the SHA-256 of each, on the first rank alone.

        What several ranks have is written by one of them.

        Args:
            folder: The same for all ranks; the first one has made it before it calls this.
            group: The ranks, with a way to talk to each other that training does not use.

        Raises:
            StorageError: The disk refused one of the ranks.
        """
        writer, planner = _Writer(folder), _Planner(self._copies)
        try:
            save(
                self._tensors,
                storage_writer=writer,
                planner=planner,
                process_group=group,
            )
        except CheckpointException as error:
            raise _told(error) from error
        return writer.digests


def _told(error: CheckpointException) -> GrowlmError:
    """Return what a rank met, as what the user is told."""
    rank, (cause, _) = min(error.failures.items())
    if isinstance(cause, GrowlmError):
        return StorageError(cause.expected, got=f"{cause.got}, on rank {rank}", fix=cause.fix)
    return TrainingError(
        "every rank to write its part of a checkpoint",
        got=f"'{cause}' on rank {rank}",
        fix="the same command again: it goes on from the last checkpoint",
    )


class _Planner(DefaultSavePlanner):
    """Plans from how tensors lie, and writes copies of them."""

    def __init__(self, copies: Mapping[str, Tensor]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._copies = copies

    def lookup_object(self, index: MetadataIndex) -> Tensor:
        """Return what is to be written."""
        return self._copies[index.fqn]


class _Writer(StorageWriter):
    """Writes what falls to a rank into one file, without any pickle."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rank = 0
        self.digests: dict[str, str] = {}

    def reset(self, checkpoint_id: Any = None) -> None:
        """Begin; a writer is used once."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002, FBT001 - torch's
        """Learn which rank this is."""
        self._rank = int(kwargs["rank"])

    def prepare_local_plan(self, plan: Any) -> Any:
        """Take a rank's plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """Take all plans as they are."""
        return plans

    def write_data(self, plan: Any, planner: Any) -> Future[list[WriteResult]]:
        """Write this rank's file, and tell its SHA-256."""
        path = self._folder / FILE.format(rank=self._rank)
        parts = {
            item.index.fqn: [[*data.chunk.offsets], [*data.chunk.sizes], [*data.size]]
            for item in plan.items
            if (data := item.tensor_data)
        }
        tensors = {item.index.fqn: planner.resolve_data(item) for item in plan.items}
        save_tensors(path, tensors, facts={FACT: json.dumps(parts)})
        sync(path)
        written = WriteResult(MetadataIndex(path.name), path.stat().st_size, sha256_file(path))
        done: Future[list[WriteResult]] = Future()
        done.set_result([written])
        return done

    def finish(self, metadata: Any, results: list[list[WriteResult]]) -> None:  # noqa: ARG002 - torch's
        """Collect what the ranks told."""
        self.digests = {each.index.fqn: each.storage_data for own in results for each in own}

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:  # noqa: ARG003 - torch's
        """Return whether it can write there; nobody asks."""
        return True
