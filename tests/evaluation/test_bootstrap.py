import numpy as np
import pytest

from growlm.evaluation.bootstrap import interval


def test_documents_that_are_all_alike_leave_no_doubt():
    found = interval([2.0] * 9, [4.0] * 9)
    assert (found.low, found.high, found.stderr) == (0.5, 0.5, 0.0)


def test_the_interval_is_that_of_the_normal_law_for_many_documents():
    # 400 documents of one byte: the mean of their bits strays by 1 / sqrt(400).
    bits = np.random.default_rng(1).normal(3.0, 1.0, 400)
    found = interval(bits.tolist(), [1.0] * 400)
    wanted = 1.96 * bits.std() / 20
    # 1,000 resamples leave a twentieth of a tail's width.
    assert found.low == pytest.approx(bits.mean() - wanted, abs=0.02)
    assert found.high == pytest.approx(bits.mean() + wanted, abs=0.02)
    # and of the spread about 1 / sqrt(2 * 1,000)
    assert found.stderr == pytest.approx(bits.std() / 20, rel=0.1)


def test_the_same_documents_stray_alike_every_time_and_by_their_scale():
    above, below = [1.0, 2.0, 4.0], [1.0, 1.0, 1.0]
    once, doubled = interval(above, below), interval([2 * each for each in above], below)
    assert interval(above, below) == once
    assert (doubled.low, doubled.high, doubled.stderr) == (
        2 * once.low,
        2 * once.high,
        2 * once.stderr,
    )


def test_empty_documents_alone_in_a_resample_are_left_out():
    found = interval([0.0, 2.0], [0.0, 1.0])
    assert (found.low, found.high) == (2.0, 2.0)
