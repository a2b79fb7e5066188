import numpy as np
import pytest

from growlm.corpus import signatures as module
from growlm.corpus.canonical import canonical
from growlm.corpus.shingles import shingles
from growlm.corpus.signatures import BANDS, ROWS, constants, signatures, similarity

GOLDEN = "the quick brown fox jumps over the lazy dog and runs away"


def drawn(*key):
    return np.random.default_rng(key)


def sign(values_N, starts=(0,)):
    return signatures(values_N.astype(np.uint64) << np.uint64(32), np.array(starts))


def test_the_golden_constants():
    (a0, b0), *_, (a111, b111) = constants()
    assert [hex(each) for each in map(int, (a0, b0, a111, b111))] == [
        "0xb1ecb185aca36f05",
        "0xc94f4b5c2ce3eca5",
        "0xd97d73a0fda84f59",
        "0x5d44efe4521f1f62",
    ]


def test_the_golden_signature():
    grams = shingles([canonical(GOLDEN)])
    (found,) = signatures(grams.hashes, grams.starts)
    assert [f"{int(found[j]):016x}" for j in (0, 1, 2, 111)] == [
        "033bbf82c2a92d25",
        "006957f8750ac3b8",
        "013e3e18370123eb",
        "01b8533aefe441f1",
    ]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 15])
def test_stretches_are_signed_as_if_each_was_alone(monkeypatch, block):
    values = drawn(1).integers(0, 2**32, 300)
    starts = [0, 1, 2, 50, 51, 200]
    alone = [sign(part)[0] for part in np.split(values, starts[1:])]
    monkeypatch.setattr(module, "BLOCK", block)
    assert (sign(values, starts) == np.array(alone)).all()


def test_values_stay_below_what_datatrove_takes_for_an_end():
    for count in range(1, 21):
        assert sign(drawn(count).integers(0, 2**32, count)).max() < 2**61 - 1


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8, 0.9])
def test_similarity_is_estimated_within_four_standard_errors(jaccard):
    size, pairs = 4000, 40
    shared = round(2 * size * jaccard / (1 + jaccard))
    values = drawn(3).integers(0, 2**32, (pairs, 2 * size - shared))
    one = np.concatenate([sign(row[:size]) for row in values])
    other = np.concatenate([sign(row[size - shared :]) for row in values])
    estimate = similarity(one, other).mean()
    true = shared / (2 * size - shared)
    assert abs(estimate - true) < 4 * np.sqrt(true * (1 - true) / (BANDS * ROWS * pairs))
