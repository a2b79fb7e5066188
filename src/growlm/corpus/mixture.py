"""The mixture: a pure function from a sample's number to the tokens of its source."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from growlm.base.errors import CorpusError
from growlm.corpus.arrays import NDArray
from growlm.corpus.permutation import Permutation, key64, permutations
from growlm.corpus.schedules import (
    RESERVED,
    Layout,
    Phase,
    Weighting,
    check_block,
    check_context,
    check_sources,
    check_starts,
    check_weighting,
)
from growlm.corpus.shards import TokenStream
from growlm.corpus.weights import counts, running_counts

AT_ONCE = 4_096
"""Draws that are worked out together, at most; small batches then share the trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Which tokens some samples hold."""

    source: Int64[NDArray[np.int64], "N"]
    """Index of the source."""

    epoch: Int64[NDArray[np.int64], "N"]
    slot: Int64[NDArray[np.int64], "N"]

    offset: Int64[NDArray[np.int64], "N"]
    """First token within the slot."""

    length: Int64[NDArray[np.int64], "N"]
    """Tokens, the last target not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """What every sample of a run holds, with no state but the sample's number.

    Draws are numbered from 0, and each is a slot of a source. The weights are dealt out in order
    and shuffled within a block of draws; every epoch of a source is its own permutation of its
    slots. While the context is a part of the slot, a block is served in several passes, one part
    of every slot in each, so that a slot's parts are a block of samples apart.
    """

    seed: int

    sources: tuple[Layout, ...]
    """In an order that only ever grows at the end."""

    slot: int
    """Tokens in a slot: the longest context of the run."""

    block: int
    """Draws in a block, a power of two."""

    jitter: bool
    """Whether each epoch of a source is cut at another offset."""

    weightings: tuple[Weighting, ...]
    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        """Check that the schedules fit the blocks, the slot and the sources.

        Raises:
            CorpusError: They do not.
        """
        check_sources(self.sources)
        check_block(self.block)
        check_starts([weighting.start_draw for weighting in self.weightings], block=self.block)
        check_starts([phase.start_draw for phase in self.phases], block=self.block)
        for phase in self.phases:
            check_context(phase.context, slot=self.slot)
        for weighting in self.weightings:
            check_weighting(weighting, self.sources, slot=self.slot)

    @property
    def slots_per_epoch(self) -> tuple[int, ...]:
        """Slots that an epoch of each source has."""
        return tuple(source.slots(self.slot) for source in self.sources)

    def samples(self, first: int, count: int) -> Samples:
        """Return samples ``first`` to ``first + count``; any call gives a sample the same."""
        number_N = np.arange(first, first + count)
        firsts = [self.first_sample(phase.start_draw) for phase in self.phases]
        phase_N = np.searchsorted(firsts, number_N, side="right") - 1
        context_N = np.array([phase.context for phase in self.phases])[phase_N]
        start_N = np.array([phase.start_draw for phase in self.phases])[phase_N]
        parts_N = self.slot // context_N
        block_N, rest_N = np.divmod(number_N - np.array(firsts)[phase_N], self.block * parts_N)
        part_N, place_N = np.divmod(rest_N, self.block)
        source_N, epoch_N, slot_N = self._remembered(start_N + block_N * self.block + place_N)
        return Samples(
            source=source_N,
            epoch=epoch_N,
            slot=slot_N,
            offset=part_N * context_N,
            length=context_N,
        )

    def starts(self, samples: Samples) -> Int64[NDArray[np.int64], "N"]:
        """Return the position of each sample's first token in its source's stream."""
        origin_N = self.origins(samples.source, samples.epoch)
        return origin_N + samples.slot * self.slot + samples.offset

    def origins(
        self, source_N: Int64[NDArray[np.int64], "N"], epoch_N: Int64[NDArray[np.int64], "N"]
    ) -> Int64[NDArray[np.int64], "N"]:
        """Return the token that the first slot of each epoch starts at."""
        origin_N = np.zeros_like(source_N)
        for source, epoch, here in _groups(source_N, epoch_N):
            origin_N[here] = self.origin(source, epoch)
        return origin_N

    def origin(self, source: int, epoch: int) -> int:
        """Return the token that an epoch's first slot starts at."""
        if not self.jitter:
            return 0
        return key64(f"({self._epoch_key(source, epoch)}, 'org')") % self.slot

    def draws(
        self, draw_N: Int64[NDArray[np.int64], "N"]
    ) -> tuple[
        Int64[NDArray[np.int64], "N"], Int64[NDArray[np.int64], "N"], Int64[NDArray[np.int64], "N"]
    ]:
        """Return (source, epoch, slot) of each draw."""
        source_N, rank_N = self._dealt(self._shuffled(draw_N))
        epoch_N, place_N = np.divmod(rank_N, np.array(self.slots_per_epoch)[source_N])
        return source_N, epoch_N, self.slot_order(source_N, epoch_N).encode(place_N)

    def slot_order(
        self, source_N: Int64[NDArray[np.int64], "N"], epoch_N: Int64[NDArray[np.int64], "N"]
    ) -> Permutation:
        """Return the order of slots in each epoch: from a place in the epoch to the slot."""
        sources = len(self.sources)
        code_K, which_N = np.unique(epoch_N * sources + source_N, return_inverse=True)
        pairs: list[tuple[int, int]] = [divmod(code, sources) for code in code_K.tolist()]
        slots = self.slots_per_epoch
        return permutations(
            [slots[source] for _, source in pairs],
            keys=[self._epoch_key(source, epoch) for epoch, source in pairs],
            which_N=which_N,
        )

    def block_order(self, block_N: Int64[NDArray[np.int64], "N"]) -> Permutation:
        """Return the order of draws in each block: from a draw to its place as dealt."""
        block_K, which_N = np.unique(block_N, return_inverse=True)
        return permutations(
            [self.block] * block_K.size,
            keys=[self._key(RESERVED, block) for block in block_K.tolist()],
            which_N=which_N,
        )

    def draws_before(self, boundary: int) -> tuple[int, ...]:
        """Return how many draws each source has before a boundary between blocks."""
        drawn = _stretches([weighting.start_draw for weighting in self.weightings], boundary)
        totals = np.zeros(len(self.sources), dtype=np.int64)
        for weighting, draws in zip(self.weightings, drawn, strict=True):
            totals += counts(draws, weighting.units)
        return tuple(totals.tolist())

    def first_sample(self, boundary: int) -> int:
        """Return the first sample at a boundary between blocks, such as a phase's start."""
        drawn = _stretches([phase.start_draw for phase in self.phases], boundary)
        parts = [self.slot // phase.context for phase in self.phases]
        return sum(draws * part for draws, part in zip(drawn, parts, strict=True))

    def next_boundary(self, cursor: int) -> int:
        """Return the first boundary between blocks that no sample before ``cursor`` has passed.

        Weights and context may change there without touching what was served.
        """
        if cursor == 0:
            return 0
        phase, samples = self._within(cursor - 1)
        blocks = samples // (self.block * (self.slot // phase.context))
        return phase.start_draw + (blocks + 1) * self.block

    def tokens_served(self, cursor: int) -> tuple[int, ...]:
        """Return the tokens of each source among the samples before ``cursor``, exactly."""
        phase, samples = self._within(cursor)
        blocks, rest = divmod(samples, self.block * (self.slot // phase.context))
        passes, part = divmod(rest, self.block)
        boundary = phase.start_draw + blocks * self.block
        before = np.array(self.draws_before(boundary))
        in_block = np.array(self.draws_before(boundary + self.block)) - before
        source_N, _ = self._dealt(self._shuffled(np.arange(boundary, boundary + part)))
        in_part = np.bincount(source_N, minlength=len(self.sources))
        tokens = before * self.slot + (in_block * passes + in_part) * phase.context
        return tuple(tokens.tolist())

    def epochs(self, cursor: int) -> tuple[float, ...]:
        """Return how often the samples before ``cursor`` went through each source."""
        served = self.tokens_served(cursor)
        return tuple(
            tokens / (slots * self.slot) if tokens else 0.0
            for tokens, slots in zip(served, self.slots_per_epoch, strict=True)
        )

    def _key(self, name: str, number: int) -> str:
        return f"({self.seed}, '{name}', {number})"

    def _epoch_key(self, source: int, epoch: int) -> str:
        return self._key(self.sources[source].name, epoch)

    def _within(self, cursor: int) -> tuple[Phase, int]:
        """Return the phase of a sample, and how many samples came before it in the phase."""
        firsts = [self.first_sample(phase.start_draw) for phase in self.phases]
        index = max(i for i, first in enumerate(firsts) if first <= cursor)
        return self.phases[index], cursor - firsts[index]

    def _remembered(self, draw_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return (source, epoch, slot) of each draw; of a few, with those around them."""
        at_once = min(self.block, AT_ONCE)
        if draw_N.size > at_once:
            return self.draws(draw_N)
        group_N, place_N = np.divmod(draw_N, at_once)
        found_3N = np.empty((3, draw_N.size), dtype=np.int64)
        for group in np.unique(group_N).tolist():
            here = np.flatnonzero(group_N == group)
            found_3N[:, here] = _in_a_row(self, group * at_once, at_once)[:, place_N[here]]
        return tuple(found_3N)

    def _shuffled(self, draw_N: Int64[NDArray[np.int64], "N"]) -> Int64[NDArray[np.int64], "N"]:
        """Return each draw's place in the order in which the weights are dealt out."""
        block_N, place_N = np.divmod(draw_N, self.block)
        return block_N * self.block + self.block_order(block_N).encode(place_N)

    def _dealt(
        self, dealt_N: Int64[NDArray[np.int64], "N"]
    ) -> tuple[Int64[NDArray[np.int64], "N"], Int64[NDArray[np.int64], "N"]]:
        """Return the source at each place of that order, and its draws before."""
        source_N, rank_N = np.empty_like(dealt_N), np.empty_like(dealt_N)
        starts = [weighting.start_draw for weighting in self.weightings]
        weighting_N = np.searchsorted(starts, dealt_N, side="right") - 1
        for index, weighting in enumerate(self.weightings):
            here = np.flatnonzero(weighting_N == index)
            if not here.size:
                continue
            nth_H = dealt_N[here] - weighting.start_draw
            before_SH = running_counts(nth_H, weighting.units)
            after_SH = running_counts(nth_H + 1, weighting.units)
            source_H = (after_SH - before_SH).argmax(axis=0)
            base = np.array(self.draws_before(weighting.start_draw))
            source_N[here] = source_H
            rank_N[here] = base[source_H] + before_SH[source_H, np.arange(source_H.size)]
        return source_N, rank_N


@dataclass(frozen=True, slots=True, kw_only=True)
class Batcher:
    """Samples as arrays of ids."""

    sampler: Sampler

    streams: tuple[TokenStream, ...]
    """One for each source of the sampler."""

    def __post_init__(self) -> None:
        """Check that the streams are those the sampler was made for.

        Raises:
            CorpusError: One is longer or shorter.
        """
        for source, stream in zip(self.sampler.sources, self.streams, strict=True):
            if source.tokens != stream.tokens:
                raise CorpusError(
                    f"source '{source.name}' with {source.tokens:,} tokens",
                    got=f"{stream.tokens:,}",
                    fix="the shards that the run began with",
                )

    @property
    def reading(self) -> Path | None:
        """The file that is read just now, if any is."""
        return next((each.reading for each in self.streams if each.reading is not None), None)

    def batch(self, cursor: int, samples: int) -> Int64[NDArray[np.int64], "B T"]:
        """Return some samples from ``cursor`` on: the context and one more token, the last target.

        Raises:
            CorpusError: They straddle a change of context.
        """
        drawn = self._drawn(cursor, samples)
        starts_B, context = self.sampler.starts(drawn), int(drawn.length[0])
        ids_BT = np.empty((samples, context + 1), dtype=np.int64)
        for index in np.unique(drawn.source).tolist():
            here = np.flatnonzero(drawn.source == index)
            self.streams[index].fill(ids_BT, here, starts_B[here])
        return ids_BT

    def documents(self, cursor: int, samples: int) -> Int64[NDArray[np.int64], "B T"]:
        """Return the document of each token of the context, counted from 0 within its sample.

        Raises:
            StorageError: An index of the shards cannot be read.
            CorpusError: The samples straddle a change of context, or an index is damaged.
        """
        drawn = self._drawn(cursor, samples)
        starts_B, context = self.sampler.starts(drawn), int(drawn.length[0])
        documents_BT = np.empty((samples, context), dtype=np.int64)
        for index in np.unique(drawn.source).tolist():
            here = np.flatnonzero(drawn.source == index)
            documents_BT[here] = self.streams[index].documents(starts_B[here], context)
        return documents_BT

    def counted(self, cursor: int, samples: int) -> Bool[NDArray[np.bool_], "B T"] | None:
        """Return which targets of some samples carry loss: those that no mask of a shard holds.

        None where no source has a mask, and all do.

        Raises:
            CorpusError: They straddle a change of context.
        """
        if not any(stream.manifest.is_masked for stream in self.streams):
            return None
        drawn = self._drawn(cursor, samples)
        starts_B, context = self.sampler.starts(drawn), int(drawn.length[0])
        counted_BT = np.empty((samples, context), dtype=np.bool_)
        for index in np.unique(drawn.source).tolist():
            here = np.flatnonzero(drawn.source == index)
            # A sample's first target is its second token.
            counted_BT[here] = self.streams[index].targets(starts_B[here] + 1, context)
        return counted_BT

    def _drawn(self, cursor: int, samples: int) -> Samples:
        drawn = self.sampler.samples(cursor, samples)
        lengths = np.unique(drawn.length).tolist()
        if len(lengths) != 1:
            raise CorpusError(
                "a batch of one context",
                got=f"samples {cursor} to {cursor + samples}, of {lengths} tokens",
                fix="batches that end where the context changes",
            )
        return drawn


@lru_cache(maxsize=8)
def _in_a_row(sampler: Sampler, first: int, count: int) -> NDArray[np.int64]:
    """Return (source, epoch, slot) of draws in a row; kept, as batch after batch asks."""
    return np.stack(sampler.draws(np.arange(first, first + count)))


def _stretches(starts: list[int], until: int) -> list[int]:
    """Return how much of each stretch, from one start to the next, lies before a point.

    >>> _stretches([0, 10, 30], 15)
    [10, 5, 0]
    """
    ends = [*starts[1:], until]
    return [max(0, min(end, until) - start) for start, end in zip(starts, ends, strict=True)]


def _groups(
    source_N: Int64[NDArray[np.int64], "N"], epoch_N: Int64[NDArray[np.int64], "N"]
) -> list[tuple[int, int, NDArray[np.intp]]]:
    """Return (source, epoch, indices) of every pair that occurs."""
    order_N = np.lexsort((epoch_N, source_N))
    sorted_source_N, sorted_epoch_N = source_N[order_N], epoch_N[order_N]
    new_N = (np.diff(sorted_source_N) != 0) | (np.diff(sorted_epoch_N) != 0)
    edges = [0, *(np.flatnonzero(new_N) + 1).tolist(), len(order_N)]
    return [
        (int(sorted_source_N[start]), int(sorted_epoch_N[start]), order_N[start:end])
        for start, end in pairwise(edges)
        if end > start
    ]
