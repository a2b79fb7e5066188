"""The sampler's way back: from a slot of an epoch to the draw and the samples that serve it."""

import numpy as np
from jaxtyping import Int64

from growlm.corpus.arrays import NDArray
from growlm.corpus.mixture import Sampler
from growlm.corpus.weights import draw_of

NEVER = -1
"""The draw of a slot that no weighting ever gives."""


def draws_of(
    sampler: Sampler,
    source_N: Int64[NDArray[np.int64], "N"],
    epoch_N: Int64[NDArray[np.int64], "N"],
    slot_N: Int64[NDArray[np.int64], "N"],
) -> Int64[NDArray[np.int64], "N"]:
    """Return the draw of each slot of an epoch of a source: the inverse of ``Sampler.draws``.

    It is ``NEVER`` where there is no such slot, and where the last weighting leaves the source out
    before it comes to the slot.

    Args:
        sampler: The last of its weightings holds for ever.
        source_N: Index of the source.
        epoch_N: Counted from 0.
        slot_N: Counted from 0 in the order of the source's stream.
    """
    slots_N = np.array(sampler.slots_per_epoch)[source_N]
    draw_N = np.full_like(slot_N, NEVER)
    real = np.flatnonzero((epoch_N >= 0) & (slot_N >= 0) & (slot_N < slots_N))
    order = sampler.slot_order(source_N[real], epoch_N[real])
    rank_R = epoch_N[real] * slots_N[real] + order.decode(slot_N[real])
    dealt_R = _dealt_at(sampler, source_N[real], rank_R)
    given = np.flatnonzero(dealt_R != NEVER)
    block_G, place_G = np.divmod(dealt_R[given], sampler.block)
    shuffled_G = sampler.block_order(block_G).decode(place_G)
    draw_N[real[given]] = block_G * sampler.block + shuffled_G
    return draw_N


def contexts_at(
    sampler: Sampler, draw_N: Int64[NDArray[np.int64], "N"]
) -> Int64[NDArray[np.int64], "N"]:
    """Return the context in which each draw is served: its slot has slot / context parts."""
    return np.array([phase.context for phase in sampler.phases])[_phases_at(sampler, draw_N)]


def samples_of(
    sampler: Sampler,
    draw_N: Int64[NDArray[np.int64], "N"],
    part_N: Int64[NDArray[np.int64], "N"],
) -> Int64[NDArray[np.int64], "N"]:
    """Return the sample that serves each part, counted from 0, of the slot of each draw."""
    phase_N = _phases_at(sampler, draw_N)
    start_N = np.array([phase.start_draw for phase in sampler.phases])[phase_N]
    firsts = [sampler.first_sample(phase.start_draw) for phase in sampler.phases]
    parts_N = sampler.slot // contexts_at(sampler, draw_N)
    block_N, place_N = np.divmod(draw_N - start_N, sampler.block)
    passes_N = block_N * parts_N + part_N
    return np.array(firsts)[phase_N] + passes_N * sampler.block + place_N


def _dealt_at(
    sampler: Sampler, source_N: NDArray[np.int64], rank_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the place, in the order as dealt, of each source's draw number ``rank``."""
    starts = [weighting.start_draw for weighting in sampler.weightings]
    before = np.array([sampler.draws_before(start) for start in starts])
    dealt_N = np.full_like(rank_N, NEVER)
    for source in np.unique(source_N).tolist():
        of_source = np.flatnonzero(source_N == source)
        rank_H = rank_N[of_source]
        index_H = np.searchsorted(before[:, source], rank_H, side="right") - 1
        for index, weighting in enumerate(sampler.weightings):
            here = index_H == index
            if weighting.units[source]:
                nth = rank_H[here] - before[index, source]
                draw = draw_of(nth, weighting.units, source=source)
                dealt_N[of_source[here]] = starts[index] + draw
    return dealt_N


def _phases_at(sampler: Sampler, draw_N: NDArray[np.int64]) -> NDArray[np.intp]:
    starts = [phase.start_draw for phase in sampler.phases]
    return np.searchsorted(starts, draw_N, side="right") - 1
