import numpy as np
import pytest

from growlm.evaluation.bootstrap import interval


def test_documents_that_are_all_alike_leave_no_doubt():
    found = interval([2.0] * 9, [4.0] * 9, name="x")
    assert (found.low, found.high) == (0.5, 0.5)


def test_the_interval_is_that_of_the_normal_law_for_many_documents():
    # 400 documents of one byte: the mean of their bits strays by 1 / sqrt(400).
    bits = np.random.default_rng(1).normal(3.0, 1.0, 400)
    found = interval(bits.tolist(), [1.0] * 400, name="x")
    wanted = 1.96 * bits.std() / 20
    # 1,000 resamples leave a twentieth of a tail's width.
    assert found.low == pytest.approx(bits.mean() - wanted, abs=0.02)
    assert found.high == pytest.approx(bits.mean() + wanted, abs=0.02)


def test_a_name_gives_the_same_interval_and_another_one_another():
    above, below = [1.0, 2.0, 4.0], [1.0, 1.0, 1.0]
    assert interval(above, below, name="a") == interval(above, below, name="a")


def test_empty_documents_alone_in_a_resample_are_left_out():
    found = interval([0.0, 2.0], [0.0, 1.0], name="x")
    assert (found.low, found.high) == (2.0, 2.0)
