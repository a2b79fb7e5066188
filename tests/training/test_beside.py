import threading

import pytest

from growlm.training.beside import Beside


def test_work_goes_on_beside_and_is_waited_for():
    go_on, found = threading.Event(), list[int]()
    work = Beside(lambda: (go_on.wait(), found.append(1), None)[-1])
    assert not work.done
    assert work.ended == 0.0
    go_on.set()
    work.wait()
    assert work.done
    assert work.ended > 0.0
    assert found == [1]


def test_what_it_raises_is_raised_where_it_is_awaited():
    def fail():
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        Beside(fail).wait()
