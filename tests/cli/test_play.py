"""``growlm play``: what it needs, what it says, and how it ends; the page is tested in web."""

import sys
from unittest.mock import MagicMock

import pytest

from growlm.cli import play
from growlm.web import playground


@pytest.fixture
def served(monkeypatch):
    """Serve nothing, and be interrupted at once; return what was to be served."""
    found = MagicMock()
    found.serve.return_value = (found.blocks, "http://127.0.0.1:7870")
    for name in ("gradio", "serve", "open_writer"):
        monkeypatch.setattr(playground, name, getattr(found, name))
    monkeypatch.setattr(play, "Event", lambda: MagicMock(wait=found.wait))
    found.wait.side_effect = KeyboardInterrupt
    return found


def test_it_says_where_the_page_is_and_who_can_reach_it_and_ends_in_order(growlm, served):
    done = growlm("play", "runs/a/base/final", "runs/a/grown/final", "--port", 7870)
    assert done.returncode == 0
    assert done.stdout == (
        "http://127.0.0.1:7870 is open to this machine only, with nothing sent elsewhere; "
        "Ctrl-C ends it\n"
    )
    assert [each.kwargs for each in served.open_writer.call_args_list] == [
        {"name": "base", "compiled": True},
        {"name": "grown", "compiled": True},
    ]
    assert served.serve.call_args.kwargs == {"port": 7870, "opened": False}
    served.blocks.close.assert_called_once()


def test_without_gradio_nothing_is_read(refusal, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert refusal("play", tmp_path, code=2).startswith("expected the package gradio, ")


def test_a_folder_without_a_model_is_refused_before_the_page_opens(
    refusal, served, monkeypatch, tmp_path
):
    monkeypatch.undo()
    monkeypatch.setattr(playground, "gradio", served.gradio)
    line = refusal("play", tmp_path)
    assert line.startswith("expected a checkpoint's folder, with checkpoint.json in it")
    served.serve.assert_not_called()


def test_a_port_is_a_whole_number(refusal, tmp_path):
    assert "expected --port to be a whole number above 0; got 'x'" in refusal(
        "play", tmp_path, "--port", "x", code=2
    )
