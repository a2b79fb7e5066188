"""The run log: what is written comes back, and a kill costs the last line at most."""

import errno
import json
import math
import os
from pathlib import Path

import pytest

from growlm.base.errors import StorageError
from growlm.runlog import (
    AnyRecord,
    Apart,
    Copies,
    GpuMemory,
    Memory,
    Notice,
    Rollback,
    Saved,
    Start,
    Step,
    ValidationLoss,
    Writer,
    read,
    rewind,
)


def a_step(step: int, loss: float = 4.0) -> Step:
    return Step(
        step=step, tokens=64 * step, loss=loss, lr=0.1 + 0.2, gradient_norm=1e-9, seconds=0.5
    )


APART = Apart(copies=32, equal=0, largest=0.25, relative=0.125)

GPU = GpuMemory(
    allocated_bytes=3,
    reserved_bytes=4,
    peak_allocated_bytes=5,
    peak_reserved_bytes=7,
    gap_bytes=2,
    retries=0,
    ooms=0,
)

RECORDS: list[AnyRecord] = [
    Start(step=0, tokens=0, device="CPU, 2 threads", compiled=False, time="2024-05-01T00:00:00Z"),
    a_step(1),
    ValidationLoss(step=1, tokens=64, loss=3.5, losses={"docs": 3.0, "code": 4.0}),
    Memory(step=1, tokens=64, resident_bytes=2**31, peak_resident_bytes=2**32),
    a_step(2),
    Memory(step=2, tokens=128, resident_bytes=1, peak_resident_bytes=2, gpu=GPU),
    Copies(step=2, tokens=128, distance=None, spaces={"mlp": APART}),
    Saved(step=2, tokens=128, path="checkpoints/2", seconds=0.5),
    Rollback(step=2, tokens=128, to=1),
    Notice(step=2, tokens=128, text="caf\u00e9 \u2013 a line\nand another"),
    a_step(3),
]


def write(path: Path, records: list[AnyRecord]) -> None:
    writer = Writer(path)
    for record in records:
        writer.write(record)
    writer.sync()
    writer.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write(tmp_path / "stages" / "log.jsonl", RECORDS)
    return tmp_path / "stages" / "log.jsonl"


def test_records_come_back_in_order(log: Path) -> None:
    assert list(read(log)) == RECORDS


def test_a_line_is_one_json_object_that_names_its_kind(log: Path) -> None:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["kind"] for line in lines] == [record.kind for record in RECORDS]
    assert lines[2]["losses"] == {"docs": 3.0, "code": 4.0}


def test_a_record_is_on_its_way_to_the_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log.jsonl")
    writer.write(RECORDS[0])
    assert list(read(tmp_path / "log.jsonl")) == RECORDS[:1]
    writer.close()


def test_a_second_writer_goes_on_where_the_first_ended(log: Path) -> None:
    write(log, [a_step(4)])
    assert list(read(log)) == [*RECORDS, a_step(4)]


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_not_finite_comes_back_through_valid_json(
    tmp_path: Path, loss: float
) -> None:
    write(tmp_path / "log.jsonl", [a_step(1, loss)])

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads((tmp_path / "log.jsonl").read_text(encoding="utf-8"), parse_constant=refuse)
    (step,) = read(tmp_path / "log.jsonl")
    assert isinstance(step, Step)
    assert step.loss == loss or (math.isnan(loss) and math.isnan(step.loss))


def test_a_torn_last_line_is_left_out_wherever_it_was_torn(log: Path) -> None:
    content = log.read_bytes()
    last = content[:-1].rindex(b"\n") + 1
    for end in range(last, len(content)):
        log.write_bytes(content[:end])
        assert list(read(log)) == RECORDS[:-1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"not json", "line 3: Invalid JSON"),
        (b"", "line 3: Invalid JSON"),
        (b'{"kind": "steps", "step": 1, "tokens": 1}', "line 3: Input tag 'steps'"),
        (b'{"kind": "notice", "step": 1, "tokens": 1}', "line 3: Field required"),
        (b'{"kind":"notice","step":1,"tokens":1,"text":"","x":1}', "line 3: Extra inputs"),
        (b"\xff", "line 3: Invalid JSON"),
    ],
)
def test_a_bad_line_in_the_middle_is_refused_with_its_number(
    log: Path, line: bytes, words: str
) -> None:
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises(StorageError, match=rf"log\.jsonl to hold one record a line; got {words}"):
        list(read(log))


def test_a_missing_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a file that is there"):
        list(read(tmp_path / "none.jsonl"))


def test_rewinding_drops_what_came_after_the_step_and_a_torn_line(log: Path) -> None:
    before = log.read_bytes()
    log.write_bytes(before + b'{"kind": "st')
    rewind(log, step=2)
    assert list(read(log)) == RECORDS[:-1]
    assert before.startswith(log.read_bytes())
    write(log, [a_step(3)])
    assert log.read_bytes() == before


def test_rewinding_to_the_end_changes_no_byte(log: Path) -> None:
    before = log.read_bytes()
    rewind(log, step=3)
    assert log.read_bytes() == before


def test_rewinding_a_log_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    rewind(tmp_path / "none.jsonl", step=0)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_closing_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path / "log.jsonl")
    writer.write(RECORDS[0])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="a disk with room left; got 'No space left"):
        writer.sync()
    writer.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_record_the_disk_refuses_is_one_line_and_is_not_written_later() -> None:
    writer = Writer(Path("/dev/full"))
    with pytest.raises(StorageError, match="a disk with room left; got 'No space left"):
        writer.write(RECORDS[0])
    writer.close()
