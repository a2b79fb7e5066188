"""Mirrors of the run log: what they show is what it says, also after a stop."""

import struct
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboardX.proto import event_pb2

from growlm.base.errors import RecipeError, StorageError
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.following import Follower, scalars
from growlm.pipeline.mirroring import Mirrors, Service, TensorBoard, service
from growlm.recipe.sections import Log
from growlm.runlog import Step, Writer, read, rewind

PROTO: Any = event_pb2


def events(path):
    """Return the events of a file of length, its checksum, the event, and that one's checksum."""
    content, found = path.read_bytes(), []
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        found.append(PROTO.Event.FromString(content[12 : 12 + size]))
        content = content[16 + size :]
    return found


def shown(folder):
    """Return the numbers in event files as TensorBoard joins them: a start voids what follows."""
    known = {}
    for path in sorted(folder.iterdir()):
        for event in events(path):
            if event.session_log.status == PROTO.SessionLog.START:
                known = {key: value for key, value in known.items() if key[1] < event.step}
            for value in event.summary.value:
                known[value.tag, event.step] = value.simple_value
    return known


def wanted(log):
    return {
        (name, record.step): pytest.approx(value)
        for record in read(log)
        for name, value in scalars(record).items()
    }


def step(number, loss=2.0):
    return Step(step=number, tokens=number * 8, loss=loss, lr=0.1, gradient_norm=1.0, seconds=0.5)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


def write(log, *records):
    writer = Writer(log)
    for record in records:
        writer.write(record)
    writer.close()


@pytest.mark.parametrize("stage", ["base", "grown", "scratch"])
def test_tensorboard_shows_the_run_log_of_every_stage(finished, stage):
    folder = RunFolder(path=finished / "run")
    assert shown(folder.tensorboard(stage)) == wanted(folder.log(stage))


def test_a_stage_that_goes_on_voids_what_was_shown_beyond_its_checkpoint(tmp_path, log):
    write(log, *(step(number) for number in range(1, 6)))
    first = Mirrors(log, [TensorBoard(tmp_path / "tb", step=0)], step=0)
    first.close()
    rewind(log, step=3)
    second = Mirrors(log, [TensorBoard(tmp_path / "tb", step=3)], step=3)
    write(log, *(step(number, loss=1.0) for number in range(4, 8)))
    second.close()
    assert shown(tmp_path / "tb") == wanted(log)
    assert shown(tmp_path / "tb")["train/loss", 5] == 1.0


def test_a_stage_that_begins_anew_shows_nothing_of_before(tmp_path, log):
    write(log, step(1))
    Mirrors(log, [TensorBoard(tmp_path / "tb", step=0)], step=0).close()
    log.unlink()
    Mirrors(log, [TensorBoard(tmp_path / "tb", step=0)], step=0).close()
    assert shown(tmp_path / "tb") == {}


def test_a_torn_line_waits_for_its_end(log):
    write(log, step(1))
    follower = Follower(log)
    assert [record.step for record in follower.new()] == [1]
    line = step(2).model_dump_json().encode()
    with log.open("ab") as file:
        file.write(line[:20])
        file.flush()
        assert list(follower.new()) == []
        file.write(line[20:] + b"\n")
    assert [record.step for record in follower.new()] == [2]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        TensorBoard(tmp_path / "file" / "tb", step=3)


@pytest.fixture
def wandb(monkeypatch):
    """Stand in for a service, and keep what it is told."""
    module: Any = ModuleType("wandb")
    calls: list[Any] = []
    module.init = lambda **words: calls.append(("init", words))
    module.log = lambda values, step: calls.append((step, values))
    module.finish = lambda: calls.append("finish")
    monkeypatch.setitem(sys.modules, "wandb", module)
    return SimpleNamespace(module=module, calls=calls)


def test_a_service_is_told_what_the_log_says(tmp_path, log, wandb):
    write(log, step(1), step(2))
    found = Service(service("wandb"), project="tiny", stage="base", folder=tmp_path / "wandb")
    Mirrors(log, [found], step=0).close()
    words = {"project": "tiny", "name": "base", "resume": "allow", "id": "tiny-base"}
    assert wandb.calls == [
        ("init", {**words, "dir": str(tmp_path / "wandb")}),
        (1, scalars(step(1))),
        (2, scalars(step(2))),
        "finish",
    ]


def test_a_service_that_fails_ends_no_training_and_is_told_of_once(tmp_path, log, wandb):
    def refuse(*_, **__):
        raise ConnectionError("no route\nto host")

    wandb.module.log = refuse
    write(log, step(1))
    found = Service(wandb.module, project="tiny", stage="base", folder=tmp_path / "wandb")
    mirrors = Mirrors(log, [found], step=0)
    assert mirrors.catch_up() == ["wandb shows no more of it: no route to host"]
    write(log, step(2))
    assert mirrors.catch_up() == []
    mirrors.close()


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_service_that_is_not_installed_is_refused_before_anything_runs(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert Log(title="t", mirrors=(name,)).mirrors == (name,)
    with pytest.raises(RecipeError) as told:
        service(name)
    assert str(told.value) == (
        f"expected the package {name}, which log.mirrors asks for; got a Python without it. "
        f"Try pip install {name}."
    )
