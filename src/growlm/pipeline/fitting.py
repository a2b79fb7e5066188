"""Fitting a stage into a device's memory: what it takes there, and the ways that take less."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from growlm.base.errors import RecipeError
from growlm.model.activations import Load, within
from growlm.model.loss import CHUNK_TOKENS
from growlm.model.memory import Moments, Needs, Setup, Sharding, needs
from growlm.pipeline.recomputing import NUMBERS, layers_of
from growlm.pipeline.stageplan import StagePlan

MIB = 2**20

CONTEXT_BYTES = 512 * MIB
"""What a CUDA context and its kernels take: assumed, not measured."""

COLLECTIVE_BYTES = 256 * MIB
"""What collectives take where there are several devices: assumed, not measured."""

GAP_SHARE = 0.05
"""What the allocator reserves beyond what is allocated, as a share of it: assumed, not measured."""

HALVING_SLOWDOWN = 0.02
SELECTIVE_SLOWDOWN = 0.03
ZERO_3_SLOWDOWN = 0.05
"""Time that a micro-batch of half the size, pointwise work done twice, and gathering weights for
every pass add: assumed, and used only to say what is cheapest."""

WAYS = 6
"""Ways to make a stage fit that are told, at most."""

Place = Literal["cuda", "cpu"]

Kept = Literal["none", "selective", "budget", "full"]
"""What a recipe's ``activation_checkpointing`` can be, from the most kept to the least."""

Dealt = Literal["none", "zero1", "hybrid", "zero3"]
"""What a recipe's ``sharding`` can be, from the most on each device to the least; none on one."""

_LEVELS: Mapping[str, tuple[str, ...]] = {
    "sharding": get_args(Dealt),
    "checkpointing": get_args(Kept),
    "moments": get_args(Moments),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run is planned on: devices of one kind.

    Raises:
        RecipeError: They do not make whole nodes.
    """

    place: Place
    memory_bytes: int
    """Of each device."""
    devices: int
    node_devices: int
    """Devices of one node, which hold the same as another node's under ``hybrid``."""
    price_per_hour: float | None
    """Of each device."""

    def __post_init__(self) -> None:
        """Refuse a node that is not whole."""
        node = self.node_devices
        if self.devices % node:
            raise RecipeError(
                f"--devices to be a multiple of --devices-per-node {node}",
                got=str(self.devices),
                fix=f"--devices {-(-self.devices // node) * node}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to make a stage fit."""

    micro_batch: int
    """Tokens."""
    sharding: Dealt
    checkpointing: Kept
    checkpointed: int
    """Layers that keep only that, where a budget decides."""
    moments: Moments
    bytes: int
    """Of one device, what is assumed included."""
    slowdown: float
    """Time that it is taken to add, as a share: an assumption, but for layers computed again."""
    settings: tuple[str, ...]
    """Values of ``--set`` that ask for it."""


_SHARDINGS: Mapping[Dealt, Sharding] = {
    "none": "replicated",
    "zero1": "zero-1",
    "hybrid": "zero-3",
    "zero3": "zero-3",
}


def setup_of(stage: StagePlan, machine: Machine, dealt: Dealt) -> Setup:
    """Return how the recipe says that a stage is trained."""
    setup = Setup(
        load=Load(sequences=1, context=stage.context, document_masking=stage.document_masking),
        accumulates=False,
        chunk_tokens=CHUNK_TOKENS,
        checkpointing="none",
        checkpointed=0,
        moments=stage.optimizer.moments,
        muon=stage.optimizer.kind == "muon",
        average=stage.ema is not None,
        sharding=_SHARDINGS[dealt],
        devices=machine.node_devices if dealt == "hybrid" else machine.devices,
        numbers=NUMBERS[machine.place],
    )
    return _with(setup, stage, machine, stage.micro_sequences)


def _with(setup: Setup, stage: StagePlan, machine: Machine, sequences: int) -> Setup:
    """Return a setup with another micro-batch, in which layers keep what the recipe says."""
    mode, first = layers_of(stage, setup.numbers, sequences=sequences)
    changed = _loaded(setup, stage, machine, sequences)
    return replace(changed, checkpointing=mode, checkpointed=first)


def _loaded(setup: Setup, stage: StagePlan, machine: Machine, sequences: int) -> Setup:
    """Return a setup with another micro-batch."""
    return replace(
        setup,
        load=replace(setup.load, sequences=sequences),
        accumulates=micro_batches(stage, machine, sequences) > 1,
    )


def micro_batches(stage: StagePlan, machine: Machine, sequences: int) -> int:
    """Return how many micro-batches of so many sequences a device takes in a step."""
    return max(1, math.ceil(stage.sequences / sequences / machine.devices))


def assumed(found: Needs, machine: Machine) -> dict[str, int]:
    """Return the bytes that no tensor accounts for, by what they are."""
    if machine.place == "cpu":
        return {}
    return {
        "CUDA context": CONTEXT_BYTES,
        "allocator gap": round(GAP_SHARE * found.peak),
        **({"collectives": COLLECTIVE_BYTES} if machine.devices > 1 else {}),
    }


def total_of(found: Needs, machine: Machine) -> int:
    """Return the bytes of a device's peak, what is assumed included."""
    return found.peak + sum(assumed(found, machine).values())


def largest(stage: StagePlan, machine: Machine, setup: Setup, *, most: int) -> int | None:
    """Return the most sequences, a part of the batch, with which a setup fits, or None.

    A budget in bytes is for the recipe's own micro-batch; with another one, all layers that are
    computed again stay so.
    """
    for sequences in range(most, 0, -1):
        if stage.sequences % sequences == 0:
            changed = _loaded(setup, stage, machine, sequences)
            if total_of(needs(stage.config, changed), machine) <= machine.memory_bytes:
                return sequences
    return None


def ways_to_fit(stage: StagePlan, machine: Machine, setup: Setup, dealt: Dealt) -> tuple[Way, ...]:
    """Return the ways that fit and in which nothing can be left out, cheapest first."""
    found = list(_fitting(stage, machine, setup, dealt))
    needed = [each for each in found if not any(_spares(other, each) for other in found)]
    needed.sort(key=lambda each: (_level(each, "moments"), each.slowdown))
    return tuple(needed[:WAYS])


def _fitting(stage: StagePlan, machine: Machine, setup: Setup, dealt: Dealt) -> Iterator[Way]:
    for sharding, mode, moments in itertools.product(
        _dealt(dealt, machine),
        _less(stage.activation_checkpointing, get_args(Kept)),
        ("float32",) if setup.muon else _less(setup.moments, get_args(Moments)),
    ):
        changed = replace(
            setup,
            sharding=_SHARDINGS[sharding],
            devices=setup.devices if sharding == "hybrid" else machine.devices,
            checkpointing="full" if mode == "budget" else mode,
            checkpointed=stage.config.layers,
            moments=moments,
        )
        sequences = largest(stage, machine, changed, most=stage.micro_sequences)
        if sequences is None:
            continue
        fitted = _loaded(changed, stage, machine, sequences)
        if mode == "budget":
            fitted = replace(fitted, checkpointed=_fewest(stage, machine, fitted))
            if fitted.checkpointed in (0, stage.config.layers):
                continue
        yield _way(stage, machine, fitted, mode=mode, sharding=sharding)


def _dealt(asked: Dealt, machine: Machine) -> tuple[Dealt, ...]:
    """Return the sharding that was asked for, and what leaves less on a device."""
    if machine.devices == 1:
        return ("none",)
    # Between the two, hybrid is a matter of the network.
    return ("zero1", "zero3") if asked == "zero1" else _less(asked, get_args(Dealt))


def _less(asked: str, every: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what was asked for, and what takes less memory."""
    return every[every.index(asked) :]


def _fewest(stage: StagePlan, machine: Machine, setup: Setup) -> int:
    """Return how few of the first layers must be computed again for a setup to fit, if all do."""

    def fits(first: int) -> bool:
        changed = replace(setup, checkpointed=first)
        return total_of(needs(stage.config, changed), machine) <= machine.memory_bytes

    return bisect_left(range(stage.config.layers), 1, key=fits)


def _way(stage: StagePlan, machine: Machine, setup: Setup, *, mode: Kept, sharding: Dealt) -> Way:
    tokens = setup.load.tokens
    budget = _budget(stage, setup) if mode == "budget" else None
    asked = {
        "micro_batch": (tokens, stage.micro_sequences * stage.context),
        "activation_checkpointing": (mode, stage.activation_checkpointing),
        "activation_budget": (budget, None),
        "optimizer.moments": (setup.moments, stage.optimizer.moments),
    }
    changes = {key: new for key, (new, old) in asked.items() if new != old}
    return Way(
        micro_batch=tokens,
        sharding=sharding,
        checkpointing=mode,
        checkpointed=setup.checkpointed,
        moments=setup.moments,
        bytes=total_of(needs(stage.config, setup), machine),
        slowdown=_slowdown(stage, setup),
        settings=tuple(f"stage.{stage.name}.{key}={value}" for key, value in changes.items()),
    )


def _budget(stage: StagePlan, setup: Setup) -> str:
    """Return the bytes that so many layers computed again keep to, and not one fewer."""
    held = within(stage.config, setup.load, setup.numbers, first=setup.checkpointed)
    one_less = within(stage.config, setup.load, setup.numbers, first=setup.checkpointed - 1)
    rounded = -(-held // MIB)
    return f"{rounded}MiB" if rounded * MIB < one_less else f"{held}B"


def _slowdown(stage: StagePlan, setup: Setup) -> float:
    """Return the time that a setup is taken to add, as a share."""
    halvings = math.log2(stage.micro_sequences / setup.load.sequences)
    share = setup.checkpointed / stage.config.layers
    again = {
        "none": 0.0,
        "selective": SELECTIVE_SLOWDOWN,
        "full": share * _layers_forward(stage) / stage.flops_per_token,
    }[setup.checkpointing]
    gathering = ZERO_3_SLOWDOWN if setup.sharding == "zero-3" else 0.0
    return HALVING_SLOWDOWN * halvings + again + gathering


def _layers_forward(stage: StagePlan) -> float:
    """Return the FLOPs per token of the layers' forward pass: a third of what they take in all."""
    head = 6.0 * stage.config.padded_vocab_size * stage.config.width
    return (stage.flops_per_token - head) / 3


def _spares(other: Way, way: Way) -> bool:
    """Return whether one way does with less than another, and gets as much."""
    pairs = [(_level(other, lever), _level(way, lever)) for lever in _LEVELS]
    less = all(theirs <= ours for theirs, ours in pairs) and any(a < b for a, b in pairs)
    return less and other.micro_batch >= way.micro_batch


def _level(way: Way, lever: str) -> int:
    return _LEVELS[lever].index(getattr(way, lever))
