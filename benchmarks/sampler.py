"""The sampler beside a shuffled permutation in memory: draws, batches, and the way back.

``python benchmarks/sampler.py`` writes shards of drawn ids, reads them once so that they are warm,
and prints a table; ``--out`` keeps it. Both sides take their samples from the same shards by the
same reader, and differ in how they know which come next. Rounds take turns; seconds are CPU-seconds
of one core, to which the process is bound where the system lets it.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from setting import setting

from growlm.corpus.arrays import NDArray
from growlm.corpus.exposure import Span, exposures
from growlm.corpus.inverse import draws_of
from growlm.corpus.manifest import TokenizerFacts
from growlm.corpus.mixture import Batcher, Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting
from growlm.corpus.shards import TokenStream, write
from growlm.corpus.stretches import Stretch

CONTEXT = 1024
BATCH = 512
BATCHES = 40
"""In a round."""
WEIGHTS = (0.55, 0.1, 0.2, 0.1, 0.05)
SLOTS = (1_500_000, 400_000, 9_000_000, 8_000_000, 500_000)
"""Of a mixture that is only counted: 19.4 million slots."""
DRAWS = 40_000_000
"""Of that mixture, in which slots and spans are looked for."""
QUERIES = 50
"""In a round."""
SPANS = 10_000
SPAN_TOKENS = 80

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffled:
    """The alternative: every slot of one epoch, in an order that was drawn and kept."""

    source: NDArray[np.uint8]
    start: Array

    def batch(self, streams: Sequence[TokenStream], cursor: int) -> Array:
        """Return the ids of a batch."""
        source_B = self.source[cursor : cursor + BATCH]
        start_B = self.start[cursor : cursor + BATCH]
        ids_BT = np.empty((BATCH, CONTEXT + 1), dtype=np.int64)
        for index in np.unique(source_B).tolist():
            here = np.flatnonzero(source_B == index)
            streams[index].fill(ids_BT, here, start_B[here])
        return ids_BT


def shuffled(slots: Sequence[int]) -> Shuffled:
    """Return every slot of every source in one random order."""
    source = np.repeat(np.arange(len(slots), dtype=np.uint8), slots)
    start = np.concatenate([np.arange(number) * CONTEXT for number in slots])
    order = np.random.default_rng(0).permutation(start.size)
    return Shuffled(source=source[order], start=start[order])


def sampler(slots: Sequence[int]) -> Sampler:
    """Return a mixture of sources of so many slots."""
    return Sampler(
        seed=0,
        sources=tuple(
            Layout(name=f"source{number}", tokens=(count + 1) * CONTEXT)
            for number, count in enumerate(slots)
        ),
        slot=CONTEXT,
        block=4096,
        jitter=True,
        weightings=(Weighting(start_draw=0, weights=WEIGHTS),),
        phases=(Phase(start_draw=0, context=CONTEXT),),
    )


def streams(folder: Path, slots: Sequence[int]) -> tuple[TokenStream, ...]:
    """Write and map the shards of sources of so many slots, and read all of them once."""
    facts = TokenizerFacts(sha256="0" * 64, vocab=50_304, eos=0, impl="hf", version="0")
    found: list[TokenStream] = []
    for number, count in enumerate(slots):
        stream = np.random.default_rng([1, number])
        # A document ends in the end of text, id 0.
        documents = (
            np.append(stream.integers(1, 50_304, CONTEXT - 1), 0) for _ in range(count + 1)
        )
        place = folder / str(number)
        write(place, documents, source=place.name, tokenizer=facts, shard_tokens=1 << 28)
        found.append(TokenStream(place))
        for first in range(0, count, BATCH):
            found[-1].gather(np.arange(first, min(first + BATCH, count)) * CONTEXT, CONTEXT)
    return tuple(found)


def each_of(results: Iterable[object]) -> None:
    """Work out results one after another, and keep none."""
    for _ in results:
        pass


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU-seconds of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A thing that both sides do, and how its seconds are shown."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object] | None
    shown: Callable[[float], str]


def per_second(amount: float, unit: str) -> Callable[[float], str]:
    """Return how to show a speed."""
    return lambda taken: f"{amount / taken:,.0f} {unit}/s"


def per_query(number: int, unit: str, factor: float) -> Callable[[float], str]:
    """Return how to show the time of one query."""
    return lambda taken: f"{taken / number * factor:,.3g} {unit}"


def batches(tokens: int, folder: Path) -> Iterator[Row]:
    """Yield what trainers ask for, of shards with so many tokens."""
    slots = [int(tokens * weight / CONTEXT) for weight in WEIGHTS]
    mixture, found = sampler(slots), streams(folder, slots)
    batcher, kept = Batcher(sampler=mixture, streams=found), shuffled(slots)
    # Rounds go on where the last one ended: what a round worked out is of no use to the next.
    ends = [itertools.cycle(range(0, sum(slots) - BATCH, BATCH)) for _ in range(2)]
    ours, theirs = [lambda end=end: itertools.islice(end, BATCHES) for end in ends]
    yield Row(
        name=f"sampler and gather, samples of {CONTEXT:,} tokens, {BATCH} at a time",
        ours=lambda: each_of(batcher.batch(cursor, BATCH) for cursor in ours()),
        theirs=lambda: each_of(kept.batch(found, cursor) for cursor in theirs()),
        shown=per_second(BATCH * BATCHES * CONTEXT / 1e6, "M tokens"),
    )


def orders() -> Iterator[Row]:
    """Yield what only the order of a large mixture is needed for."""
    mixture, kept = sampler(SLOTS), shuffled(SLOTS)
    first = DRAWS // BATCH * BATCH
    drawn = [np.arange(first + n * BATCH, first + (n + 1) * BATCH) for n in range(BATCHES)]
    slices = [slice(n * BATCH, (n + 1) * BATCH) for n in range(BATCHES)]
    yield Row(
        name=f"draws of 19.4 million slots, {BATCH} at a time",
        ours=lambda: each_of(mixture.draws(draw_N) for draw_N in drawn),
        theirs=lambda: each_of((kept.source[here], kept.start[here].copy()) for here in slices),
        shown=per_second(BATCH * BATCHES / 1e3, "k"),
    )
    yield Row(
        name="ready at any cursor: the first batch of a new process",
        ours=lambda: sampler(SLOTS).draws(drawn[0]),
        theirs=lambda: shuffled(SLOTS),
        shown=per_query(1, "ms", 1e3),
    )
    yield from lookups(mixture, kept)


def lookups(mixture: Sampler, kept: Shuffled) -> Iterator[Row]:
    """Yield the way back: from a slot, or from tokens, to when they are served."""
    stream = np.random.default_rng(2)
    sources: list[int] = stream.integers(len(SLOTS), size=SPANS).tolist()
    slots = [int(stream.integers(1, SLOTS[source])) for source in sources]
    spans = [
        Span(source=source, first=slot * CONTEXT, end=slot * CONTEXT + SPAN_TOKENS)
        for source, slot in zip(sources, slots, strict=True)
    ]
    few = list(zip(sources, slots, strict=True))[:QUERIES]
    drawn = mixture.draws_before(DRAWS // mixture.block * mixture.block)
    epochs = [np.arange(-(-number // each)) for number, each in zip(drawn, SLOTS, strict=True)]

    def ours(source: int, slot: int) -> Array:
        epoch_E = epochs[source]
        return draws_of(mixture, epoch_E * 0 + source, epoch_E, epoch_E * 0 + slot)

    def theirs(source: int, slot: int) -> NDArray[np.intp]:
        return np.flatnonzero((kept.source == source) & (kept.start == slot * CONTEXT))

    whole = [Stretch(first_sample=0, end_sample=DRAWS, first_step=1, samples_per_step=BATCH)]
    yield Row(
        name=f"when is a slot served? every epoch of {DRAWS:,} draws, against a search of one",
        ours=lambda: each_of(ours(*each) for each in few),
        theirs=lambda: each_of(theirs(*each) for each in few),
        shown=per_query(QUERIES, "ms", 1e3),
    )
    yield Row(
        name=f"when are {SPAN_TOKENS} tokens trained on? one span",
        ours=lambda: each_of(exposures(mixture, [span], whole) for span in spans[:QUERIES]),
        theirs=None,
        shown=per_query(QUERIES, "ms", 1e3),
    )
    yield Row(
        name=f"the same, of {SPANS:,} spans together, for each",
        ours=lambda: exposures(mixture, spans, whole),
        theirs=None,
        shown=per_query(SPANS, "ms", 1e3),
    )


def line(row: Row, repeats: int) -> str:
    """Return a row's medians, both sides taking turns, and the spread of ours."""
    ours: list[float] = []
    theirs: list[float] = []
    row.ours()
    for _ in range(repeats):
        ours.append(seconds(row.ours))
        if row.theirs is not None:
            theirs.append(seconds(row.theirs))
    spread = f"{row.shown(max(ours))} to {row.shown(min(ours))}"
    other = row.shown(statistics.median(theirs)) if theirs else ""
    return f"| {row.name} | {row.shown(statistics.median(ours))} | {spread} | {other} |"


def one_core() -> None:
    """Bind the process to one of its cores, where that can be done."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """Print the table, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100_000_000, help="in the shards")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    one_core()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*batches(options.tokens, Path(folder)), *orders()]
        lines = [line(row, options.repeats) for row in rows]
    details = [f"{os.cpu_count()} cores of which one is used", f"numpy {np.__version__}"]
    shown = "\n".join(
        [
            "# The sampler beside a shuffled permutation in memory",
            "",
            f"`python benchmarks/sampler.py --tokens {options.tokens} --repeats "
            f"{options.repeats}`: medians, in CPU-seconds of one core. The permutation of 19.4 "
            f"million slots takes {9 * sum(SLOTS) / 1e6:.0f} MB; the sampler remembers draws of "
            "under 1 MB.",
            "",
            setting(*details) + ".",
            "",
            "| what | growlm | (spread) | a shuffled permutation |",
            "| --- | ---: | ---: | ---: |",
            *lines,
        ]
    )
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
