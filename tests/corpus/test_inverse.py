from dataclasses import replace

import numpy as np
import pytest

from growlm.corpus.inverse import NEVER, contexts_at, draws_of, samples_of
from growlm.corpus.mixture import Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting


def golden(phases=((0, 1024),)):
    """The published mixture."""
    return Sampler(
        seed=1,
        sources=tuple(
            Layout(name=name, tokens=(slots + 1) * 1024)
            for name, slots in (("a", 1000), ("b", 333), ("c", 57))
        ),
        slot=1024,
        block=64,
        jitter=True,
        weightings=(
            Weighting(start_draw=0, weights=(0.5, 0.375, 0.125)),
            Weighting(start_draw=3200, weights=(0.25, 0.25, 0.5)),
        ),
        phases=tuple(Phase(start_draw=start, context=context) for start, context in phases),
    )


LENGTHS = ((0, 512), (640, 1024), (1600, 256))
"""The published schedule of contexts."""


def draws_by_epoch(sampler, source, slot, epochs):
    epoch_N = np.arange(epochs)
    where = np.full(epochs, source), epoch_N, np.full(epochs, slot)
    return draws_of(sampler, *where).tolist()


def some_mixture(seed):
    """A small sampler: some weightings, sources that may come or go, some contexts."""
    stream = np.random.default_rng(seed)
    slot, block = [(4, 4), (8, 1), (8, 8), (16, 2)][seed % 4]
    number = int(stream.integers(1, 5))

    def starts():
        blocks = stream.choice(9, size=stream.integers(3), replace=False) + 1
        return [0, *(int(each) * block for each in sorted(blocks))]

    def weights():
        found = stream.integers(6, size=number) * (stream.random(number) < 0.7)
        found[stream.integers(number)] += 1
        return tuple(map(float, found))

    return Sampler(
        seed=seed,
        sources=tuple(
            Layout(name=f"s{i}", tokens=int(stream.integers(2 * slot, 9 * slot)))
            for i in range(number)
        ),
        slot=slot,
        block=block,
        jitter=True,
        weightings=tuple(Weighting(start_draw=start, weights=weights()) for start in starts()),
        phases=tuple(
            Phase(start_draw=start, context=slot // int(stream.choice([1, 2, 4])))
            for start in starts()
        ),
    )


class TestThePublishedMixture:
    def test_the_draws_of_two_slots(self):
        of_b5 = [346, 1666, 1967, 3604, 4826, 5851, 6487, 8025, 9782, 11_378]
        assert draws_by_epoch(golden(), 1, 5, 11)[:10] == of_b5
        assert draws_by_epoch(golden(), 1, 5, 11)[10] >= 12_800
        of_a7 = [707, 2329, 7819, 9917]
        assert draws_by_epoch(golden(), 0, 7, 4) == of_a7

    def test_every_draw_is_found_again(self):
        draw_N = np.arange(12_800)
        assert draws_of(golden(), *golden().draws(draw_N)).tolist() == draw_N.tolist()

    def test_the_samples_of_the_parts_of_slots(self):
        sampler = golden(LENGTHS)
        served = [(2, 0, 38, 0), (2, 0, 38, 1), (0, 0, 742, 1), (0, 0, 746, 0)]
        served += [(0, 0, 732, 0), (0, 0, 732, 1)]
        *where, part_N = np.array(served).T
        draw_N = draws_of(sampler, *where)
        assert contexts_at(sampler, draw_N).tolist() == [512, 512, 512, 1024, 256, 256]
        assert samples_of(sampler, draw_N, part_N).tolist() == [0, 64, 1279, 1280, 2240, 2304]


@pytest.mark.parametrize("seed", range(20))
class TestEveryMixture:
    def test_looking_up_what_was_drawn_gives_the_draws(self, seed):
        sampler = some_mixture(seed)
        for first in (0, 17, 10**9 + seed):
            draw_N = np.arange(first, first + 50)
            assert draws_of(sampler, *sampler.draws(draw_N)).tolist() == draw_N.tolist()

    def test_looking_up_what_was_served_gives_the_samples(self, seed):
        sampler = some_mixture(seed)
        samples = sampler.samples(seed, 400)
        draw_N = draws_of(sampler, samples.source, samples.epoch, samples.slot)
        assert contexts_at(sampler, draw_N).tolist() == samples.length.tolist()
        found = samples_of(sampler, draw_N, samples.offset // samples.length)
        assert found.tolist() == list(range(seed, seed + 400))

    def test_every_slot_of_an_epoch_has_one_draw_or_is_never_drawn(self, seed):
        sampler = some_mixture(seed)
        draws = zip(*(column.tolist() for column in sampler.draws(np.arange(1024))), strict=True)
        drawn = {where: draw for draw, where in enumerate(draws)}
        assert len(drawn) == 1024
        for source, slots in enumerate(sampler.slots_per_epoch):
            for epoch in range(3):
                slot_S = np.arange(slots)
                draw_S = draws_of(sampler, slot_S * 0 + source, slot_S * 0 + epoch, slot_S)
                known = [drawn.get((source, epoch, slot), NEVER) for slot in range(slots)]
                assert np.where(draw_S < 1024, draw_S, NEVER).tolist() == known


def test_a_source_that_was_left_for_good_has_slots_that_are_never_drawn():
    weightings = (
        Weighting(start_draw=0, weights=(0.5, 0.5, 0.0)),
        Weighting(start_draw=128, weights=(0.0, 0.5, 0.5)),
    )
    sampler = replace(golden(), weightings=weightings)
    slots = np.arange(1000)
    draw_N = draws_of(sampler, np.zeros_like(slots), np.zeros_like(slots), slots)
    assert np.count_nonzero(draw_N != NEVER) == sampler.draws_before(128)[0] == 64
    assert draw_N.max() < 128


def test_a_source_that_is_left_for_a_while_goes_on_where_it_was():
    weightings = tuple(
        Weighting(start_draw=start, weights=weights)
        for start, weights in ((0, (1.0, 1.0, 0.0)), (128, (0.0, 1.0, 1.0)), (640, (1.0, 0.0, 0.0)))
    )
    sampler = replace(golden(), weightings=weightings)
    slots = np.arange(1000)
    draw_N = np.sort(draws_of(sampler, np.zeros_like(slots), np.zeros_like(slots), slots))
    assert (draw_N < 128).sum() == 64
    # 936 are left: 14 blocks of 64, and 40 anywhere in a fifteenth.
    assert draw_N[64:960].tolist() == list(range(640, 1536))
    assert draw_N[960:].max() < 1600


def test_what_no_epoch_holds_is_never_drawn():
    sampler = replace(
        golden(),
        sources=(*golden().sources, Layout(name="short", tokens=5)),
        weightings=(Weighting(start_draw=0, weights=(1.0, 1.0, 1.0, 0.0)),),
    )
    where = [(0, 0, 1000), (0, 0, -1), (0, -1, 0), (2, 0, 57), (3, 0, 0), (0, 0, 999)]
    *never, last = draws_of(sampler, *np.array(where).T).tolist()
    assert never == [NEVER] * 5
    assert last >= 0


@pytest.mark.parametrize("draw", [2**40, 2**45])
def test_draws_of_far_years_are_found_again(draw):
    draw_N = np.arange(draw, draw + 70)
    assert draws_of(golden(), *golden().draws(draw_N)).tolist() == draw_N.tolist()
