"""Following a run log: its new records as they come, and as the numbers that other tools show."""

from collections.abc import Iterator
from pathlib import Path

from growlm.base.files import storage
from growlm.runlog import AnyRecord, Copies, Memory, Step, ValidationLoss, parsed


class Follower:
    """Reads what a run log has grown by since it was last asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def new(self) -> Iterator[AnyRecord]:
        """Yield the records that have been written since; a torn last line waits.

        A log that became shorter was rewound: it is read from its beginning, as ``rewound`` says
        beforehand.

        Raises:
            StorageError: The log cannot be read, or a line of it is no record.
        """
        if self.rewound:
            self._offset = 0
        if not self.path.is_file():
            return
        with storage(self.path), self.path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        if end:
            yield from parsed(whole, self.path)

    @property
    def rewound(self) -> bool:
        """Whether the log has fewer bytes than were read of it."""
        return (self.path.stat().st_size if self.path.is_file() else 0) < self._offset


def scalars(record: AnyRecord) -> dict[str, float]:
    """Return the numbers of a record by the names that they go by elsewhere.

    >>> scalars(ValidationLoss(step=2, tokens=64, loss=1.5, losses={"web": 1.5}))
    {'validation/loss': 1.5, 'validation/loss/web': 1.5}
    """
    match record:
        case Step():
            return {
                "train/loss": record.loss,
                "train/lr": record.lr,
                "train/gradient_norm": record.gradient_norm,
                "train/seconds": record.seconds,
                "train/tokens": float(record.tokens),
            }
        case ValidationLoss():
            losses = {f"validation/loss/{name}": loss for name, loss in record.losses.items()}
            return {"validation/loss": record.loss, **losses}
        case Memory():
            found = {"memory/resident": float(record.resident_bytes)}
            if record.gpu is not None:
                found["memory/reserved"] = float(record.gpu.reserved_bytes)
            return found
        case Copies():
            relative = {f"copies/{name}": each.relative for name, each in record.spaces.items()}
            layers = {} if record.distance is None else {"copies/layers": record.distance}
            return {**layers, **relative}
        case _:
            return {}
