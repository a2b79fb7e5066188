"""Encoding long texts apart: in a process that is replaced after some text, with what it holds."""

import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import numpy as np

from growlm.base.errors import CorpusError
from growlm.base.processes import without_script
from growlm.corpus.arrays import NDArray
from growlm.corpus.tokenizer import whole

REPLACED_AFTER = 1 << 26
"""Characters that a process encodes before another takes its place."""

TRIES = 2


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    characters: int = 0


class Apart:
    """Encodes one text at a time in a process of its own, which begins with the first.

    The reference takes some 200 bytes for each character of a text, and keeps part of them.
    """

    def __init__(self, json: str) -> None:
        self._json = json
        self._worker: _Worker | None = None

    def encode(self, text: str, *, name: str) -> NDArray[np.int32]:
        """Return the ids of a text.

        Args:
            text: Of any length.
            name: How messages call it.

        Raises:
            CorpusError: The process was killed, and so was the next one.
        """
        for _ in range(TRIES):
            worker = self._ready()
            worker.characters += len(text)
            try:
                worker.pipe.send(text)
                return np.frombuffer(worker.pipe.recv_bytes(), dtype=np.int32)
            except (EOFError, OSError):
                self.close()
        raise CorpusError(
            f"a process that lives through encoding {name}, {len(text):,} characters",
            got=f"one that was killed {TRIES} times",
            fix="more memory, or cutting the text: the source's split",
        )

    def close(self) -> None:
        """End the process, if there is one."""
        if self._worker is not None:
            self._worker.pipe.close()
            self._worker.process.kill()
            self._worker.process.join()
            self._worker = None

    def _ready(self) -> _Worker:
        if self._worker is not None and self._worker.characters >= REPLACED_AFTER:
            self.close()
        if self._worker is None:
            self._worker = _begun(self._json)
        return self._worker


def _begun(json: str) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, json), daemon=True)
    with without_script():
        process.start()
    theirs.close()  # so that the process's end is the pipe's end
    return _Worker(process=process, pipe=ours)


def _serve(pipe: Connection, json: str) -> None:
    """Answer each text with its ids until the other side is gone; Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    backend = whole(json)
    while True:
        try:
            text = pipe.recv()
        except EOFError:
            return
        (encoding,) = backend.encode_batch_fast([text], add_special_tokens=False)
        pipe.send_bytes(np.array(encoding.ids, dtype=np.int32).tobytes())
