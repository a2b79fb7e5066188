"""Stretches of samples that shaped a model's weights, and the step that each sample fell to."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int64

from growlm.base.errors import CorpusError
from growlm.corpus.arrays import NDArray

UNTRAINED = -1
"""The stretch and the step of a sample that no weights learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Samples that a model was trained on, or will be, batch after batch without a gap."""

    first_sample: int

    end_sample: int
    """The sample after the last."""

    first_step: int
    """The number of the step that the first batch fell to."""

    samples_per_step: int


def check_stretches(stretches: Sequence[Stretch]) -> None:
    """Refuse stretches that are out of order, overlap, or are not made of whole batches.

    Raises:
        CorpusError: As said.
    """
    for each in stretches:
        samples, batch = each.end_sample - each.first_sample, each.samples_per_step
        if each.first_sample < 0 or samples < 0 or batch < 1 or samples % batch:
            raise CorpusError(
                "stretches of whole batches",
                got=f"samples {each.first_sample:,} to {each.end_sample:,}, {batch:,} in a step",
                fix="the cursors at which the stage began and ended, and its batch",
            )
    for earlier, later in pairwise(stretches):
        if later.first_sample < earlier.end_sample:
            raise CorpusError(
                "stretches in order, none of which overlap",
                got=f"one that ends at sample {earlier.end_sample:,}, then one from sample "
                f"{later.first_sample:,}",
                fix="those of one lineage, the oldest first",
            )


def steps_of(
    sample_N: Int64[NDArray[np.int64], "N"], stretches: Sequence[Stretch]
) -> tuple[Int64[NDArray[np.int64], "N"], Int64[NDArray[np.int64], "N"]]:
    """Return (stretch, step) of each sample: the stretch by its index, the step as it counts.

    Both are ``UNTRAINED`` for a sample that lies in no stretch: it was skipped, or its training was
    undone, or it has not come yet.

    Args:
        sample_N: Counted from 0, over the whole lineage.
        stretches: Those of the lineage, the oldest first.

    Raises:
        CorpusError: Stretches are out of order, or not made of whole batches.
    """
    check_stretches(stretches)
    stretch_N = np.full_like(sample_N, UNTRAINED)
    step_N = np.full_like(sample_N, UNTRAINED)
    for index, each in enumerate(stretches):
        inside = (sample_N >= each.first_sample) & (sample_N < each.end_sample)
        batch_I = (sample_N[inside] - each.first_sample) // each.samples_per_step
        stretch_N[inside] = index
        step_N[inside] = each.first_step + batch_I
    return stretch_N, step_N
