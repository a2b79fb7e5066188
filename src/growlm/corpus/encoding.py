"""Documents to ids: by the fast path where it proves itself on a source, else by the reference."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import numpy as np

from growlm.base.errors import CorpusError, GrowlmError
from growlm.corpus.apart import Apart
from growlm.corpus.documents import Document
from growlm.corpus.fast import fast_encoder
from growlm.corpus.tokenizer import Tokenizer
from growlm.corpus.writing import Ids

PROOF_DOCUMENTS = 2_000
PROOF_CHARACTERS = 1 << 22
"""The first documents of a source that the reference encodes too, whichever comes first."""

COMPARED_ONE_IN = 1_000
"""How many of the others, by the hash that is their name."""

LONG_CHARACTERS = 1 << 18
"""Texts above it are encoded apart by the reference, for its memory."""


class FastPathError(CorpusError):
    """The fast path gave other ids than the reference after it had proved itself."""


class Encoder:
    """Encodes the documents of one source, in their order."""

    def __init__(
        self, tokenizer: Tokenizer, fast: Callable[[str], Ids] | str, apart: Apart
    ) -> None:
        self.fast_documents = 0
        """Documents with ids from the fast path."""
        self.compared_documents = 0
        """Documents that both encoded, with the same ids."""
        self.fast_faults = 0
        """Documents at which the fast path failed, or gave other ids: the first one, if any."""
        self.reason = fast if isinstance(fast, str) else None
        """Why the fast path is not used, or no longer."""
        self._tokenizer = tokenizer
        self._fast = None if isinstance(fast, str) else fast
        self._apart = apart
        self._compared_characters = 0

    def encode(self, documents: Sequence[Document]) -> list[Ids]:
        """Return the ids of some documents, with no token added.

        While the fast path is not proved yet, and from the first document on that it fails at,
        they are the reference's.

        Raises:
            FastPathError: It was proved, and then gave other ids: what it gave before is in doubt.
            CorpusError: A long text cannot be encoded.
        """
        if self._fast is not None and self._is_proved():
            found = self._found(documents)
            if found is not None:
                return found
        ids = self._reference(documents)
        if self._fast is not None:
            self._prove(documents, ids)
        return ids

    def distrust(self, error: FastPathError) -> None:
        """Leave all that comes to the reference, the documents that were encoded as well."""
        self._give_up(error.got)
        self.fast_documents = 0

    def _is_proved(self) -> bool:
        return (
            self.compared_documents >= PROOF_DOCUMENTS
            or self._compared_characters >= PROOF_CHARACTERS
        )

    def _prove(self, documents: Sequence[Document], expected: Sequence[Ids]) -> None:
        """Compare the fast path with the reference until they differ."""
        for document, ids in zip(documents, expected, strict=True):
            found = self._tried(document)
            if found is None:
                return
            difference = _difference(document, found, ids)
            if difference is not None:
                self._give_up(difference)
                return
            self.compared_documents += 1
            self._compared_characters += len(document.text)

    def _found(self, documents: Sequence[Document]) -> list[Ids] | None:
        """Return the ids by the fast path, some of them compared; None where it failed."""
        found: list[Ids] = []
        for document in documents:
            ids = self._tried(document)
            if ids is None:
                return None
            if int(document.uid, 16) % COMPARED_ONE_IN == 0:
                self._confirm(document, ids)
            found.append(ids)
        self.fast_documents += len(found)
        return found

    def _confirm(self, document: Document, ids: Ids) -> None:
        (expected,) = self._reference([document])
        difference = _difference(document, ids, expected)
        if difference is not None:
            raise FastPathError(
                "the ids of the tokenizer", got=difference, fix="the reference for all documents"
            )
        self.compared_documents += 1

    def _tried(self, document: Document) -> Ids | None:
        """Return the ids by the fast path; None where it failed, and then it is given up."""
        try:
            return self._fast(document.text) if self._fast is not None else None
        except (GrowlmError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception
            self._give_up(f"tiktoken failed on {document.name}: '{error}'"[:200])
            return None

    def _give_up(self, reason: str) -> None:
        self._fast, self.reason = None, reason
        self.fast_faults += 1

    def _reference(self, documents: Sequence[Document]) -> list[Ids]:
        texts = [document.text for document in documents]
        short = iter(self._tokenizer.encode([t for t in texts if len(t) <= LONG_CHARACTERS]))
        return [
            next(short)
            if len(document.text) <= LONG_CHARACTERS
            else self._apart.encode(document.text, name=document.name)
            for document in documents
        ]


@contextmanager
def encoder(tokenizer: Tokenizer) -> Generator[Encoder, None, None]:
    """Yield an encoder for one source; the process that it may need ends with the block."""
    apart = Apart(tokenizer.to_json())
    try:
        yield Encoder(tokenizer, fast_encoder(tokenizer), apart)
    finally:
        apart.close()


def _difference(document: Document, found: Ids, expected: Ids) -> str | None:
    """Return the words for ids that are not the expected ones."""
    one, other = (np.asarray(ids, dtype=np.int64) for ids in (found, expected))
    if np.array_equal(one, other):
        return None
    common = min(one.size, other.size)
    (unequal,) = np.nonzero(one[:common] != other[:common])
    place = int(unequal[0]) if unequal.size else common
    return f"tiktoken gave other ids for {document.name}, from token {place:,} on"
