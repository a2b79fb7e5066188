"""What tests of memory share: a count of the tensors that exist."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts the bytes of tensors that were made inside it and exist, each storage once.

    What an op makes for itself while it runs is not seen.
    """

    def __init__(self, before: Iterable[Tensor], *, peaks: bool) -> None:
        super().__init__()
        self.peaks = peaks
        self.before = [StorageWeakRef(each.untyped_storage()) for each in before]
        self.known = {each.cdata for each in self.before}
        self.held: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                reference = StorageWeakRef(storage)
                if reference.cdata not in self.known and reference.cdata not in self.held:
                    self.held[reference.cdata] = (reference, storage.nbytes())
                    self.most += storage.nbytes()
        if self.peaks and self.most > self.peak:  # only then can what exists be more than ever
            self.peak = max(self.peak, self.bytes)
        return found

    @property
    def bytes(self) -> int:
        """What exists now."""
        self.held = {key: each for key, each in self.held.items() if not each[0].expired()}
        self.most = sum(size for _, size in self.held.values())
        return self.most


@pytest.fixture
def live() -> Callable[..., Live]:
    """Return a function: tensors that were there before -> a context that counts the others."""
    return lambda *before, peaks=True: Live(before, peaks=peaks)


@pytest.fixture
def drawn() -> Callable[[int], None]:
    """Return a function that starts the global stream, which dropout draws from."""

    def start(seed: int) -> None:
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())

    return start
