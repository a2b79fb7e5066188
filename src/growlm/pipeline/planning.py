"""Planning a run on devices: whether each stage fits, what would help, how long, how much."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from growlm.base.errors import RecipeError
from growlm.base.units import format_bytes
from growlm.model.cost import training_flops_per_token
from growlm.model.memory import Moments, Needs, needs
from growlm.pipeline.checking import disk_bytes, disk_needed, free_bytes
from growlm.pipeline.fitting import (
    Dealt,
    Kept,
    Machine,
    Way,
    assumed,
    largest,
    micro_batches,
    setup_of,
    total_of,
    ways_to_fit,
)
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.timing import Clock
from growlm.runlog import Start, read

Known = Literal["stated", "assumed", "measured"]


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
    setup = setup_of(stage, machine, dealt)
    found = needs(stage.config, setup)
    total = total_of(found, machine)
    fits = total <= machine.memory_bytes
    fitting = largest(stage, machine, setup, most=stage.sequences)
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
        micro_batches=micro_batches(stage, machine, stage.micro_sequences),
        sharding=dealt,
        checkpointing=stage.activation_checkpointing,
        checkpointed=setup.checkpointed if setup.checkpointing != "none" else 0,
        layers=stage.config.layers,
        moments=stage.optimizer.moments,
        needs=found,
        assumed=assumed(found, machine),
        bytes=total,
        fits=fits,
        largest_micro_batch=fitting * stage.context if fitting else None,
        ways=() if fits else ways_to_fit(stage, machine, setup, dealt),
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
