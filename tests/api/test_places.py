"""Places and who is told: what every function of the door takes."""

from pathlib import Path

from growlm.api.places import nobody, place_of, told
from growlm.pipeline.events import Begun


def test_events_are_carried_out_whether_anybody_listens_or_not() -> None:
    heard: list[object] = []
    told(iter([Begun(step="a"), Begun(step="b")]), heard.append)
    assert heard == [Begun(step="a"), Begun(step="b")]
    rest = iter([Begun(step="c")])
    told(rest, nobody)
    assert next(rest, None) is None


def test_a_place_is_a_path_if_one_is_named() -> None:
    assert place_of("runs/demo") == place_of(Path("runs/demo")) == Path("runs/demo")
    assert place_of(None) is None
