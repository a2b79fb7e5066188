import numpy as np
import pytest

from growlm.corpus import shingles as module
from growlm.corpus.canonical import canonical
from growlm.corpus.shingles import mixk, ngrams, shingles

TEXT = "The quick brown fox jumps over the lazy dog; it's 42 degrees."
MASK = 2**64 - 1


def mix(value):
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def word(letters):
    terms = (byte * pow(module._P, j, 2**64) for j, byte in enumerate(letters))
    return mix(sum(terms) + len(letters) & MASK)


def plainly(text):
    hashes = [word(letters) for letters in text.split()]
    return [
        mix(sum(hashes[i + j] * pow(module._Q, j, 2**64) for j in range(5)) & MASK)
        for i in range(len(hashes) - 4)
    ]


def test_the_golden_values_of_the_kernel():
    mixed = mixk(np.array([1, 0xDEADBEEF], dtype=np.uint64))
    assert [hex(value) for value in mixed.tolist()] == ["0xb456bcfc34c2cb2c", "0xd24bd59f862a1dac"]
    assert [hex(word(each)) for each in (b"the", b"its", b"42")] == [
        "0x3eee1fea4217f15d",
        "0x669829e739b900cf",
        "0x2683c49c1f73d24c",
    ]
    found = shingles([canonical(TEXT)])
    assert found.hashes[0] == 0x0D91C3B0C8F076E9
    assert found.hashes.tolist() == plainly(canonical(TEXT))


def test_texts_beside_each_other_do_not_touch():
    texts = [b"one two three", b"a b c d e f g", b"", b"   ", b"p q  r s t", b"x y z"]
    found = shingles(texts)
    assert found.words.tolist() == [3, 7, 0, 0, 5, 3]
    assert found.starts.tolist() == [0, 0, 3, 3, 3, 4]
    assert found.hashes.tolist() == [*plainly(texts[1]), *plainly(texts[4])]


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 1000])
def test_the_blocks_do_not_show(monkeypatch, size):
    text = b" ".join(b"w%d" % (n * n) for n in range(200)) + b" " + b"long" * 500 + b" a b c d"
    whole = shingles([text, text]).hashes
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    assert (shingles([text, text]).hashes == whole).all()
    assert whole.tolist() == plainly(text) * 2


def test_a_word_of_a_megabyte_is_one_word():
    text = b"a b " + b"x" * (1 << 20) + b" c d"
    assert shingles([text]).hashes.tolist() == plainly(text)


def test_fewer_than_five_words_have_no_ngram():
    assert ngrams(np.arange(4, dtype=np.uint64)).size == 0
