import numpy as np
from hypothesis import given, settings, strategies as st

from growlm.corpus.overlap.sieve import sieve

HASHES = st.lists(st.integers(0, (1 << 64) - 1), max_size=40).map(
    lambda values: np.array(values, dtype=np.uint64)
)


@settings(deadline=None)
@given(HASHES, HASHES)
def test_what_is_among_the_hashes_always_passes(hashes, others):
    asked = np.concatenate([others, hashes])
    passing = set(sieve(hashes).passing(asked).tolist())
    assert set(range(len(others), len(asked))) <= passing


def test_little_else_passes():
    stream = np.random.default_rng(0)
    hashes, others = stream.integers(1 << 64, size=(2, 100_000), dtype=np.uint64)
    assert len(sieve(hashes).passing(others)) < len(others) / 200


def test_nothing_passes_the_sieve_of_nothing():
    none = np.zeros(0, dtype=np.uint64)
    assert sieve(none).passing(np.arange(9, dtype=np.uint64)).tolist() == []
