"""The type of arrays, which shapes are said of."""

from typing import Any

import numpy as np
from jaxtyping import Int64

from growlm.corpus.arrays import NDArray


def test_shapes_can_be_said_of_it_whatever_numpy_makes_of_its_own() -> None:
    matrix: Any = Int64[NDArray[np.int64], "A B"]
    assert isinstance(np.zeros((2, 3), dtype=np.int64), matrix)
    assert not isinstance(np.zeros(2, dtype=np.int64), matrix)
