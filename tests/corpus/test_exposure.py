from dataclasses import replace

import numpy as np
import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.exposure import Exposures, Span, exposures
from growlm.corpus.mixture import Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting
from growlm.corpus.stretches import Stretch

SAMPLES = 1_000

CONTEXTS = ((8, 16, 4), (4, 8, 16))
"""By the parity of the seed."""


def sampler(seed, *, jitter):
    """Three contexts, a re-weighting, a source that comes later and one that goes."""
    return Sampler(
        seed=seed,
        sources=tuple(
            Layout(name=name, tokens=tokens)
            for name, tokens in (("a", 1_500), ("b", 700), ("new", 333))
        ),
        slot=16,
        block=16,
        jitter=jitter,
        weightings=tuple(
            Weighting(start_draw=start, weights=weights)
            for start, weights in (
                (0, (0.7, 0.3, 0.0)),
                (160, (0.2, 0.4, 0.4)),
                (320, (0.6, 0.0, 0.4)),
            )
        ),
        phases=tuple(
            Phase(start_draw=start, context=context)
            for start, context in zip((0, 96, 336), CONTEXTS[seed % 2], strict=True)
        ),
    )


GAPS = (
    Stretch(first_sample=0, end_sample=200, first_step=1, samples_per_step=8),
    Stretch(first_sample=232, end_sample=344, first_step=26, samples_per_step=8),
    Stretch(first_sample=352, end_sample=900, first_step=1, samples_per_step=4),
)
"""Batches that were skipped, then a stage with steps and batches of its own."""


def replayed(mixture, spans, stretches):
    """What is expected, from every sample that was served: rows of the exposures' columns."""
    samples = mixture.samples(0, SAMPLES)
    starts = mixture.starts(samples)
    found = []
    for index, span in enumerate(spans):
        first_N = np.maximum(starts + 1, span.first)
        end_N = np.minimum(starts + 1 + samples.length, span.end)
        for sample in np.flatnonzero((samples.source == span.source) & (first_N < end_N)).tolist():
            for number, stretch in enumerate(stretches):
                if stretch.first_sample <= sample < stretch.end_sample:
                    nth = (sample - stretch.first_sample) // stretch.samples_per_step
                    found.append(
                        (
                            *(index, int(samples.epoch[sample]), int(samples.slot[sample]), sample),
                            *(number, stretch.first_step + nth),
                            *(int(first_N[sample]), int(end_N[sample])),
                            int(end_N[sample] - first_N[sample]) / (span.end - span.first),
                        )
                    )
    return found


def rows(found):
    columns = (getattr(found, name).tolist() for name in Exposures.__dataclass_fields__)
    return list(zip(*columns, strict=True))


def some_spans(mixture, stream, count):
    """Spans of one token to more than three slots, some at the ends of their source."""
    spans = []
    for _ in range(count):
        source = int(stream.integers(len(mixture.sources)))
        tokens = mixture.sources[source].tokens
        first, end = sorted(stream.choice(tokens + 1, size=2, replace=False).tolist())
        length = int(stream.choice([1, 5, 16, 60]))
        first, end = [(first, min(end, first + length)), (0, length), (tokens - length, tokens)][
            int(stream.choice(3, p=[0.9, 0.05, 0.05]))
        ]
        spans.append(Span(source=source, first=first, end=end))
    return spans


@pytest.mark.parametrize("jitter", [True, False], ids=["jitter", "no jitter"])
@pytest.mark.parametrize("seed", range(4))
def test_exposures_are_those_of_a_replay_of_every_sample(seed, jitter):
    mixture = sampler(seed, jitter=jitter)
    spans = some_spans(mixture, np.random.default_rng(seed), 100)
    found = rows(exposures(mixture, spans, GAPS))
    assert found == replayed(mixture, spans, GAPS)
    assert len(found) > 300


@pytest.mark.parametrize("jitter", [True, False], ids=["jitter", "no jitter"])
def test_any_last_sample_is_kept_to(jitter):
    mixture = sampler(9, jitter=jitter)
    spans = some_spans(mixture, np.random.default_rng(9), 12)
    ends = np.random.default_rng(10).integers(0, SAMPLES, size=40).tolist()
    for end in ends:
        until = [Stretch(first_sample=0, end_sample=end, first_step=0, samples_per_step=1)]
        assert rows(exposures(mixture, spans, until)) == replayed(mixture, spans, until)


def test_samples_of_a_child_alone_leave_out_its_parents():
    mixture = sampler(3, jitter=True)
    spans = some_spans(mixture, np.random.default_rng(3), 50)
    child = rows(exposures(mixture, spans, GAPS[2:]))
    assert child == replayed(mixture, spans, GAPS[2:])
    assert min(sample for _, _, _, sample, *_ in child) >= 352


def test_every_token_of_an_epoch_counts_once():
    mixture = replace(
        sampler(0, jitter=True),
        weightings=(Weighting(start_draw=0, weights=(0.0, 1.0, 0.0)),),
    )
    slots = mixture.slots_per_epoch[1]
    whole = Span(source=1, first=0, end=700)
    found = exposures(mixture, [whole], GAPS)
    of_first = rows(found.take(np.flatnonzero(found.epoch == 0)))
    targets = [token for *_, first, end, _ in of_first for token in range(first, end)]
    skipped = set(range(200, 232)) | set(range(344, 352))
    samples = mixture.samples(0, SAMPLES)
    lost = sum(int(samples.length[sample]) for sample in skipped if samples.epoch[sample] == 0)
    assert len(targets) == len(set(targets)) == slots * 16 - lost
    assert sum(share for *_, share in of_first) == pytest.approx(len(targets) / 700)


def test_a_token_that_is_only_read_is_no_exposure():
    mixture = replace(sampler(0, jitter=False), phases=(Phase(start_draw=0, context=16),))
    stretch = [Stretch(first_sample=0, end_sample=960, first_step=1, samples_per_step=8)]
    first_of_all = exposures(mixture, [Span(source=0, first=0, end=1)], stretch)
    assert first_of_all.sample.size == 0
    first_of_slot = exposures(mixture, [Span(source=0, first=16, end=17)], stretch)
    assert set(first_of_slot.slot.tolist()) == {0}


def test_what_is_never_served_has_no_exposures():
    mixture = replace(
        sampler(0, jitter=False), weightings=(Weighting(start_draw=0, weights=(1.0, 1.0, 0.0)),)
    )
    spans = [Span(source=2, first=0, end=333), Span(source=0, first=1_490, end=1_500)]
    assert rows(exposures(mixture, spans, GAPS)) == []
    tiny = (*mixture.sources[:2], Layout(name="tiny", tokens=5))
    small = replace(mixture, sources=tiny)
    assert rows(exposures(small, [Span(source=2, first=0, end=5)], GAPS)) == []


def test_without_spans_or_stretches_there_is_nothing():
    mixture = sampler(0, jitter=True)
    assert rows(exposures(mixture, [], GAPS)) == []
    assert rows(exposures(mixture, [Span(source=0, first=3, end=9)], [])) == []


@pytest.mark.parametrize(("first", "end"), [(-1, 4), (4, 4), (690, 701)])
def test_a_span_that_leaves_its_source_is_refused(first, end):
    with pytest.raises(CorpusError, match=f"700 tokens of source 'b'; got tokens {first} to {end}"):
        exposures(sampler(0, jitter=True), [Span(source=1, first=first, end=end)], GAPS)


def test_stretches_out_of_order_are_refused():
    with pytest.raises(CorpusError, match="stretches in order"):
        exposures(sampler(0, jitter=True), [], GAPS[::-1])
