"""Forks into ranks: worlds of any size train in turn, and say what they found.

The argument is a folder for what they save; the output is one JSON object.
"""

import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import fsdp

from growlm.base.errors import RecipeError, StorageError
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.ema import Ema
from growlm.optim.muon import muon
from growlm.optim.schedule import Cosine
from growlm.optim.sharded import sharded_like
from growlm.partfile import PATTERN, Parts
from growlm.tensorfile import Unread, load_tensors, save_tensors
from growlm.training.beside import Beside
from growlm.training.loop import Faster, train
from growlm.training.parallel import END, EndedError, World, started
from growlm.training.saving import Written
from growlm.training.state import TrainState, random_tensors, restore_random, seed_dropout
from growlm.training.step import Batch, StepSettings
from growlm.training.validation import validation_losses

SHAPE: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "kv_heads": 2,
    "width": 16,
    "head_width": 8,
    "mlp": 32,
    "context": 16,
    "vocab_size": 61,
    "padded_vocab_size": 64,
    "positions": "alibi",
    "norm": "layernorm",
    "activation": "gelu",
    "parallel": False,
    "qk_norm": False,
    "qkv_bias": True,
    "output_bias": True,
    "mlp_bias": True,
    "norm_bias": True,
    "tied": True,
    "norm_eps": 1e-5,
    "rotary_base": 10_000.0,
    "rotary_share": 1.0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
"""The shape that all tests share is a fixture's, which a process of its own cannot have."""

SETTINGS = AdamWSettings(peak_lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
STEPS = 3
GROWN = "layers.0.mlp.up.weight"
"""A matrix that growth is said to have made."""


def state_of(
    world: World,
    *,
    sharding: Any = "zero1",
    scaled: bool = False,
    moments: Any = "float32",
    all_kinds: bool = False,
    **changes: Any,
) -> Any:
    """Return the same first state in every world; of all kinds with Muon and an average."""
    config = GPTConfig(**{**SHAPE, **changes})
    fresh, model = GPT(config), GPT(config)
    initialize(fresh, torch.Generator().manual_seed(1))
    world.shard(model, sharding)
    optimizer = adamw(model, replace(SETTINGS, moments=moments), scaled=scaled)
    state = TrainState(model=model, optimizer=optimizer, step=0, cursor=0)
    if all_kinds:
        state.optimizer = muon(model, SETTINGS, momentum=0.9)
        state.ema = Ema(dict(model.named_parameters()), decay=0.5, every=1)
    state.load(fresh.state_dict(), factors() if scaled else {})
    return state


def factors() -> dict[str, Tensor]:
    """Return factors of some entries, as exact growth leaves them."""
    stream = torch.Generator().manual_seed(3)
    keys = ("lr_scale", "decay_scale", "eps_scale", "clip_weight")
    scales = {f"{key}.{GROWN}": 0.5 + torch.rand((32, 16), generator=stream) for key in keys}
    return scales | {"lr_scale.norm.weight": torch.tensor(0.5)}


def faster(state: TrainState) -> Faster:
    """Return the lower half of a matrix, as entries that learn at twice the rate."""
    parameter = state.model.get_parameter(GROWN)
    meant = torch.arange(32)[:, None] >= 16
    return Faster(entries=[(parameter, sharded_like(meant, parameter))], factor=lambda _: 2.0)


def batch(cursor: int, *, sequences: int = 6, masked: bool = False) -> Batch:
    """Return sequences that follow from the cursor; a mask counts unevenly over the ranks."""
    stream = torch.Generator().manual_seed(cursor)
    ids_BT = torch.randint(0, 60, (sequences, 9), generator=stream)
    counted_BT = torch.rand((sequences, 8), generator=stream) < 0.6 if masked else None
    if counted_BT is not None:
        counted_BT[-2:] = False
    return Batch(ids=ids_BT, documents=None, counted=counted_BT)


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a state and its steps differ from the plainest."""

    shape: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: Mapping[str, Any] = field(default_factory=dict[str, Any])
    micro: int = 6
    clip_norm: float = 1.0
    clip_value: float | None = None
    rewarmed: bool = False
    watched: bool = False


CASES = {
    "tied": Case(watched=True),
    "untied, masked, accumulated, uneven": Case(
        shape={"tied": False}, batch={"sequences": 5, "masked": True}, micro=1, clip_norm=0.1
    ),
    "zero3": Case(shape={"sharding": "zero3"}, batch={"masked": True}, micro=2, watched=True),
    "hybrid": Case(shape={"sharding": "hybrid"}, micro=2),
    "bfloat16": Case(shape={"moments": "bfloat16"}, watched=True),
    "8bit": Case(shape={"moments": "8bit", "sharding": "zero3"}, watched=True),
    "Muon and an average": Case(shape={"all_kinds": True}),
    "Muon in hybrid": Case(shape={"all_kinds": True, "sharding": "hybrid"}),
    "followed exactly": Case(shape={"scaled": True}, clip_norm=0.5, clip_value=0.01, rewarmed=True),
}


def steps_of(world: World, state: TrainState, case: Case, *, to: int = STEPS) -> dict[str, Any]:
    """Return what a stage logs, of so many steps."""
    records = list(
        train(
            state,
            lambda cursor: batch(cursor, **case.batch),
            Cosine(warmup_steps=1, steps=8, final_share=0.1),
            steps=to,
            peak_lr=1e-2,
            settings=StepSettings(
                micro_sequences=case.micro, clip_norm=case.clip_norm, clip_value=case.clip_value
            ),
            faster=faster(state) if case.rewarmed else None,
            world=world,
        )
    )
    return {
        "loss": [each.loss for each in records],
        "norm": [each.gradient_norm for each in records],
        # A bias of keys changes nothing, so its gradient and its step are nothing but rounding.
        "average": {
            name: float(each.norm())
            for name, each in state.average().items()
            if not name.endswith("key.bias")
        },
    }


def trained(world: World, name: str, where: Path) -> dict[str, Any]:
    """Train; a case that is watched validates before and after, and saves."""
    case = CASES[name]
    state = state_of(world, **case.shape)
    if not case.watched:
        return {**steps_of(world, state, case), "validation": []}
    windows = {"docs": batch(1000, sequences=5), "code": batch(1001, sequences=1)}
    before = validation_losses(state.model, windows, micro_sequences=2, world=world)
    found = steps_of(world, state, case)
    after = validation_losses(state.model, windows, micro_sequences=2, world=world)
    save(world, state, where / f"{name}-{world.size}")
    return {**found, "validation": [*before.values(), *after.values()]}


def save(world: World, state: TrainState, place: Path) -> None:
    """Save a state, as the first rank does."""
    weights, optimizer = state.weights(), state.optimizer_tensors()
    random = random_tensors(world)
    if world.leads:
        place.mkdir()
        save_tensors(place / "weights", weights)
        save_tensors(place / "optimizer", optimizer)
        save_tensors(place / "random", random)
    world.largest(0)  # nobody reads before all is written


def load(world: World, state: TrainState, place: Path, *, step: int) -> None:
    """Go on from a saved state."""
    state.load(Unread(place / "weights"), Unread(place / "optimizer"))
    restore_random(load_tensors(place / "random"), rank=world.rank)
    state.step, state.cursor = step, 6 * step


def goes_on(world: World, _name: str, where: Path) -> dict[str, Any]:
    """Go on from what two ranks saved, to twice as many steps."""
    state = state_of(world)
    load(world, state, where / "tied-2", step=STEPS)
    return steps_of(world, state, Case(), to=2 * STEPS)


def unbroken(world: World, _name: str, _where: Path) -> dict[str, Any]:
    """Do in one go what others do in two."""
    state = state_of(world)
    steps_of(world, state, Case())
    return steps_of(world, state, Case(), to=2 * STEPS)


def in_parts(world: World, _name: str, where: Path) -> dict[str, Any]:
    """Write parts of a state while training goes on to twice as many steps."""
    place = where / "parts"
    state = state_of(world, all_kinds=True)
    steps_of(world, state, Case())
    kinds = state.parts().items()
    written = Written(
        {f"{kind}.{name}": each for kind, some in kinds for name, each in some.items()}
    )
    group, digests = world.aside, dict[str, str]()
    if world.leads:
        place.mkdir()
    work = Beside(lambda: digests.update(written.write(place, group=group)))
    found = steps_of(world, state, Case(), to=2 * STEPS)
    work.wait()
    refused = Beside(lambda: digests.update(Written({}).write(where / "nowhere", group=group)))
    try:
        refused.wait()
    except StorageError as error:
        return {**found, "digests": digests, "refused": str(error)}
    raise AssertionError("a folder that is not there was written to")


def from_parts(world: World, _name: str, where: Path) -> dict[str, Any]:
    """Go on from the parts that two ranks wrote."""
    state = state_of(world, all_kinds=True)
    files = sorted((where / "parts").glob(PATTERN))
    state.load(Parts(files, "weights"), Parts(files, "optimizer"))
    assert state.ema is not None
    state.ema.load(Parts(files, "ema"))
    state.step, state.cursor = STEPS, 6 * STEPS
    return steps_of(world, state, Case(), to=2 * STEPS)


def dropped(world: World, _name: str, where: Path) -> dict[str, Any]:
    """Train with dropout, and again from the middle with every rank's own stream."""
    seed_dropout(1, "base", rank=world.rank)
    state, again = state_of(world, dropout=0.2), state_of(world, dropout=0.2)
    steps_of(world, state, Case(), to=1)
    save(world, state, where / f"dropped-{world.size}")
    first = steps_of(world, state, Case(), to=3)
    load(world, again, where / f"dropped-{world.size}", step=1)
    streams = {float(each) for each in world.each(torch.rand(1))}
    load(world, again, where / f"dropped-{world.size}", step=1)
    return {
        "unbroken": first,
        "gone on": steps_of(world, again, Case(), to=3),
        "streams": len(streams),
    }


def averaged(world: World, _name: str, _where: Path) -> dict[str, Any]:
    """Train as if every rank had counted all targets: what a mean over the ranks would be."""
    state = state_of(world)
    for each in state.model.modules():
        if isinstance(each, fsdp.FSDPModule):
            each.set_gradient_divide_factor(float(world.size))
    return steps_of(world, state, Case())


def talk(world: World, _name: str, _where: Path) -> dict[str, Any]:
    """Say and hear, decide alike, and leave word."""
    heard = ["base", "grown"]
    if world.leads:
        for text in (*heard, END):
            world.say(text)
    else:
        heard = [world.hear(), world.hear()]
        with suppress(EndedError):
            heard.append(world.hear())
        world.confess(f"heard {heard}")
    try:
        world.shard(GPT(GPTConfig(**SHAPE)), "hybrid")
        refused = ""
    except RecipeError as error:
        refused = str(error)
    return {
        "largest": world.largest(15 if world.rank == 1 else 0),
        "confession": world.confession(),
        "refused": refused,
    }


def spawn(size: int, node_size: int, work: Callable[[World], Any], where: Path) -> Any:
    """Fork so many ranks, wait for them, and return what the first one found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = where / "answer.json"
    children = [_fork(rank, (size, node_size, port), work, answer) for rank in range(size)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise SystemExit(f"ranks ended with {codes}")
    return json.loads(answer.read_text(encoding="utf-8"))


def _fork(rank: int, sizes: tuple[int, int, int], work: Any, answer: Path) -> int:
    child = os.fork()
    if child:
        return child
    names = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    os.environ |= dict(zip(names, map(str, sizes), strict=True))
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    code = 1
    try:
        with started() as world:
            found = work(world)
            if world.leads:
                answer.write_text(json.dumps(found), encoding="utf-8")
        code = 0
    except BaseException:  # noqa: BLE001 - the parent knows no more than the code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def everything(tasks: Mapping[str, Any], where: Path) -> Callable[[World], Any]:
    """Return work that does many tasks in one world, so that few worlds are started."""
    return lambda world: {name: task(world, name, where) for name, task in tasks.items()}


def main(where: Path) -> None:
    """Run every world in turn, and print what they found."""
    cases = dict.fromkeys(CASES, trained)
    two = {**cases, "dropped": dropped, "averaged": averaged, "talk": talk, "in parts": in_parts}
    uneven = "untied, masked, accumulated, uneven"
    parts = {"from parts": from_parts}
    three = {"goes on": goes_on, uneven: trained, "talk": talk, **parts}
    found = {
        "1": spawn(1, 1, everything({**cases, "unbroken": unbroken}, where), where),
        "2": spawn(2, 1, everything(two, where), where),
        "3": spawn(3, 2, everything(three, where), where),
        "4": spawn(4, 2, everything({**parts, "Muon in hybrid": trained}, where), where),
        "1 after 2": spawn(1, 1, everything({"goes on": goes_on, **parts}, where), where),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
