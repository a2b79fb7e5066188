import numpy as np
import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.stretches import UNTRAINED, Stretch, check_stretches, steps_of


def stretch(first, end, *, step=1, batch=4):
    return Stretch(first_sample=first, end_sample=end, first_step=step, samples_per_step=batch)


def test_samples_of_a_batch_share_a_step():
    stretch_N, step_N = steps_of(np.arange(12), [stretch(0, 12)])
    assert stretch_N.tolist() == [0] * 12
    assert step_N.tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_each_stretch_counts_its_own_steps_in_its_own_batches():
    stretches = [stretch(0, 4), stretch(6, 10, step=1, batch=2), stretch(10, 11, step=7, batch=1)]
    stretch_N, step_N = steps_of(np.arange(12), stretches)
    assert stretch_N.tolist() == [0] * 4 + [-1] * 2 + [1] * 4 + [2, -1]
    assert step_N.tolist() == [1] * 4 + [-1] * 2 + [1, 1, 2, 2] + [7, -1]


def test_steps_go_on_behind_batches_that_were_skipped():
    stretches = [stretch(0, 8), stretch(12, 16, step=3)]
    assert steps_of(np.array([15, 9, 7]), stretches)[1].tolist() == [3, UNTRAINED, 2]


def test_without_stretches_nothing_was_trained_on():
    stretch_N, step_N = steps_of(np.arange(3), [])
    assert stretch_N.tolist() == step_N.tolist() == [UNTRAINED] * 3


def test_a_stretch_may_be_empty():
    assert steps_of(np.arange(5), [stretch(0, 0), stretch(0, 4)])[0].tolist() == [1] * 4 + [-1]


@pytest.mark.parametrize(
    "bad", [stretch(0, 7), stretch(8, 4), stretch(-4, 4), stretch(0, 4, batch=0)]
)
def test_stretches_of_parts_of_batches_are_refused(bad):
    with pytest.raises(CorpusError, match=r"whole batches; got samples .* in a step"):
        check_stretches([bad])


@pytest.mark.parametrize("later", [stretch(4, 12), stretch(0, 4)])
def test_stretches_that_overlap_or_go_back_are_refused(later):
    with pytest.raises(CorpusError, match="ends at sample 8, then one from sample"):
        steps_of(np.arange(3), [stretch(0, 8), later])
