"""Planning a run on devices: whether each stage fits, what would help, how long, how much."""

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from growlm.base.errors import RecipeError
from growlm.base.units import format_bytes
from growlm.model.cost import training_flops_per_token
from growlm.model.loss import CHUNK_TOKENS
from growlm.model.memory import (
    Load,
    Moments,
    Needs,
    Setup,
    Sharding,
    needs,
    within,
)
from growlm.pipeline.checking import disk_bytes, disk_needed, free_bytes
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.recomputing import NUMBERS, layers_of
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.timing import Clock
from growlm.runlog import Start, read

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
Known = Literal["stated", "assumed", "measured"]

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
class Assumption:
    """The speed that somebody states or assumes, where no run log knows it.

    Raises:
        RecipeError: A share of a peak that it does not name, or a peak of which it takes no share.
    """

    tokens_per_second: float | None
    """Of each device."""
    mfu: float | None
    """Model FLOPs utilisation: a share of the device's peak."""
    peak_flops: float | None
    """FLOPs per second of each device, at most."""

    def __post_init__(self) -> None:
        """Refuse one of the two that say a speed together."""
        if (self.mfu is None) == (self.peak_flops is None):
            return
        given, missing = ("--mfu", "--peak-flops 989e12")
        if self.mfu is None:
            given, missing = ("--peak-flops", "--mfu 0.4")
        raise RecipeError(f"{missing.split()[0]} beside {given}", got="none", fix=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a stage trains on one device."""

    tokens_per_second: float
    known: Known
    words: str
    """Where it comes from."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutlook:
    """What a stage needs of one device, and of everybody's time and money."""

    name: str
    parameters: int
    context: int
    batch: int
    micro_batch: int
    """Tokens."""
    micro_batches: int
    """Of one device in one step."""
    sharding: Dealt
    checkpointing: Kept
    checkpointed: int
    """Layers that keep only that, the first ones."""
    layers: int
    moments: Moments
    needs: Needs
    assumed: Mapping[str, int]
    """Bytes that no tensor accounts for, by what they are."""
    bytes: int
    """The peak and what is assumed."""
    fits: bool
    largest_micro_batch: int | None
    """Tokens, with the recipe's settings; None if not even one sequence fits."""
    ways: tuple[Way, ...]
    """To make it fit, if it does not: those that keep the numbers first, then the fastest."""
    tokens: int
    flops_per_token: float
    """Of the ledger: half of the attention matrix is counted."""
    flops_per_token_whole: float
    """Of MFU: the whole attention matrix is counted."""
    flops: float
    speed: Speed | None
    seconds: float | None
    cost: float | None
    disk_bytes: int
    """Of all of its checkpoints that exist at once."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a recipe needs of a machine."""

    name: str
    machine: Machine
    stages: tuple[StageOutlook, ...]
    disk_bytes: int
    """That checkpoints of the stages that are not done yet will take, with a margin."""
    free_bytes: int
    """On the disk where they will lie."""
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def outlook(
    plan: Plan,
    machine: Machine,
    assumption: Assumption,
    *,
    path: Path,
    folder: RunFolder | None,
) -> Outlook:
    """Return what a plan needs of a machine, before anything runs.

    Args:
        plan: The plan.
        machine: The devices.
        assumption: The speed, where no run log knows it.
        path: Where the run will lie.
        folder: The run's folder if it is there: its run logs know how fast it was.

    Raises:
        RecipeError: A budget is too small for a stage's layers.
    """
    needed, free = disk_needed([(plan, folder)]), free_bytes(path)
    return Outlook(
        name=plan.experiment.name,
        machine=machine,
        stages=tuple(
            _stage(stage, machine, _speed(stage, assumption, folder), plan.experiment.sharding)
            for stage in plan.stages
        ),
        disk_bytes=needed,
        free_bytes=free,
        notes=tuple(_warnings(needed=needed, free=free)),
    )


def _warnings(*, needed: int, free: int) -> Iterator[str]:
    """Yield why a run would be refused."""
    if needed > free:
        yield (
            f"here the run would be refused: its checkpoints need {format_bytes(needed)} on a disk "
            f"with {format_bytes(free)} free"
        )


def _stage(
    stage: StagePlan, machine: Machine, speed: Speed | None, sharding: Dealt
) -> StageOutlook:
    dealt = sharding if machine.devices > 1 else "none"
    setup = _setup(stage, machine, dealt)
    found = needs(stage.config, setup)
    total = _total(found, machine)
    fits = total <= machine.memory_bytes
    fitting = _largest(stage, machine, setup, most=stage.sequences)
    whole = training_flops_per_token(stage.config, context=stage.context, causal=1.0)
    seconds = stage.tokens / speed.tokens_per_second / machine.devices if speed else None
    price = machine.price_per_hour
    cost = None if seconds is None or price is None else seconds / 3600 * price * machine.devices
    return StageOutlook(
        name=stage.name,
        parameters=stage.parameters,
        context=stage.context,
        batch=stage.batch_tokens,
        micro_batch=stage.micro_sequences * stage.context,
        micro_batches=_micro_batches(stage, machine, stage.micro_sequences),
        sharding=dealt,
        checkpointing=stage.activation_checkpointing,
        checkpointed=setup.checkpointed if setup.checkpointing != "none" else 0,
        layers=stage.config.layers,
        moments=stage.optimizer.moments,
        needs=found,
        assumed=_assumed(found, machine),
        bytes=total,
        fits=fits,
        largest_micro_batch=fitting * stage.context if fitting else None,
        ways=() if fits else _ways(stage, machine, setup, dealt),
        tokens=stage.tokens,
        flops_per_token=stage.flops_per_token,
        flops_per_token_whole=whole,
        flops=stage.flops,
        speed=speed,
        seconds=seconds,
        cost=cost,
        disk_bytes=disk_bytes(stage),
        notes=tuple(_notes(stage, machine)),
    )


_SHARDINGS: Mapping[Dealt, Sharding] = {
    "none": "replicated",
    "zero1": "zero-1",
    "hybrid": "zero-3",
    "zero3": "zero-3",
}


def _setup(stage: StagePlan, machine: Machine, dealt: Dealt) -> Setup:
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
        accumulates=_micro_batches(stage, machine, sequences) > 1,
    )


def _micro_batches(stage: StagePlan, machine: Machine, sequences: int) -> int:
    return max(1, math.ceil(stage.sequences / sequences / machine.devices))


def _assumed(found: Needs, machine: Machine) -> dict[str, int]:
    if machine.place == "cpu":
        return {}
    return {
        "CUDA context": CONTEXT_BYTES,
        "allocator gap": round(GAP_SHARE * found.peak),
        **({"collectives": COLLECTIVE_BYTES} if machine.devices > 1 else {}),
    }


def _total(found: Needs, machine: Machine) -> int:
    return found.peak + sum(_assumed(found, machine).values())


def _largest(stage: StagePlan, machine: Machine, setup: Setup, *, most: int) -> int | None:
    """Return the most sequences, a part of the batch, with which a setup fits, or None.

    A budget in bytes is for the recipe's own micro-batch; with another one, all layers that are
    computed again stay so.
    """
    for sequences in range(most, 0, -1):
        if stage.sequences % sequences == 0:
            changed = _loaded(setup, stage, machine, sequences)
            if _total(needs(stage.config, changed), machine) <= machine.memory_bytes:
                return sequences
    return None


def _ways(stage: StagePlan, machine: Machine, setup: Setup, dealt: Dealt) -> tuple[Way, ...]:
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
        sequences = _largest(stage, machine, changed, most=stage.micro_sequences)
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
        return _total(needs(stage.config, changed), machine) <= machine.memory_bytes

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
        bytes=_total(needs(stage.config, setup), machine),
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


def _speed(stage: StagePlan, assumption: Assumption, folder: RunFolder | None) -> Speed | None:
    """Return how fast a stage trains: as stated, else as its run log has it, else as assumed."""
    if assumption.tokens_per_second is not None:
        return Speed(
            tokens_per_second=assumption.tokens_per_second, known="stated", words="as stated"
        )
    measured = _measured(stage, folder) if folder else None
    if measured or assumption.mfu is None or assumption.peak_flops is None:
        return measured
    whole = training_flops_per_token(stage.config, context=stage.context, causal=1.0)
    return Speed(
        tokens_per_second=assumption.mfu * assumption.peak_flops / whole,
        known="assumed",
        words=f"{assumption.mfu:.0%} of {assumption.peak_flops:.4g} FLOPs per second",
    )


def _measured(stage: StagePlan, folder: RunFolder) -> Speed | None:
    log = folder.log(stage.name)
    records = list(read(log)) if log.is_file() else []
    clock = Clock(grace_seconds=None)
    clock.recall(records)
    devices = [each.device for each in records if isinstance(each, Start)]
    if not clock.step:
        return None
    words = f"the last {len(clock.steps)} steps of its run log"
    return Speed(
        tokens_per_second=stage.batch_tokens / clock.step,
        known="measured",
        words=f"{words}, on {devices[-1]}" if devices else words,
    )


def _notes(stage: StagePlan, machine: Machine) -> Iterator[str]:
    share = stage.micro_sequences * machine.devices
    if stage.sequences % share:
        yield (
            f"stage '{stage.name}': a batch of {stage.sequences:,} sequences is not a whole number "
            f"of micro-batches of {stage.micro_sequences:,} on each of {machine.devices:,} devices"
        )
