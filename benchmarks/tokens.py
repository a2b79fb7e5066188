"""Tokens: megabytes of text in a CPU-second by the fast path and by its reference, ids compared.

``python benchmarks/tokens.py --tokenizer tokenizer.json TEXT ...`` takes text files (``.txt``,
``.jsonl``, packed or not; folders and globs too) and prints a row for each argument, and one for
all; ``--out`` keeps them. The two take turns of 4 MiB on one core, the reference in batches like
those of ``prepare``. The last column is what ``prepare`` needs in all for the same documents: it
looks at the tokenizer, and encodes the first 4 MiB and one document in 1,000 both ways. Reading and
cleaning are in no time.
"""

import argparse
import math
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ratios import Ratio, keep
from setting import setting

from growlm.corpus.documents import Document, documents
from growlm.corpus.encoding import encoder
from growlm.corpus.fast import FastEncoder, fast_encoder
from growlm.corpus.prepare import BATCH_CHARACTERS
from growlm.corpus.tokenizer import Tokenizer, load
from growlm.corpus.writing import Ids
from growlm.recipe.sections import Source


@dataclass(slots=True, kw_only=True)
class Measured:
    """What some documents came to."""

    name: str
    documents: int = 0
    megabytes: float = 0.0
    fast_seconds: float = 0.0
    reference_seconds: float = 0.0
    prepare_seconds: float = 0.0
    unequal: int = 0
    """Documents with other ids."""
    turns: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Megabytes in a CPU-second by the fast path and by its reference, turn by turn."""

    def __iadd__(self, other: "Measured") -> "Measured":
        """Add what others came to."""
        self.documents += other.documents
        self.megabytes += other.megabytes
        self.fast_seconds += other.fast_seconds
        self.reference_seconds += other.reference_seconds
        self.prepare_seconds += other.prepare_seconds
        self.unequal += other.unequal
        self.turns += other.turns
        return self

    def row(self) -> str:
        """Return it as a row of the table."""
        fast, reference = (
            self.megabytes / self.fast_seconds,
            self.megabytes / self.reference_seconds,
        )
        cells = (
            self.name,
            f"{self.documents:,}",
            f"{self.megabytes:.1f}",
            f"{fast:.1f}",
            f"{reference:.2f}",
            f"{fast / reference:.1f}",
            f"{self.unequal:,} of {self.documents:,}",
            f"{self.megabytes / self.prepare_seconds:.1f}",
        )
        return f"| {' | '.join(cells)} |"


TURN_CHARACTERS = 1 << 22


def batches(found: Sequence[Document], *, characters: int) -> Iterator[list[Document]]:
    """Yield documents in batches of some characters, as prepare does."""
    batch: list[Document] = []
    size = 0
    for document in found:
        batch.append(document)
        size += len(document.text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def by_reference(found: Sequence[Document], tokenizer: Tokenizer) -> list[Ids]:
    """Return the reference's ids."""
    return [
        ids
        for batch in batches(found, characters=BATCH_CHARACTERS)
        for ids in tokenizer.encode([document.text for document in batch])
    ]


def timed(work: Callable[[], list[Ids]]) -> tuple[list[Ids], float]:
    """Return what a function gives, and its CPU-seconds."""
    begun = time.process_time()
    found = work()
    return found, time.process_time() - begun


def cpu_seconds() -> float:
    """Return the CPU-seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measured(
    name: str, found: Sequence[Document], tokenizer: Tokenizer, fast: FastEncoder
) -> Measured:
    """Return what both come to on some documents."""
    size = sum(len(document.text.encode()) for document in found) / 1e6
    result = Measured(name=name, documents=len(found), megabytes=size)
    for turn in batches(found, characters=TURN_CHARACTERS):
        ids, seconds = timed(lambda turn=turn: [fast(document.text) for document in turn])
        result.fast_seconds += seconds
        expected, reference = timed(lambda turn=turn: by_reference(turn, tokenizer))
        result.reference_seconds += reference
        turn_size = sum(len(document.text.encode()) for document in turn) / 1e6
        result.turns.append((turn_size / seconds, turn_size / reference))
        pairs = zip(ids, expected, strict=True)
        result.unequal += sum(not np.array_equal(one, other) for one, other in pairs)
    begun = cpu_seconds()
    with encoder(tokenizer) as encode:
        for batch in batches(found, characters=BATCH_CHARACTERS):
            encode.encode(batch)
    result.prepare_seconds = cpu_seconds() - begun
    return result


def within(found: Iterable[Document], megabytes: float) -> Iterator[Document]:
    """Yield documents until they have so many megabytes."""
    size = 0
    for document in found:
        yield document
        size += len(document.text.encode())
        if size >= megabytes * 1e6:
            return


def results(options: argparse.Namespace) -> Iterator[Measured]:
    """Yield what each argument came to, and all of them together."""
    tokenizer = load(options.tokenizer, end_of_text=options.end_of_text)
    fast = fast_encoder(tokenizer)
    if isinstance(fast, str):
        sys.exit(f"no fast path: {fast}")
    total = Measured(name="all")
    for pattern in options.texts:
        source = Source(name="texts", files=(pattern,), weight=1.0)
        found = list(within(documents(source, folder=Path.cwd()), options.megabytes))
        result = measured(Path(pattern).name, found, tokenizer, fast)
        total += result
        yield result
    yield total


def ratio(total: Measured) -> Ratio:
    """Return the fast path beside its reference, in turns of ``TURN_CHARACTERS``."""
    return Ratio(
        what=f"tokenizing {total.megabytes:.0f} MB",
        peer=f"tokenizers {version('tokenizers')}, encode_batch_fast",
        unit="MB per CPU-second",
        better="more",
        ours=tuple(fast for fast, _ in total.turns),
        theirs=tuple(reference for _, reference in total.turns),
        remark=f"other ids in {total.unequal} of {total.documents:,} documents",
    )


def main() -> None:
    """Print the table, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+", help="files, folders or globs")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json")
    parser.add_argument(
        "--megabytes", type=float, default=math.inf, help="of each argument, the first ones"
    )
    parser.add_argument("--end-of-text", default="<|endoftext|>")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    found = list(results(options))
    table = [
        "| text | documents | MB | MB per CPU-second | encode_batch_fast | ratio | other ids "
        "| as prepare does it |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(each.row() for each in found),
    ]
    libraries = [f"{name} {version(name)}" for name in ("tiktoken", "tokenizers")]
    details = ["one core", f"Python {platform.python_version()}", *libraries]
    shown = "\n".join(
        ["# Tokens", "", f"{options.tokenizer.name}; {setting(*details)}.", "", *table]
    )
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")
        keep(options.out, [ratio(found[-1])], details=details)


if __name__ == "__main__":
    main()
