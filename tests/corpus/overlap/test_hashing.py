import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from growlm.corpus.overlap.canonical import alnum, words
from growlm.corpus.overlap.hashing import BLOCK_WINDOWS, mixk, ngrams, windows, word_hashes

FOX = "The quick brown fox jumps over the lazy dog; it's 42 degrees."
DASHED = "Ünïcode—dash “quoted” it’s naïve café ½ \ufb01ne"  # noqa: RUF001
MASK = (1 << 64) - 1
P, Q = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F


def mixed(x):
    x = ((x ^ (x >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    x = ((x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53) & MASK
    return x ^ (x >> 33)


def summed(values, base, plus=0):
    return mixed(
        (sum(value * pow(base, j, 1 << 64) for j, value in enumerate(values)) + plus) & MASK
    )


def window(stream, size=20, stride=1):
    return windows(np.frombuffer(stream, dtype=np.uint8), size=size, stride=stride).tolist()


def test_the_mixer_gives_the_published_words():
    found = mixk(np.array([1, 0xDEADBEEF], dtype=np.uint64)).tolist()
    assert found == [0xB456BCFC34C2CB2C, 0xD24BD59F862A1DAC]


def test_windows_are_the_published_ones():
    found = window(alnum(FOX))
    assert [found[i] for i in (0, 1, 13)] == [
        0xC568D7C152851B0F,
        0x1027B29F7CDD7601,
        0xB3636012A40C5FC5,
    ]
    assert window(b"abcdefghijklmnopqrst") == [0x86155CD777BB336B]
    assert window(alnum(DASHED))[0] == 0x618AD783B9141601


def test_word_hashes_are_the_published_ones():
    assert word_hashes([b"the", b"its", b"42"]).tolist() == [
        0x3EEE1FEA4217F15D,
        0x669829E739B900CF,
        0x2683C49C1F73D24C,
    ]


def test_runs_of_words_are_the_published_ones():
    hashes = word_hashes(words(FOX))
    found = ngrams(hashes, sizes=[8, 5])
    assert int(found[5][0]) == 0x0D91C3B0C8F076E9
    eights = found[8].tolist()
    assert (eights[0], len(eights)) == (0x29FB24DAC6BC6D95, 5)


@settings(deadline=None)
@given(st.binary(max_size=80), st.integers(1, 32), st.integers(1, 15))
def test_windows_are_what_the_formula_says(stream, size, stride):
    starts = range(0, len(stream) - size + 1, stride)
    assert window(stream, size, stride) == [summed(stream[i : i + size], P) for i in starts]


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=12), max_size=12), st.integers(1, 9))
def test_words_and_runs_are_what_the_formula_says(found, size):
    hashes = [summed(word, P, plus=len(word)) for word in found]
    assert word_hashes(found).tolist() == hashes
    runs = [summed(hashes[i : i + size], Q) for i in range(len(found) - size + 1)]
    grams = ngrams(word_hashes(found), sizes={size, size + 2})
    assert grams[size].tolist() == runs
    assert len(grams[size + 2]) == max(0, len(found) - size - 1)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_edges_of_blocks_cannot_be_seen(more):
    stream = np.random.default_rng(0).bytes(13 * (BLOCK_WINDOWS + more) + 40)
    found = window(stream, stride=13)
    assert len(found) == (len(stream) - 20) // 13 + 1
    last = len(found) - 5
    assert found[last:] == window(stream[13 * last :], stride=13)


def test_a_long_word_is_hashed_whole():
    assert word_hashes([b"ab" * 5000]).tolist() == [summed(b"ab" * 5000, P, plus=10_000)]
