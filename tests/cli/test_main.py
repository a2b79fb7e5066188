"""The command line: what it takes, and one line for what it does not."""

import io
import signal
import subprocess
import sys
import time

import pytest

from growlm.base.errors import Stopped
from growlm.base.version import VERSION
from growlm.cli.main import COMMANDS, main
from growlm.cli.signals import caught

GROW = (
    "growlm grow [--layers N] [--width N] [--heads N] [--kv-heads N] [--head-width N] [--mlp N] "
    "[--depth NAME] [--copies NAME] [--widen NAME] [--units NAME] [--add-token TOKEN] "
    "[--new-tokens HOW] [--layer-map 0,0,1,-2] [--seed N] [--optimizer-state MODE] [--context T] "
    "[--run RUN] [--unmeasured] [--quiet] [--json] PARENT CHILD"
)


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"]])
def test_the_overview_names_every_command(growlm, words):
    done = growlm(*words)
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(growlm, name):
    done = growlm(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: growlm {name} ")


def test_the_version_is_the_package_s(growlm):
    assert growlm("--version").stdout == f"growlm {VERSION}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rum", "x.toml"], "expected a command of growlm; got 'rum'. Try run."),
        (
            ["xyz"],
            "expected a command of growlm; got 'xyz'. Try one of "
            + ", ".join(sorted(COMMANDS))
            + ".",
        ),
        (
            ["grow", "a", "b", "--layer", "4"],
            "expected an option of growlm grow; got '--layer'. Try --layers.",
        ),
        (
            ["grow", "a", "--layres=4"],
            "expected an option of growlm grow; got '--layres'. Try --layers.",
        ),
        (
            ["run", "x.toml", "--ste", "a=1"],
            "expected an option of growlm run; got '--ste'. Try --set.",
        ),
        (["grow", "a", "--layers", "4"], f"expected {GROW}; got no CHILD. Try growlm grow --help."),
        (["grow", "a", "b"], "expected a size of the child; got none. Try --layers 12."),
        (["grow"], f"expected {GROW}; got no PARENT, CHILD. Try growlm grow --help."),
        (
            ["grow", "a", "b", "--layer-map", "0,x"],
            "expected --layer-map to be whole numbers with commas; got '0,x'. Try 0,0,1,1.",
        ),
        (
            ["grow", "a", "b", "--layers"],
            f"expected {GROW}; got 'argument --layers: expected one argument'. "
            "Try growlm grow --help.",
        ),
        (
            ["grow", "a", "b", "--layers", "four"],
            "expected --layers to be a whole number above 0; got 'four'. Try --layers 12.",
        ),
        (
            ["grow", "a", "b", "--layers", "4", "--context", "0"],
            "expected --context to be a whole number above 0; got '0'. Try --context 12.",
        ),
        (
            ["inspect", "a", "b"],
            "expected growlm inspect [--quiet] [--json] CKPT; got 'b' too much. "
            "Try leaving it out.",
        ),
        (
            ["train", "x.toml"],
            "expected growlm train [--set KEY=VALUE] [--out FOLDER] --stage NAME [--grace TIME] "
            "[--max-wall TIME] [--patience TIME] [--allow-fallback] [--quiet] [--json] RECIPE; got "
            "no --stage. Try growlm train --help.",
        ),
        (["schema", "x"], "expected growlm schema; got 'x' too much. Try leaving it out."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_misspelt_command_line_is_one_line_and_exit_code_2(growlm, words, line):
    done = growlm(*words)
    assert done.returncode == 2
    assert done.stderr == f"growlm: {line}\n"
    assert done.stdout == ""


def test_the_demo_says_where_it_can_be_run(refusal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal("demo") == (
        f"expected recipes/demo.toml in this folder; got {tmp_path}. "
        "Try growlm demo in a clone of growlm."
    )


def test_a_name_that_is_not_utf_8_is_refused(refusal, tmp_path, monkeypatch):
    line = "expected names in UTF-8; got 'caf\\udce9.toml'. Try renaming it."
    assert refusal("run", "caf\udce9.toml", code=2) == line
    place = tmp_path / "caf\udce9"
    place.mkdir()
    monkeypatch.chdir(place)
    assert "expected names in UTF-8; got '" in refusal("schema", code=2)


class Full(io.StringIO):
    """An output on a full disk."""

    def flush(self):
        raise OSError(28, "No space left on device")


def test_an_output_that_cannot_be_written_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["schema"]) == 1
    assert capsys.readouterr().err == (
        "growlm: expected a disk with room left; got 'No space left on device' at standard output. "
        "Try freeing space or another --out.\n"
    )


def test_ctrl_c_where_nothing_is_caught_is_one_line(refusal, monkeypatch):
    def interrupt(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr("growlm.cli.inspect.inspect", interrupt)
    assert refusal("inspect", "x", code=130) == (
        "expected the run to end; got signal 2; what was whole before is kept. "
        "Try the same command again."
    )


def test_a_reader_that_closes_its_pipe_ends_a_command_without_a_word():
    with subprocess.Popen(
        [sys.executable, "-m", "growlm", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)]
)
def test_a_signal_stops_at_once_what_has_nothing_to_save(number, code):
    def work():
        with caught():
            signal.raise_signal(number)
            time.sleep(1)

    before = signal.getsignal(number)
    with pytest.raises(Stopped, match="what was whole before is kept") as told:
        work()
    assert told.value.exit_code == code
    assert signal.getsignal(number) is before


def test_a_signal_waits_for_what_has_something_to_save_and_a_second_one_does_not():
    with caught() as stop:
        with stop.deferring():
            signal.raise_signal(signal.SIGTERM)
            assert stop.signal_number == signal.SIGTERM
            with pytest.raises(Stopped) as told:
                signal.raise_signal(signal.SIGTERM)
            assert told.value.exit_code == 128 + signal.SIGTERM
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)


def test_an_allocator_that_would_grow_without_bound_is_refused(refusal, monkeypatch):
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True,max_split_size_mb:64")
    line = refusal("schema")
    assert line.startswith("expected PYTORCH_ALLOC_CONF without max_split_size_mb where segments")
    assert line.endswith("Try PYTORCH_ALLOC_CONF=expandable_segments:True.")


def test_a_grace_ends_what_is_still_being_saved_and_only_that():
    alarm = signal.getsignal(signal.SIGALRM)
    with caught(grace_seconds=0.02) as stop:
        with stop.deferring():
            signal.raise_signal(signal.SIGUSR1)
            with pytest.raises(Stopped, match=r"no checkpoint was whole within 0\.0 s") as told:
                time.sleep(1)
            assert told.value.exit_code == 128 + signal.SIGUSR1
        signal.raise_signal(signal.SIGALRM)
    assert signal.getsignal(signal.SIGALRM) is alarm
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_run_is_due_at_a_signal_or_when_its_time_does_not_hold_what_comes():
    with caught() as stop:
        assert not stop.due(1e9)
        with stop.deferring():
            signal.raise_signal(signal.SIGTERM)
        assert stop.due(0.0)
    with caught(wall_seconds=60.0) as stop:
        assert (stop.due(1.0), stop.due(61.0)) == (False, True)


@pytest.mark.parametrize("words", [("--grace", "soon"), ("--max-wall", "0h"), ("--patience", "x")])
def test_a_stretch_of_time_that_is_none_is_refused(refusal, words):
    assert refusal("train", "x.toml", "--stage", "base", *words, code=2) == (
        f"expected {words[0]} to be a stretch of time above 0 such as 90s, 30m, 12h or 2d; got "
        f"'{words[1]}'. Try {words[0]} 30s."
    )
