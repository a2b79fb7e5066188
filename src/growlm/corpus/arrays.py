"""The type of NumPy's arrays, by that of their entries, as something that shapes can be said of."""

from typing import Any, TypeVar

import numpy as np

Entry = TypeVar("Entry", bound=np.generic)

NDArray = np.ndarray[tuple[Any, ...], np.dtype[Entry]]
"""``NDArray[np.int64]``. NumPy's own alias of this name is no class from NumPy 2.5 on, and
jaxtyping takes nothing else."""
