import os
from pathlib import Path

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.engine import LocalEngine, cores, perform


def square(task, out, number):
    with (out / f"{number}.calls").open("a") as file:
        file.write("x")
    return {"square": task * task}


def refuse(task, out, number):
    del out, number
    raise CorpusError("a task that can be done", got=str(task), fix="another")


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


def test_a_worker_that_dies_is_replaced_once(tmp_path):
    results = LocalEngine(workers=2).run(die_once, [1, 2, 3], out=tmp_path, key="a")
    assert [result["task"] for result in results] == [1, 2, 3]


def test_a_task_that_kills_its_worker_twice_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"lives through task 1 \(2\); got one that was killed"):
        LocalEngine(workers=2).run(die, [1, 2, 3], out=tmp_path, key="a")


def test_there_is_a_core():
    assert cores() >= 1
