"""Many ranks that train one model: what each takes of a batch, and what they tell each other."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Literal, cast

import torch
from torch import Tensor

from growlm.base.errors import RecipeError, TrainingError
from growlm.model.gpt import GPT
from growlm.training.pulse import Pulse

Sharding = Literal["zero1", "zero3", "hybrid"]

TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells every rank; without all of it a process is alone."""

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others inside a step, or for a checkpoint to be written."""

LONGEST_PAUSE = 0.5
"""Seconds between two looks at whether the first rank has said something."""

END = "."
"""What the first rank says last; no stage has that name."""


class EndedError(Exception):
    """The first rank has nothing left to do, or cannot go on."""


class World:
    """The ranks of a run, and this one among them.

    A process alone is the only rank of a world of one, in which nothing is ever sent.
    """

    def __init__(
        self, *, rank: int = 0, size: int = 1, node_size: int = 1, store: Any = None
    ) -> None:
        self.rank = rank
        self.size = size
        self.sharding: Sharding = "zero1"
        self._node_size = node_size
        self._store = store
        self._said = 0
        self._aside: Any = None
        self._left: dict[str, str] = {}
        self.pulse = Pulse()

    @property
    def leads(self) -> bool:
        """Whether this is the first rank, which prepares, writes and speaks."""
        return self.rank == 0

    @property
    def description(self) -> str:
        """What it adds to a device in words."""
        return f", {self.size} ranks, {self.sharding}" if self.size > 1 else ""

    def shard(self, model: GPT, sharding: Sharding) -> None:
        """Part a model over the ranks in place, layer by layer; its optimizer is made afterwards.

        Args:
            model: Equal on all ranks, or loaded afterwards.
            sharding: ``zero1`` gathers the weights once a step, ``zero3`` for every layer anew,
                ``hybrid`` the same within a node, between equal nodes.

        Raises:
            RecipeError: Hybrid, and the nodes do not have the same number of ranks.
        """
        if self.size == 1:
            return
        self.sharding = sharding
        from torch.distributed.fsdp import fully_shard

        mesh = self._mesh(sharding)
        for layer in model.layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=sharding != "zero1")
        # The loss reads the head after the root's forward, so the root stays whole until backward.
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        for part in _parts(model):
            # The loss is already divided by the targets of all ranks: gradients are added up.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)

    def _mesh(self, sharding: Sharding) -> Any:
        from torch.distributed.device_mesh import init_device_mesh

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if sharding != "hybrid":
            return init_device_mesh(device, (self.size,), mesh_dim_names=("ranks",))
        nodes, rest = divmod(self.size, self._node_size)
        if rest:
            raise RecipeError(
                "as many ranks on every node, for sharding = hybrid",
                got=f"{self.size} ranks, {self._node_size} on this node",
                fix="zero1 or zero3, or the same --nproc-per-node everywhere",
            )
        shape = (nodes, self._node_size)
        return init_device_mesh(device, shape, mesh_dim_names=("nodes", "ranks"))

    def begin_micro_batch(self, model: GPT, *, last: bool) -> None:
        """Let the next backward send gradients, or keep them until the last one of the step.

        With whole layers sharded, each backward sends them, as there is no room to keep them;
        then only what is sent between nodes waits for the last.
        """
        self.pulse.beat("trains")
        if self.size == 1:
            return
        root = cast(Any, model)
        root.set_is_last_backward(last)
        if self.sharding == "zero1":
            root.set_requires_gradient_sync(last)
            root.set_reshard_after_backward(last)
        else:
            root.set_requires_all_reduce(last)

    def part(self, model: GPT) -> None:
        """Part the weights again after a forward that no backward followed."""
        if self.size > 1:
            for part in _parts(model):
                part.reshard()

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all ranks."""
        if self.size == 1:
            return tensor
        import torch.distributed as dist

        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    def largest(self, number: int) -> int:
        """Return the largest of the ranks' numbers, so that all decide alike."""
        if self.size == 1:
            return number
        import torch.distributed as dist

        found = torch.tensor(number)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    @property
    def aside(self) -> Any:
        """A way for all ranks to talk on another thread than training's; all ask for it at once."""
        if self._aside is None:
            import torch.distributed as dist

            self._aside = dist.new_group(backend="gloo", timeout=PATIENCE)
        return self._aside

    def each(self, tensor: Tensor) -> list[Tensor]:
        """Return every rank's tensor, in their order; they have one shape."""
        if self.size == 1:
            return [tensor]
        import torch.distributed as dist

        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor)
        return found

    def say(self, text: str) -> None:
        """Tell the other ranks something; the first rank alone does, and nobody waits."""
        if self.size > 1:
            with suppress(RuntimeError):  # nobody is there to hear it
                self._store.set(f"said-{self._said}", text)
            self._said += 1

    def hear(self) -> str:
        """Return what the first rank says next, however long that takes.

        Raises:
            EndedError: It has said its last.
        """
        key = f"said-{self._said}"
        pause = 0.01
        # Asked for again and again: a wait inside torch is deaf to signals, and complains.
        while not self._store.check([key]):
            time.sleep(pause)
            pause = min(2.0 * pause, LONGEST_PAUSE)
        text = self._store.get(key).decode()
        if text == END:
            raise EndedError
        self._said += 1
        return text

    def leave_word(self, about: str, text: str) -> None:
        """Leave word for whoever asks, in place of what this rank left before; nobody waits."""
        if self.size == 1:
            self._left[about] = text
            return
        with suppress(RuntimeError):  # nobody is there to keep it
            self._store.set(f"{about}-{self.rank}", text)

    def words(self, about: str) -> dict[int, str]:
        """Return what the ranks left, by rank."""
        if self.size == 1:
            return {0: self._left[about]}
        found: dict[int, str] = {}
        with suppress(RuntimeError):
            for rank in range(self.size):
                if self._store.check([f"{about}-{rank}"]):
                    found[rank] = self._store.get(f"{about}-{rank}").decode()
        return found

    def confess(self, text: str) -> None:
        """Leave word of what ends this rank, for the first one to speak of, if that still hears."""
        if self.size > 1:
            with suppress(RuntimeError):
                self._store.set("confessed", f"rank {self.rank}: {text}")

    def confession(self) -> str | None:
        """Return what ended another rank, where it left word."""
        if self.size > 1:
            with suppress(RuntimeError):
                if self._store.check(["confessed"]):
                    return self._store.get("confessed").decode()
        return None


ALONE = World()
"""The world of a single process."""


@contextmanager
def started(*, patience_seconds: float | None = None) -> Generator[World, None, None]:
    """Yield the world that torchrun started this process in: of one where it did not.

    Ranks talk by gloo, and between GPUs by nccl.

    Args:
        patience_seconds: How long a rank may stand still, where somebody watches: torch is to be
            more patient, as it cannot say which it was.

    Raises:
        TrainingError: The ranks do not find each other.
    """
    if not all(os.environ.get(name) for name in TOLD) or os.environ["WORLD_SIZE"] == "1":
        yield World()
        return
    import torch.distributed as dist

    watched = timedelta(seconds=2.0 * patience_seconds) if patience_seconds else PATIENCE
    world = _met(max(watched, PATIENCE))
    yield world
    # Not after an error: another rank may never answer again.
    dist.destroy_process_group()


def _met(patience: timedelta) -> World:
    """Return the world, once all ranks have found each other."""
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import (
        rendezvous,  # pyright: ignore[reportUnknownVariableType]
    )

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    # Torchrun keeps the store for ranks that it starts anew: they must not hear the dead.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        whole, rank, size = next(iter(rendezvous("env://", timeout=PATIENCE)))
        store = PrefixStore(f"attempt-{attempt}", whole)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            "all ranks to find each other",
            got=f"'{str(error).splitlines()[0]}'",
            fix="an address and a port of the first node that all nodes reach",
        ) from error
    node_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return World(rank=rank, size=size, node_size=node_size, store=store)


def is_lost(error: RuntimeError) -> bool:
    """Return whether an error says that another rank no longer answers."""
    import torch.distributed as dist

    words = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in words or "nccl" in words


def _parts(model: GPT) -> Iterator[Any]:
    """Yield the modules that are sharded on their own."""
    from torch.distributed.fsdp import FSDPModule

    return (each for each in model.modules() if isinstance(each, FSDPModule))
