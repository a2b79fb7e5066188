import numpy as np
import pytest

from growlm.corpus.clusters import Signatures, first_of_each
from growlm.corpus.signatures import HASHES


def rows(*key, count=1):
    return np.random.default_rng(key).integers(0, 2**60, (count, HASHES), dtype=np.uint64)


def near(row, *, share):
    changed = row.copy()
    count = round((1 - share) * HASHES)
    changed[:, HASHES - count :] = rows(9, int(share * 1000))[:, :count]
    return changed


def test_alike_signatures_are_put_to_the_first_of_them():
    one, other = rows(1), rows(2)
    second = np.concatenate([rows(3), near(one, share=0.9), other])
    found = Signatures([np.concatenate([other, one]), second])
    assert first_of_each(found, least=0.7).tolist() == [0, 1, 2, 1, 0]


def test_a_chain_is_one_cluster():
    one = rows(1)
    two = near(one, share=0.8)
    three = two.copy()
    three[:, :16] = rows(5)[:, :16]
    found = Signatures([np.concatenate([one, two, three])])
    assert first_of_each(found, least=0.75).tolist() == [0, 0, 0]


def test_signatures_that_share_a_band_but_little_else_stay_apart():
    one = rows(1)
    found = Signatures([np.concatenate([one, near(one, share=0.2)])])
    assert first_of_each(found, least=0.7).tolist() == [0, 1]
    assert first_of_each(found, least=0.1).tolist() == [0, 0]


def test_how_they_are_filed_does_not_show():
    drawn = [rows(n % 7) for n in range(40)]
    whole = np.concatenate([row if n % 3 else near(row, share=0.9) for n, row in enumerate(drawn)])
    wanted = first_of_each(Signatures([whole]), least=0.7).tolist()
    for parts in (4, 14):
        found = Signatures(np.array_split(whole, parts))
        assert first_of_each(found, least=0.7).tolist() == wanted
        numbers = np.array([39, 0, 17])
        assert (found.rows(numbers) == whole[numbers]).all()


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_no_trouble(count):
    assert first_of_each(Signatures([rows(1, count=count)]), least=0.7).tolist() == [0] * count
