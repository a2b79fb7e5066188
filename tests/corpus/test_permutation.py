import numpy as np
import pytest

from growlm.corpus.permutation import Permutation, key64, mixs, permutation, permutations

SIZES = [1, 2, 3, 4, 5, 7, 16, 17, 64, 1000, 65_537]


def images(size, key, indices):
    return permutation(size, key=key).encode(np.asarray(indices, dtype=np.int64)).tolist()


def chi_square(values, size, bins=64):
    counts = np.bincount(values * bins // size, minlength=bins)
    expected = len(values) / bins
    return float(((counts - expected) ** 2 / expected).sum())


def spread_of_differences(size, lag, shuffle):
    index_N = np.arange(12_345, 12_345 + 20_000)
    return chi_square((shuffle(index_N + lag) - shuffle(index_N)) % size, size)


def test_keys_are_the_published_ones():
    assert [
        key64("((1, 'a', 0), 0)"),
        key64("((1, 'a', 0), 3)"),
        key64("((1, 'blk', 0), 0)"),
    ] == [0xA606FF2AC77F28DE, 0x4C6B06756920B138, 0x5A74A53A6A70C6EB]


def test_the_mixer_gives_the_published_words():
    words = mixs(np.array([1, 0xDEADBEEF], dtype=np.uint64))
    assert words.tolist() == [0x4179B061E0C0E0D0, 0x288344A3928B2668]


@pytest.mark.parametrize(
    ("size", "key", "expected"),
    [
        (1000, "(1, 'a', 0)", [322, 693, 885, 43, 123, 359, 865, 323]),
        (64, "(1, 'blk', 0)", [15, 18, 17, 59, 23, 52, 40, 1]),
        (1_500_000, "(0, 'books2', 3)", [970_407, 171_690, 1_455_672, 1_162_097]),
    ],
)
def test_the_images_are_the_published_ones(size, key, expected):
    assert images(size, key, range(len(expected))) == expected


def test_the_inverses_are_the_published_ones():
    inverses = [636, 993, 613, 931, 668, 989, 239, 377]
    assert permutation(1000, key="(1, 'a', 0)").decode(np.arange(8)).tolist() == inverses
    assert images(1000, "(1, 'a', 0)", inverses) == list(range(8))


@pytest.mark.parametrize("size", [*SIZES, (1 << 20) + 1, 3_000_001, 1 << 40])
def test_decoding_undoes_encoding(size):
    index_N = np.unique(np.linspace(0, size - 1, 1001).astype(np.int64))
    order = permutation(size, key="(2, 'y', 5)")
    assert order.decode(order.encode(index_N)).tolist() == index_N.tolist()
    assert order.encode(order.decode(index_N)).tolist() == index_N.tolist()


def test_each_index_may_have_a_permutation_of_its_own():
    sizes, keys = SIZES, [f"key {size}" for size in SIZES]
    which_N = np.repeat(np.arange(len(sizes)), 30)
    index_N = np.arange(which_N.size) * 7 % np.array(sizes)[which_N]
    together = permutations(sizes, keys=keys, which_N=which_N)
    alone = [
        images(sizes[which], keys[which], [index])[0]
        for which, index in zip(which_N, index_N, strict=True)
    ]
    assert together.encode(index_N).tolist() == alone
    assert together.decode(np.array(alone)).tolist() == index_N.tolist()


def test_no_index_has_no_image():
    none = np.array([], dtype=np.int64)
    assert permutations([], keys=[], which_N=none).encode(none).size == 0
    assert permutation(7, key="k").decode(none).size == 0


@pytest.mark.parametrize("size", SIZES)
def test_every_index_is_an_image_once(size):
    assert sorted(images(size, "(3, 'x', 1)", range(size))) == list(range(size))


def test_an_image_does_not_depend_on_its_neighbours():
    whole = images(1000, "k", range(1000))
    assert [images(1000, "k", [index])[0] for index in range(0, 1000, 37)] == whole[::37]


def test_other_keys_give_other_permutations():
    assert images(1000, "(1, 'a', 0)", range(50)) != images(1000, "(1, 'a', 1)", range(50))


@pytest.mark.parametrize("size", [19_400_001, 1 << 20, 1_500_000])
@pytest.mark.parametrize("lag", [1, 4096])
def test_neighbours_end_up_anywhere(size, lag):
    # 64 bins: 63 expected, and the mean of 40 keys has a standard error of 1.8.
    found = [
        spread_of_differences(size, lag, permutation(size, key=str(key)).encode)
        for key in range(40)
    ]
    assert 55 <= np.mean(found) <= 71


def test_three_rounds_would_show_structure():
    found = []
    for key in range(40):
        four = permutation(1 << 20, key=str(key))
        three = Permutation(size=four.size, keys=four.keys[:3])
        found.append(spread_of_differences(1 << 20, 4096, three.encode))
    assert np.mean(found) > 100


def test_a_batch_spreads_over_its_source():
    # 16 bins: 15 expected.
    found = [
        chi_square(
            permutation(1_500_000, key=str(key)).encode(np.arange(512) + 512 * key), 1_500_000, 16
        )
        for key in range(40)
    ]
    assert 11 <= np.mean(found) <= 19
