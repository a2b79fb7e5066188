"""Exposure: every sample that trained a model on a stretch of a source's tokens, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float64, Int64

from growlm.base.errors import CorpusError
from growlm.corpus.arrays import NDArray
from growlm.corpus.inverse import NEVER, contexts_at, draws_of, samples_of
from growlm.corpus.mixture import Sampler
from growlm.corpus.stretches import UNTRAINED, Stretch, check_stretches, steps_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Some tokens of a source's stream, back to back."""

    source: int
    """Index of the source."""

    first: int

    end: int
    """The token after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """Samples with tokens of a span among their targets; by span, then by sample.

    A token that a sample only reads, as the first of its context, is no target of it.
    """

    span: Int64[NDArray[np.int64], "N"]
    """Index of the span."""

    epoch: Int64[NDArray[np.int64], "N"]
    slot: Int64[NDArray[np.int64], "N"]
    sample: Int64[NDArray[np.int64], "N"]

    stretch: Int64[NDArray[np.int64], "N"]
    """Index of the stretch in which the sample was trained on."""

    step: Int64[NDArray[np.int64], "N"]

    first: Int64[NDArray[np.int64], "N"]
    """Position, in the source's stream, of the first of the span's tokens that are targets."""

    end: Int64[NDArray[np.int64], "N"]
    """Position after the last of them."""

    share: Float64[NDArray[np.float64], "N"]
    """Those tokens over all of the span."""

    def take(self, index_M: Int64[NDArray[np.int64], "M"]) -> "Exposures":
        """Return some of them, in the order of their indices."""
        return Exposures(**{each.name: getattr(self, each.name)[index_M] for each in fields(self)})


def exposures(sampler: Sampler, spans: Sequence[Span], stretches: Sequence[Stretch]) -> Exposures:
    """Return every sample of some stretches that has tokens of a span among its targets.

    Nothing is replayed. The slots that hold a span, one or a few in each epoch, are looked up by
    the sampler's way back, so the cost grows with epochs and not with samples; and samples to come
    are answered like those that were.

    Args:
        sampler: What the samples are numbered by.
        spans: Within its sources.
        stretches: The oldest first; whatever lies outside shaped no weights.

    Raises:
        CorpusError: A span leaves its source, or the stretches are out of order.
    """
    check_stretches(stretches)
    _check_spans(spans, sampler)
    _, first_S, end_S = _columns(spans)
    # Draws are shuffled within a block, so all of the block that the last sample is in have begun.
    boundary = sampler.next_boundary(stretches[-1].end_sample if stretches else 0)
    slots = _slots(sampler, spans, boundary=boundary)
    context_N = contexts_at(sampler, slots.draw)
    which_M, part_M = _pieces(
        (first_S[slots.span], end_S[slots.span]),
        start_N=slots.start,
        size_N=context_N,
        count_N=sampler.slot // context_N,
    )
    sample_M = samples_of(sampler, slots.draw[which_M], part_M)
    stretch_M, step_M = steps_of(sample_M, stretches)
    span_M, context_M = slots.span[which_M], context_N[which_M]
    start_M = slots.start[which_M] + part_M * context_M
    first_M = np.maximum(first_S[span_M], start_M)
    end_M = np.minimum(end_S[span_M], start_M + context_M)
    served = Exposures(
        span=span_M,
        epoch=slots.epoch[which_M],
        slot=slots.slot[which_M],
        sample=sample_M,
        stretch=stretch_M,
        step=step_M,
        first=first_M,
        end=end_M,
        share=(end_M - first_M) / (end_S[span_M] - first_S[span_M]),
    )
    order = np.lexsort((sample_M, span_M))
    return served.take(order[stretch_M[order] != UNTRAINED])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slots:
    """Slots with a token of a span among their targets."""

    span: NDArray[np.int64]
    epoch: NDArray[np.int64]
    slot: NDArray[np.int64]
    draw: NDArray[np.int64]

    start: NDArray[np.int64]
    """Position of the first target."""


def _slots(sampler: Sampler, spans: Sequence[Span], *, boundary: int) -> _Slots:
    """Return those among the draws before a boundary between blocks."""
    source_S, first_S, end_S = _columns(spans)
    slots_S = np.array(sampler.slots_per_epoch)[source_S]
    drawn_S = np.array(sampler.draws_before(boundary))[source_S]
    begun_S = -(-drawn_S // np.maximum(slots_S, 1))
    span_P, epoch_P = _unrolled(np.zeros_like(begun_S), begun_S)
    start_P = sampler.origins(source_S[span_P], epoch_P) + 1
    pair_N, slot_N = _pieces(
        (first_S[span_P], end_S[span_P]),
        start_N=start_P,
        size_N=np.full_like(start_P, sampler.slot),
        count_N=slots_S[span_P],
    )
    span_N, epoch_N = span_P[pair_N], epoch_P[pair_N]
    draw_N = draws_of(sampler, source_S[span_N], epoch_N, slot_N)
    begun = np.flatnonzero((draw_N != NEVER) & (draw_N < boundary))
    return _Slots(
        span=span_N[begun],
        epoch=epoch_N[begun],
        slot=slot_N[begun],
        draw=draw_N[begun],
        start=(start_P[pair_N] + slot_N * sampler.slot)[begun],
    )


def _pieces(
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    start_N: NDArray[np.int64],
    size_N: NDArray[np.int64],
    count_N: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (index, piece) of every piece that holds a token within some bounds.

    Args:
        bounds: The first token, and the one after the last.
        start_N: The first token of piece 0.
        size_N: Tokens in a piece.
        count_N: Pieces that there are.
    """
    first_N, end_N = bounds
    low_N = np.maximum((first_N - start_N) // size_N, 0)
    high_N = np.minimum((end_N - 1 - start_N) // size_N + 1, count_N)
    return _unrolled(low_N, high_N)


def _unrolled(
    low_N: NDArray[np.int64], high_N: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (index, number) of every whole number from a low one to below a high one.

    >>> which, number = _unrolled(np.array([0, 5, 2]), np.array([2, 5, 3]))
    >>> which.tolist(), number.tolist()
    ([0, 0, 2], [0, 1, 2])
    """
    count_N = np.maximum(high_N - low_N, 0)
    which_M = np.repeat(np.arange(count_N.size), count_N)
    nth_M = np.arange(which_M.size) - np.repeat(np.cumsum(count_N) - count_N, count_N)
    return which_M, low_N[which_M] + nth_M


def _columns(spans: Sequence[Span]) -> NDArray[np.int64]:
    """Return sources, firsts and ends."""
    rows = [(span.source, span.first, span.end) for span in spans]
    return np.array(rows, dtype=np.int64).reshape(-1, 3).T


def _check_spans(spans: Sequence[Span], sampler: Sampler) -> None:
    for span in spans:
        source = sampler.sources[span.source]
        if not 0 <= span.first < span.end <= source.tokens:
            raise CorpusError(
                f"a span within the {source.tokens:,} tokens of source '{source.name}'",
                got=f"tokens {span.first:,} to {span.end:,}",
                fix="the overlaps of the shards that this run reads",
            )
