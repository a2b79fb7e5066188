"""A process that forks: growlm is loaded once, and each child runs one command, to die in it.

Each line of standard input is an order; its answer is the child's exit code, negative for a signal.
"""

import gc
import json
import os
import resource
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorboardX
import tiktoken
import torch
from torch import _dynamo
from torch.distributed import fsdp, tensor
from torch.distributed.launcher import api

from growlm import checkpoint, tensorfile
from growlm.base.errors import CorpusError
from growlm.cli import average, check, evaluate, grow, inspect, log, prepare, run, train
from growlm.cli.main import main
from growlm.corpus import documents
from growlm.corpus.overlap import canary
from growlm.pipeline import engine, training, turns
from growlm.pipeline.keeping import latest_checkpoint
from growlm.report import page
from growlm.runlog import AnyRecord, Step, Writer
from growlm.training import step as steps

LOADED = (
    *(_dynamo, fsdp, tensor, tensorboardX, tiktoken),
    *(average, check, evaluate, grow, inspect, log, prepare, run, train),
)
"""What children would take seconds to load; the optimizer wakes dynamo."""

MOMENTS = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")
"""Calls of the system that change the disk; a kill may come before or after each."""


class Countdown:
    """Kills this very process at the n-th chance, from its start or from a step on."""

    def __init__(self, step: str | None, chances: int) -> None:
        self.step = step
        self.armed = step is None
        self.left = chances

    def __call__(self) -> bool:
        """Take a chance, and return whether it was the last."""
        self.left -= self.armed
        return self.armed and self.left == 0

    def after(self, event: Callable[..., Any]) -> Callable[..., Any]:
        """Return an event that is watched for the step."""

        def watched(*, step: str) -> Any:
            self.armed = self.armed or step == self.step
            return event(step=step)

        return watched

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call of the system with a chance before it and one after."""

        def risky(*arguments: Any, **options: Any) -> Any:
            self.risk()
            result = call(*arguments, **options)
            self.risk()
            return result

        return risky

    def risk(self) -> None:
        """Die, if it is time."""
        if self():
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(step: str | None, chances: int) -> None:
    """Die at the n-th moment at which the disk changes, some of them halfway through.

    Moments count from when a step begins or is skipped; from the command's start when None.
    """
    countdown = Countdown(step, chances)
    engine.Begun, engine.Skipped = map(countdown.after, (engine.Begun, engine.Skipped))
    risk_the_disk(countdown)


def kill_in_save(name: str, chances: int) -> None:
    """Die at the n-th moment at which the disk changes while a checkpoint is saved."""
    countdown = Countdown(name, chances)
    risk_the_disk(countdown)
    save = checkpoint.save

    def risky(path: Path, contents: checkpoint.Contents) -> checkpoint.Meta:
        countdown.armed = path.name == name
        meta = save(path, contents)
        countdown.armed = False
        return meta

    checkpoint.save = risky


def kill_copies_in_save(name: str, report: str) -> None:
    """Let copies of this process die while they save a checkpoint, one at each change of the disk.

    The report lists which checkpoint was the last whole one after each.
    """
    save = checkpoint.save

    def risky(path: Path, contents: checkpoint.Contents) -> checkpoint.Meta:
        found: list[str] = []
        while path.name == name and dies(Countdown(None, len(found) + 1), path, contents):
            last = latest_checkpoint(path.parent)
            assert last is not None
            checkpoint.verify(last, checkpoint.read_meta(last))
            found.append(last.name)
            for left in (path, path.with_name(f".{name}.tmp")):
                shutil.rmtree(left, ignore_errors=True)
        if found:  # and the last copy was not killed
            shutil.rmtree(path)
            Path(report).write_text(json.dumps(found), encoding="utf-8")
        return save(path, contents)

    def dies(countdown: Countdown, path: Path, contents: checkpoint.Contents) -> bool:
        pid = os.fork()
        if pid == 0:
            risk_the_disk(countdown)
            save(path, contents)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    checkpoint.save = risky


def risk_the_disk(countdown: Countdown) -> None:
    """Let a countdown take a chance whenever the disk changes."""
    for name in MOMENTS:
        setattr(os, name, countdown.around(getattr(os, name)))
    save, write = tensorfile.save_file, Writer.write

    def save_half(tensors: Any, path: Path) -> None:
        save(tensors, path)
        if countdown():
            os.truncate(path, path.stat().st_size // 2)
            die()

    def write_half(self: Writer, record: AnyRecord) -> None:
        if countdown():
            line = record.model_dump_json().encode()
            self._file.write(line[: len(line) // 2])
            die()
        write(self, record)

    tensorfile.save_file = save_half
    Writer.write = write_half


def kill_in_text(step: str, texts: int) -> None:
    """Die when a step has read so many texts."""
    countdown = Countdown(step, texts)
    engine.Begun = countdown.after(engine.Begun)
    reading = documents._reading

    def risky(*arguments: Any) -> documents.Reading:
        countdown.risk()
        return reading(*arguments)

    documents._reading = risky


def kill_in_weights(pieces: int) -> None:
    """Die while weights are streamed, when so many pieces of them have been written."""
    countdown = Countdown(None, pieces)
    contents = tensorfile._contents

    def risky(name: str, shape: tuple[int, ...], given: Any) -> Any:
        for content in contents(name, shape, given):
            yield content
            countdown.risk()

    tensorfile._contents = risky


def signal_at(number: int, step: int) -> None:
    """Receive a signal right after a training step has been logged."""
    write = Writer.write

    def write_and_receive(self: Writer, record: AnyRecord) -> None:
        write(self, record)
        if isinstance(record, Step) and record.step == step:
            os.kill(os.getpid(), number)

    Writer.write = write_and_receive


def signal_in_save(name: str, number: int, seconds: float) -> None:
    """Receive a signal, if it is not 0, while a checkpoint is saved, which takes so long."""
    save = checkpoint.save

    def save_and_receive(path: Path, contents: checkpoint.Contents) -> checkpoint.Meta:
        if path.name == name:
            tensorfile.save_file = receive
        return save(path, contents)

    def receive(tensors: Any, path: Path) -> None:
        tensorfile.save_file = write
        write(tensors, path)
        if number:
            os.kill(os.getpid(), number)
        time.sleep(seconds)

    write, checkpoint.save = tensorfile.save_file, save_and_receive


def spoil(factors: dict[str, float]) -> None:
    """Multiply the loss of some steps of a stage that begins at sample 0 with 8 in a batch."""
    batch_at, loss_of = training.batch_at, steps.batch_loss_sum
    now = [1.0]

    def look(batches: Any, cursor: int, samples: int, *, masked: bool) -> Any:
        now[0] = factors.get(str(cursor // 8 + 1), 1.0)
        return batch_at(batches, cursor, samples, masked=masked)

    training.batch_at = look
    steps.batch_loss_sum = lambda *inputs, **options: loss_of(*inputs, **options) * now[0]


def limit_files(size: int) -> None:
    """Let no file grow beyond a size, as a quota does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def become(user: int) -> None:
    """Give root's rights away."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def in_ranks(size: int, restarts: int) -> None:
    """Run the command as torchrun does, in so many ranks; they are forks of this process."""
    config = api.LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=size,
        max_restarts=restarts,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
        monitor_interval=0.1,
    )
    alone = main

    def rank(words: list[str]) -> None:
        code = alone(words)
        sys.stdout.flush()
        if code:
            sys.exit(code)

    def launched(words: list[str]) -> int:
        try:
            api.elastic_launch(config, rank)(words)
        except Exception as error:  # noqa: BLE001 - it says which rank failed, and how
            sys.stderr.write(f"torchrun: {type(error).__name__}\n")
            return 1
        return 0

    globals()["main"] = launched


def second_rank(fate: str, step: int) -> None:
    """Let the second rank be killed, be asked to stop, or fail, after a training step.

    That happens once: not again when the ranks were started anew.
    """
    write = Writer.write

    def write_and_meet(self: Writer, record: AnyRecord) -> None:
        write(self, record)
        due = isinstance(record, Step) and record.step == step
        if not due or (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) != ("1", "0"):
            return
        if fate == "killed":
            die()
        if fate == "stopped":
            os.kill(os.getpid(), signal.SIGTERM)
        if fate == "failed":
            raise CorpusError("shards that can be read", got="none", fix="another disk")

    Writer.write = write_and_meet


def stall(rank: str, batches: int) -> None:
    """Let a rank find no end in reading a shard, after so many batches."""
    batch_at, left = training.batch_at, [batches]

    class Stuck:
        def __getitem__(self, _: slice) -> Any:
            time.sleep(60)

    def look(given: Any, cursor: int, samples: int, *, masked: bool) -> Any:
        left[0] -= 1
        if left[0] < 0 and os.environ.get("RANK", "0") == rank:
            for stream in given.streams:
                stream._shards = [Stuck() for _ in stream._shards]
        return batch_at(given, cursor, samples, masked=masked)

    training.batch_at = look


def chunk_characters(number: int) -> None:
    """Let an evaluation have many chunks, so that there is something for every rank."""
    turns.CHUNK_CHARACTERS = number


def run_first(path: str) -> None:
    """Run a script before the command, in its own process: in every rank, where there are some."""
    alone = main

    def after(words: list[str]) -> int:
        runpy.run_path(path)
        return alone(words)

    globals()["main"] = after


def run_script(path: str, *arguments: str) -> None:
    """Run a script with all that is loaded here, in place of a command."""
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")
    sys.stdout.flush()
    os._exit(0)


MISHAPS: dict[str, Callable[..., None]] = {
    "kill_at": kill_at,
    "kill_in_text": kill_in_text,
    "kill_in_weights": kill_in_weights,
    "kill_copies_in_save": kill_copies_in_save,
    "kill_in_save": kill_in_save,
    "signal_at": signal_at,
    "signal_in_save": signal_in_save,
    "spoil": spoil,
    "limit_files": limit_files,
    "become": become,
    "run_first": run_first,
    "run_script": run_script,
    "in_ranks": in_ranks,
    "second_rank": second_rank,
    "stall": stall,
    "chunk_characters": chunk_characters,
}


def make_ready() -> None:
    """Make runs alike, and leave out of their logs what takes long and says nothing here."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    canary.COPIES = 2
    page.png = lambda *_, **__: b"png"
    page.html = lambda *_, **__: "<html></html>"
    gc.collect()
    gc.freeze()  # what was loaded stays: a child's collection need not look at it, nor copy it


def run_child(order: dict[str, Any]) -> None:
    """Carry out one order and end this process."""
    for descriptor, path in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    try:
        for name, arguments in order["mishaps"].items():
            MISHAPS[name](*arguments)
        code = main(order["words"])
    except BaseException:  # noqa: BLE001 - the parent reads it
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    make_ready()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_child(order)
        if order["after_seconds"] is not None:
            time.sleep(order["after_seconds"])
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps(os.waitstatus_to_exitcode(status)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
