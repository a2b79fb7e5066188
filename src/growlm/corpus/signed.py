"""What signing left on the disk, read as one table of documents in the order they are kept in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from growlm.base.files import read_json
from growlm.corpus.arrays import NDArray
from growlm.corpus.clusters import Signatures
from growlm.corpus.signing import Portion


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """All documents of all portions, numbered through in their order."""

    sources: list[str]
    """Of each portion."""

    names: list[dict[str, Any]]
    """Paths and ids of each portion."""

    first: NDArray[np.int64]
    """Document that each portion begins with, and the number of all."""

    documents: NDArray[Any]
    """As ``DOCUMENT`` in ``corpus/signing.py`` says."""

    signatures: Signatures
    """Of the documents that have one, in their order."""

    owners: NDArray[np.int64]
    """The document of each signature."""

    chunks: NDArray[Any]
    """As ``CHUNK`` in ``corpus/signing.py`` says, documents numbered through."""

    chunk_signatures: Signatures

    def source_of(self, document: int) -> str:
        """Return the source of a document."""
        return self.sources[self._portion(document)]

    def of(self, source: str) -> Bool[NDArray[np.bool_], "N"]:
        """Return which documents are of a source."""
        mine = [name == source for name in self.sources]
        return np.repeat(mine, np.diff(self.first))

    def uid(self, document: int) -> str:
        """Return a document's name."""
        return self.documents["uid"][document].tobytes().hex()

    def describe(self, document: int) -> dict[str, Any]:
        """Return where a document comes from, ready for JSON."""
        portion = self._portion(document)
        known, record = self.names[portion], self.documents[document]
        own = known["ids"].get(str(document - int(self.first[portion])))
        return {
            "source": self.sources[portion],
            "path": known["paths"][int(record["path"])],
            "row": int(record["row"]),
            "uid": self.uid(document),
            **({"id": own} if own is not None else {}),
        }

    def _portion(self, document: int) -> int:
        return int(np.searchsorted(self.first, document, side="right")) - 1


def read(folder: Path, portions: Sequence[Portion]) -> Signed:
    """Return what the portions' signing left in a folder; signatures stay on the disk.

    Raises:
        StorageError: The names cannot be read.
    """
    names = [f"{number:05}" for number in range(len(portions))]

    def load(kind: str, mode: Any = None) -> list[NDArray[Any]]:
        return [np.load(folder / f"{name}.{kind}.npy", mmap_mode=mode) for name in names]

    documents, chunks = load("documents"), load("chunks")
    first = np.cumsum([0, *map(len, documents)])
    for each, start in zip(chunks, first[:-1], strict=True):
        each["document"] += np.uint64(start)
    whole = np.concatenate(documents)
    return Signed(
        sources=[portion.source.name for portion in portions],
        names=[read_json(folder / f"{name}.names.json") for name in names],
        first=first,
        documents=whole,
        signatures=Signatures(load("signatures", "r")),
        owners=np.flatnonzero(whole["signature"] >= 0),
        chunks=np.concatenate(chunks),
        chunk_signatures=Signatures(load("chunk_signatures", "r")),
    )
