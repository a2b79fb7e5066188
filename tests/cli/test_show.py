"""Showing a run: plain lines, JSON, and a bar on a terminal."""

import io
import json
import sys
import time

import pytest
from rich.console import Console

from growlm.base.errors import TrainingError
from growlm.cli import options, show as showing
from growlm.cli.parser import Parser
from growlm.cli.show import Lines, show
from growlm.pipeline.events import Begun, Done, Notice, Progress, Skipped


def progress(done: int, loss: float | None = 2.5) -> Progress:
    return Progress(
        step="train:base",
        done=done,
        total=1_500,
        unit="steps",
        loss=loss,
        tokens_per_second=None if loss is None else 12_400.0,
        seconds_left=250.0,
    )


EVENTS = [
    Skipped(step="prepare:tokenizer"),
    Begun(step="train:base"),
    Notice(text="layers are not compiled: [no] compiler"),
    progress(1),
    progress(2, loss=None),
    Done(step="train:base", seconds=3.25, result="validation loss 5.0000 -> 4.0000"),
]

PLAIN = [
    "prepare:tokenizer: skipped, nothing it depends on has changed",
    "train:base …",
    "note: layers are not compiled: [no] compiler",
    "train:base: validation loss 5.0000 -> 4.0000 (3.2 s)",
]


def told(*words):
    """Return options that say how to show."""
    parser = Parser("run", description="")
    options.output(parser)
    return parser.read(words)


def test_plain_lines_go_to_standard_error_and_progress_waits_its_turn(capsys):
    show(iter(EVENTS), told())
    assert capsys.readouterr().err.splitlines() == PLAIN


def test_a_line_of_progress_has_the_speed_the_loss_and_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 11.0, 11.0, 12.0, 30.0, 30.0])
    monkeypatch.setattr("growlm.cli.show.time.monotonic", lambda: next(clock))
    lines = Lines()
    for event in (progress(1), progress(2), progress(1_000, loss=None)):
        lines(event)
    assert capsys.readouterr().err.splitlines() == [
        "train:base: 1/1,500 steps, loss 2.5000, 12.4K tokens/s, 4 min 10 s left",
        "train:base: 1,000/1,500 steps, 4 min 10 s left",
    ]


def test_json_has_every_event_on_standard_output(capsys):
    show(iter(EVENTS), told("--json"))
    out, err = capsys.readouterr()
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["event"] for each in found] == [
        "skipped",
        "begun",
        "notice",
        "progress",
        "progress",
        "done",
    ]
    assert found[3]["tokens_per_second"] == 12_400.0
    assert found[4]["loss"] is None
    assert err == ""


def test_quiet_shows_nothing_and_still_runs(capsys):
    events = iter(EVENTS)
    show(events, told("--quiet"))
    assert next(events, None) is None
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def screen():
    return io.StringIO()


@pytest.fixture
def on_terminal(monkeypatch, screen):
    """Return a function: events -> all that a terminal gets to see of them."""
    console = Console(file=screen, force_terminal=True, width=120, highlight=False, emoji=False)
    monkeypatch.setattr(showing, "Console", lambda **_: console)

    def shown(events):
        # Here and not above: between a test's phases pytest puts its own stream back.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stderr, "isatty", lambda: True)
            show(iter(events), told())
        return screen.getvalue()

    return shown


def test_a_terminal_gets_a_bar_with_speed_loss_and_time_left(on_terminal):
    def slowly():
        for event in EVENTS:
            yield event
            time.sleep(0.15 if isinstance(event, Progress) else 0.0)  # the bar is drawn ten times/s

    text = on_terminal(slowly())
    for line in PLAIN:
        assert line in text
    assert "1/1,500 steps, loss 2.5000, 12.4K tokens/s, 4 min 10 s left" in text


def test_a_step_whose_name_looks_like_markup_is_shown_as_it_is(on_terminal):
    event = Progress(
        step="evaluate:[bold]a[/x] :smile:",
        done=1,
        total=3,
        unit="contexts",
        loss=None,
        tokens_per_second=None,
        seconds_left=0.0,
    )
    assert "evaluate:[bold]a[/x] :smile:" in on_terminal([event])


def test_a_mistake_takes_the_bar_down_and_goes_on_to_the_command_line(on_terminal, screen):
    def events():
        yield progress(1)
        raise TrainingError("a finite loss", got="nan", fix="a lower peak_lr")

    with pytest.raises(TrainingError):
        on_terminal(events())
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().rfind(shown) > screen.getvalue().rfind(hidden) >= 0
