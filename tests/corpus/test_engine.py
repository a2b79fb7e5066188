import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.engine import LocalEngine, cores, perform

ORPHANS = """
import os, sys, time
from pathlib import Path
from growlm.corpus.engine import LocalEngine

def wait(task, out, number):
    (out / str(os.getpid())).touch()
    time.sleep(task)

if __name__ == "__main__":
    LocalEngine(workers=2).run(wait, [60, 60], out=Path(sys.argv[1]), key="a")
"""
"""A program whose workers wait."""


@pytest.fixture(autouse=True)
def importable(monkeypatch, pytestconfig):
    """Let workers find the functions of this file; pytest imports it without its path."""
    monkeypatch.syspath_prepend(pytestconfig.rootpath)


def square(task, out, number):
    with (out / f"{number}.calls").open("a") as file:
        file.write("x")
    return {"square": task * task}


def refuse(task, out, number):
    del out, number
    raise CorpusError("a task that can be done", got=str(task), fix="another")


def find_no_room(task, out, number):
    del out, number
    raise StorageError("room on the disk", got=str(task), fix="deleting files", where="a.bin")


def die_once(task, out, number):
    flag = Path(out, f"{number}.died")
    if task == 2 and not flag.exists():
        flag.touch()
        os._exit(9)
    return {"task": task}


def die(task, out, number):
    del out, number
    if task == 2:
        os._exit(9)
    return {"task": task}


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_come_back_in_their_order_and_are_not_done_twice(tmp_path, workers):
    engine = LocalEngine(workers=workers)
    for _ in range(2):
        results = engine.run(square, [3, 1, 2], out=tmp_path, key="a")
        assert [result["square"] for result in results] == [9, 1, 4]
    assert [(tmp_path / f"{n}.calls").read_text() for n in range(3)] == ["x", "x", "x"]


def test_another_key_does_the_work_again(tmp_path):
    perform(square, 3, 0, out=tmp_path, key="a")
    assert perform(square, 5, 0, out=tmp_path, key="b") == {"square": 25}
    assert perform(square, 7, 0, out=tmp_path, key="b") == {"square": 25}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_task_is_told_as_it_is(tmp_path, workers):
    with pytest.raises(CorpusError, match=r"a task that can be done; got 1\. Try another\."):
        LocalEngine(workers=workers).run(refuse, [1, 2], out=tmp_path, key="a")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_as_one_whoever_meets_it(tmp_path, workers):
    with pytest.raises(StorageError, match=r"a\.bin: expected room on the disk; got 1\.") as caught:
        LocalEngine(workers=workers).run(find_no_room, [1, 2], out=tmp_path, key="a")
    assert caught.value.where == "a.bin"


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    (out := tmp_path / "out").mkdir()
    with subprocess.Popen([sys.executable, str(tmp_path / "orphans.py"), str(out)]) as parent:
        wait_until(lambda: len(list(out.iterdir())) == 2)
        parent.kill()
    workers = [int(path.name) for path in out.iterdir()]
    wait_until(lambda: not any(map(is_alive, workers)))


def wait_until(true):
    """Wait, but not for as long as the tasks of the orphans take."""
    end = time.monotonic() + 45
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(number):
    """Return whether a process is there and no zombie, which nobody may be around to bury."""
    try:
        return " Z " not in Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_dies_is_replaced_once(tmp_path):
    results = LocalEngine(workers=2).run(die_once, [1, 2, 3], out=tmp_path, key="a")
    assert [result["task"] for result in results] == [1, 2, 3]


def test_a_task_that_kills_its_worker_twice_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"lives through task 1 \(2\); got one that was killed"):
        LocalEngine(workers=2).run(die, [1, 2, 3], out=tmp_path, key="a")


def test_there_is_a_core():
    assert cores() >= 1
