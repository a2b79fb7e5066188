import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from growlm.base.errors import CorpusError
from growlm.corpus.manifest import TokenizerFacts
from growlm.corpus.mixture import Batcher, Layout, Phase, Sampler, Weighting
from growlm.corpus.permutation import key64
from growlm.corpus.shards import TokenStream, write
from growlm.corpus.weights import counts
from growlm.corpus.writing import writer

MASK = 2**64 - 1


def golden(phases=((0, 1024),)):
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


def rows(samples):
    return np.stack(
        [samples.source, samples.epoch, samples.slot, samples.offset, samples.length], axis=1
    )


def digest(values):
    return hashlib.sha256(values.astype("<u4").tobytes()).hexdigest()


def mix(word):
    for _ in range(2):
        word = ((word ^ (word >> 32)) * 0xD6E8FEB86659FD93) & MASK
    return word ^ (word >> 32)


def permuted(size, key, index):
    """The permutation by its definition, one index at a time."""
    if size == 1:
        return 0
    half = (max(2, (size - 1).bit_length()) + 1) // 2
    low = (1 << half) - 1
    while True:
        left, right = index >> half, index & low
        for number in range(4):
            word = (right + key64(f"({key}, {number})")) & MASK
            left, right = right, left ^ (mix(word) & low)
        index = left << half | right
        if index < size:
            return index


def drawn(sampler, draw):
    """A draw by its definition: (source, epoch, slot)."""
    block, place = divmod(draw, sampler.block)
    draw = block * sampler.block + permuted(
        sampler.block, f"({sampler.seed}, 'blk', {block})", place
    )
    base = np.zeros(len(sampler.sources), dtype=int)
    weighting = sampler.weightings[0]
    for following in sampler.weightings[1:]:
        if draw < following.start_draw:
            break
        base += counts(following.start_draw - weighting.start_draw, weighting.units)
        weighting = following
    nth = draw - weighting.start_draw
    now, then = counts(nth, weighting.units), counts(nth + 1, weighting.units)
    (source,) = (i for i in range(len(now)) if then[i] > now[i])
    layout = sampler.sources[source]
    slots = (layout.tokens - sampler.slot) // sampler.slot
    epoch, place = divmod(int(base[source]) + now[source], slots)
    key = f"({sampler.seed}, '{layout.name}', {epoch})"
    return source, epoch, permuted(slots, key, place)


def sampled(sampler, count):
    """The first samples by their definition: (source, epoch, slot, offset, length)."""
    found = []
    for phase, following in zip(sampler.phases, [*sampler.phases[1:], None], strict=True):
        block = phase.start_draw
        while len(found) < count and (following is None or block < following.start_draw):
            for part in range(sampler.slot // phase.context):
                for draw in range(block, block + sampler.block):
                    where = part * phase.context, phase.context
                    found.append((*drawn(sampler, draw), *where))
            block += sampler.block
    return found[:count]


@st.composite
def plans(draw):
    """Plain numbers for a small sampler: several weightings and phases, on grids of their own."""
    slot, block = draw(st.sampled_from([(4, 4), (8, 1), (8, 8), (16, 2)]))
    number = draw(st.integers(1, 3))
    weights = st.lists(st.integers(0, 5), min_size=number, max_size=number).filter(any)
    contexts = st.sampled_from([size for size in range(1, slot + 1) if slot % size == 0])

    def schedule(values):
        blocks = draw(st.sets(st.integers(1, 6), max_size=2))
        return [(start * block, draw(values)) for start in (0, *sorted(blocks))]

    return {
        "seed": draw(st.integers(0, 2**63 - 1)),
        "tokens": [draw(st.integers(2 * slot, 9 * slot)) for _ in range(number)],
        "slot": slot,
        "block": block,
        "jitter": draw(st.booleans()),
        "weightings": schedule(weights),
        "phases": schedule(contexts),
    }


def build(plan):
    return Sampler(
        seed=plan["seed"],
        sources=tuple(Layout(name=f"s{i}", tokens=n) for i, n in enumerate(plan["tokens"])),
        slot=plan["slot"],
        block=plan["block"],
        jitter=plan["jitter"],
        weightings=tuple(
            Weighting(start_draw=start, weights=tuple(map(float, weights)))
            for start, weights in plan["weightings"]
        ),
        phases=tuple(Phase(start_draw=start, context=size) for start, size in plan["phases"]),
    )


class TestThePublishedMixture:
    def test_the_first_draws_and_those_around_the_change(self):
        draws = np.stack(golden().draws(np.array([*range(8), 3199, 3200, 3201, 12_799])), axis=1)
        assert draws.tolist() == [
            [2, 0, 38],
            [0, 0, 671],
            [1, 0, 302],
            [1, 0, 45],
            [2, 0, 53],
            [0, 0, 496],
            [0, 0, 164],
            [1, 0, 6],
            [1, 3, 97],
            [0, 1, 209],
            [1, 3, 273],
            [0, 3, 57],
        ]

    def test_the_digest_of_all_draws(self):
        draws = np.stack(golden().draws(np.arange(12_800)), axis=1)
        assert digest(draws) == "04eeacba3290f725217aeb1ef72e9b8414f10b650d7444acbab899d2cec098b4"
        of_b5 = np.flatnonzero((draws[:, 0] == 1) & (draws[:, 2] == 5)).tolist()
        assert of_b5 == [346, 1666, 1967, 3604, 4826, 5851, 6487, 8025, 9782, 11_378]
        of_a7 = np.flatnonzero((draws[:, 0] == 0) & (draws[:, 2] == 7)).tolist()
        assert of_a7 == [707, 2329, 7819, 9917]

    def test_draws_per_source(self):
        assert golden().draws_before(3200) == (1600, 1200, 400)
        assert golden().draws_before(12_800) == (4000, 3600, 5200)

    def test_origins(self):
        assert [golden().origin(0, epoch) for epoch in range(4)] == [119, 604, 570, 552]
        assert replace(golden(), jitter=False).origin(0, 1) == 0

    def test_the_digest_of_samples_of_three_contexts(self):
        found = rows(golden(LENGTHS).samples(0, 4096))
        assert digest(found) == "dbc4b339236733f067ba00f7cdd4c2da57f45ec9775c694dd8bd305bd01addda"
        assert found[[0, 64, 1279, 1280, 2240, 2304]].tolist() == [
            [2, 0, 38, 0, 512],
            [2, 0, 38, 512, 512],
            [0, 0, 742, 512, 512],
            [0, 0, 746, 0, 1024],
            [0, 0, 732, 0, 256],
            [0, 0, 732, 256, 256],
        ]

    def test_the_digest_notices_another_seed(self):
        other = np.stack(replace(golden(), seed=2).draws(np.arange(12_800)), axis=1)
        assert digest(other) != "04eeacba3290f725217aeb1ef72e9b8414f10b650d7444acbab899d2cec098b4"

    def test_the_first_samples_of_the_phases(self):
        assert [golden(LENGTHS).first_sample(draw) for draw in (0, 640, 1600, 1664)] == [
            0,
            1280,
            2240,
            2496,
        ]


@given(plans(), st.integers(1, 120))
@settings(deadline=None, max_examples=25)
def test_samples_are_those_of_the_definition(plan, count):
    sampler = build(plan)
    assert rows(sampler.samples(0, count)).tolist() == [
        list(row) for row in sampled(sampler, count)
    ]


@given(plans(), st.integers(0, 10**9), st.integers(1, 40))
@settings(deadline=None, max_examples=25)
def test_a_sample_does_not_depend_on_what_is_asked_with_it(plan, first, count):
    sampler = build(plan)
    whole = rows(sampler.samples(first, count))
    single = [rows(sampler.samples(first + i, 1))[0] for i in range(count)]
    assert whole.tolist() == np.array(single).tolist()


@given(plans(), st.integers(0, 150))
@settings(deadline=None, max_examples=40)
def test_tokens_served_equal_a_count_at_any_cursor(plan, cursor):
    sampler = build(plan)
    expected = [0] * len(sampler.sources)
    for source, *_, length in rows(sampler.samples(0, cursor)).tolist():
        expected[source] += length
    assert sampler.tokens_served(cursor) == tuple(expected)
    for epochs, served, slots in zip(
        sampler.epochs(cursor), expected, sampler.slots_per_epoch, strict=True
    ):
        assert epochs == served / (slots * sampler.slot)


@given(plans(), st.integers(0, 150))
@settings(deadline=None, max_examples=40)
def test_the_next_boundary_is_the_first_that_nothing_has_passed(plan, cursor):
    sampler = build(plan)
    boundary = sampler.next_boundary(cursor)
    assert boundary % sampler.block == 0
    assert sampler.first_sample(boundary) >= cursor
    if boundary:
        assert sampler.first_sample(boundary - sampler.block) < cursor


@given(plans(), st.integers(1, 150), st.integers(0, 5))
@settings(deadline=None, max_examples=25)
def test_a_change_at_the_next_boundary_leaves_the_past_as_it_was(plan, cursor, skipped):
    sampler = build(plan)
    last = max(sampler.weightings[-1].start_draw, sampler.phases[-1].start_draw)
    boundary = max(sampler.next_boundary(cursor), last + sampler.block)
    boundary += skipped * sampler.block
    weights = (1.0,) + (0.0,) * (len(sampler.sources) - 1)
    changed = replace(
        sampler,
        weightings=(*sampler.weightings, Weighting(start_draw=boundary, weights=weights)),
        phases=(*sampler.phases, Phase(start_draw=boundary, context=1)),
    )
    first = sampler.first_sample(boundary)
    assert changed.first_sample(boundary) == first
    assert rows(changed.samples(0, first)).tolist() == rows(sampler.samples(0, first)).tolist()
    assert set(changed.samples(first, 20).source.tolist()) == {0}


def test_every_completed_epoch_is_a_permutation_of_its_slots():
    sampler = golden()
    source_N, epoch_N, slot_N = sampler.draws(np.arange(12_800))
    for source, slots in enumerate(sampler.slots_per_epoch):
        for epoch in range(int(sampler.draws_before(12_800)[source] / slots)):
            seen = slot_N[(source_N == source) & (epoch_N == epoch)]
            assert sorted(seen.tolist()) == list(range(slots))


def test_every_part_of_a_slot_is_served_once_and_a_block_apart():
    sampler = golden(LENGTHS)
    last = {}
    seen = Counter()
    for number, row in enumerate(rows(sampler.samples(0, 4032)).tolist()):
        *where, offset, length = row
        slot = tuple(where)
        assert number - last.get(slot, -64) >= 64
        last[slot] = number
        seen.update((*slot, piece) for piece in range(offset, offset + length, 256))
    assert set(seen.values()) == {1}
    draws = sampler.next_boundary(4032)
    assert sampler.first_sample(draws) == 4032
    assert len(seen) == 4 * draws


def test_windows_stay_inside_the_stream_and_epochs_are_cut_elsewhere():
    sampler = golden(LENGTHS)
    samples = sampler.samples(0, 40_000)
    starts_N = sampler.starts(samples)
    tokens = np.array([source.tokens for source in sampler.sources])[samples.source]
    assert (starts_N >= 0).all()
    assert (starts_N + samples.length < tokens).all()
    origins = {sampler.origin(2, epoch) for epoch in range(20)}
    assert len(origins) > 15
    assert max(origins) < 1024


def test_without_jitter_slots_lie_end_to_end_from_the_first_token():
    sampler = replace(golden(LENGTHS), jitter=False)
    samples = sampler.samples(0, 500)
    expected = samples.slot * 1024 + samples.offset
    assert sampler.starts(samples).tolist() == expected.tolist()


def test_a_weight_of_0_leaves_a_source_out():
    sampler = replace(golden(), weightings=(Weighting(start_draw=0, weights=(0.0, 1.0, 0.0)),))
    assert set(sampler.samples(0, 500).source.tolist()) == {1}
    assert sampler.epochs(333) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": 48}, "a power of two"),
        ({"weightings": (Weighting(start_draw=1, weights=(1.0, 1.0, 1.0)),)}, "multiple of 64"),
        ({"phases": (Phase(start_draw=32, context=1024),)}, "multiple of 64"),
        ({"phases": (Phase(start_draw=0, context=1000),)}, "divides the slot"),
        ({"weightings": (Weighting(start_draw=0, weights=(1.0, 1.0, 1e-9)),)}, "at least 1/65536"),
        ({"slot": 65_536, "phases": (Phase(start_draw=0, context=64),)}, "'c' to have at least"),
        ({"sources": (Layout(name="blk", tokens=9999),) * 3}, "none of them 'blk'"),
    ],
)
def test_an_impossible_mixture_is_refused(change, message):
    with pytest.raises(CorpusError, match=message):
        replace(golden(), **change)


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Two sources whose ids tell their place: 10,000 more for the second source."""
    folder = tmp_path_factory.mktemp("streams")
    for number, tokens in enumerate((700, 400)):
        ids = np.arange(tokens) % 9_000 + 10_000 * number + 1
        ids[49::50] = 0
        write(
            folder / str(number),
            np.split(ids, range(50, tokens, 50)),
            source=f"s{number}",
            tokenizer=TokenizerFacts(
                sha256="ab" * 32, vocab=20_000, eos=0, impl="hf", version="0.23"
            ),
            shard_tokens=128,
        )
    return TokenStream(folder / "0"), TokenStream(folder / "1")


@pytest.fixture(scope="module")
def batcher(streams):
    sampler = Sampler(
        seed=7,
        sources=tuple(
            Layout(name=f"s{i}", tokens=stream.tokens) for i, stream in enumerate(streams)
        ),
        slot=32,
        block=8,
        jitter=True,
        weightings=(Weighting(start_draw=0, weights=(0.6, 0.4)),),
        phases=(Phase(start_draw=0, context=16), Phase(start_draw=16, context=32)),
    )
    return Batcher(sampler=sampler, streams=streams)


def test_a_batch_holds_the_tokens_its_samples_name(batcher, streams):
    whole = [stream.gather(np.array([0]), stream.tokens)[0] for stream in streams]
    samples = batcher.sampler.samples(0, 32)
    ids_BT = batcher.batch(0, 32)
    assert ids_BT.shape == (32, 17)
    for ids_T, source, start in zip(
        ids_BT, samples.source, batcher.sampler.starts(samples), strict=True
    ):
        assert ids_T.tolist() == whole[source][start : start + 17].tolist()


@pytest.mark.parametrize("cursor", [0, 5, 31, 32, 45])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_run_resumed_anywhere_sees_what_it_would_have_seen(batcher, cursor, size):
    edges = [0, 32, 96]
    full = [batcher.batch(start, end - start) for start, end in ((0, 32), (32, 96))]
    stop = next(edge for edge in edges if edge > cursor)
    samples = min(size, stop - cursor)
    part = full[0] if cursor < 32 else full[1]
    offset = cursor if cursor < 32 else cursor - 32
    assert batcher.batch(cursor, samples).tolist() == part[offset : offset + samples].tolist()


def test_two_parts_of_a_slot_join_without_gap_or_overlap(batcher):
    first, second = batcher.batch(0, 8), batcher.batch(8, 8)
    assert first[:, -1].tolist() == second[:, 0].tolist()


@pytest.mark.parametrize("jitter", [True, False])
@pytest.mark.parametrize(("cursor", "samples", "context"), [(0, 32, 16), (32, 64, 32)])
def test_documents_of_a_batch_end_after_its_ends_of_text(
    batcher, *, jitter, cursor, samples, context
):
    batcher = replace(batcher, sampler=replace(batcher.sampler, jitter=jitter))
    ids_BT, documents_BT = batcher.batch(cursor, samples), batcher.documents(cursor, samples)
    assert documents_BT.shape == (samples, context)
    ends_before_BT = np.cumsum(ids_BT == 0, axis=1)[:, : context - 1]
    assert documents_BT[:, 0].tolist() == [0] * samples
    assert documents_BT[:, 1:].tolist() == ends_before_BT.tolist()
    assert documents_BT.max() >= 1
    assert len(set(batcher.sampler.samples(cursor, samples).source.tolist())) == 2


def test_documents_of_a_batch_begun_anywhere_are_those_of_the_whole(batcher):
    whole = batcher.documents(32, 64)
    assert batcher.documents(45, 8).tolist() == whole[13:21].tolist()


@pytest.fixture(scope="module")
def half_masked(batcher, tmp_path_factory):
    """The same batcher, with a mask on its first source, and that source's targets as a list."""
    stream, folder = batcher.streams[0], tmp_path_factory.mktemp("masked") / "0"
    ids = stream.gather(np.array([0]), stream.tokens)[0]
    ranges = [(0, 3), (10, 12), (17, 50)]
    with writer(
        folder, source="s0", tokenizer=stream.manifest.tokenizer, shard_tokens=128
    ) as shards:
        for number, document in enumerate(np.split(ids, range(50, stream.tokens, 50))):
            shards.add(document, masked=ranges if number % 3 else ())
    targets = np.ones(stream.tokens, dtype=bool)
    for begin in range(50, stream.tokens, 50):
        for first, last in ranges if begin // 50 % 3 else ():
            targets[begin + first : begin + last] = False
    return replace(batcher, streams=(TokenStream(folder), batcher.streams[1])), targets


@pytest.mark.parametrize("jitter", [True, False])
@pytest.mark.parametrize(("cursor", "samples", "context"), [(0, 32, 16), (32, 64, 32)])
def test_a_target_counts_unless_the_token_it_stands_for_is_masked(
    half_masked, *, jitter, cursor, samples, context
):
    batcher, targets = half_masked
    batcher = replace(batcher, sampler=replace(batcher.sampler, jitter=jitter))
    drawn = batcher.sampler.samples(cursor, samples)
    counted_BT = batcher.counted(cursor, samples)
    assert counted_BT.shape == (samples, context)
    for counted_T, source, start in zip(
        counted_BT, drawn.source, batcher.sampler.starts(drawn), strict=True
    ):
        expected = [bool(targets[start + i + 1]) or source == 1 for i in range(context)]
        assert counted_T.tolist() == expected
    assert 0 < counted_BT[drawn.source == 0].mean() < 1
    assert batcher.batch(cursor, samples).shape == (samples, context + 1)


def test_targets_of_a_batch_begun_anywhere_are_those_of_the_whole(half_masked):
    batcher, _ = half_masked
    whole = batcher.counted(32, 64)
    assert batcher.counted(45, 8).tolist() == whole[13:21].tolist()


def test_masks_change_no_token_and_without_any_nothing_is_counted(half_masked, batcher):
    masked, _ = half_masked
    assert masked.batch(0, 32).tolist() == batcher.batch(0, 32).tolist()
    assert batcher.counted(0, 32) is None


def test_a_batch_of_two_contexts_is_refused(half_masked):
    batcher, _ = half_masked
    for read in (batcher.batch, batcher.documents, batcher.counted):
        with pytest.raises(CorpusError, match="a batch of one context"):
            read(28, 8)


def test_streams_of_another_length_are_refused(batcher, streams):
    with pytest.raises(CorpusError, match="'s0' with 700 tokens; got 400"):
        Batcher(sampler=batcher.sampler, streams=streams[::-1])
