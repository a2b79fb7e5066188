"""The page: for this machine alone, usable without a mouse, and deaf to what it shows."""

import socket
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from growlm.base.errors import RecipeError
from growlm.pipeline.generating import USUAL
from growlm.web.columns import order_of
from growlm.web.playground import HEAD, LAUNCH, NUMBERS, SEED, SWITCHES, answer, gradio, serve

CHROMIUM = Path("/usr/bin/chromium")
"""Debian's; a browser is never downloaded for a test."""

CONTROLS = {**NUMBERS, "seed": SEED, **SWITCHES}


def test_it_is_served_to_this_machine_only_and_tells_nobody():
    assert LAUNCH["server_name"] == "127.0.0.1"
    assert LAUNCH["share"] is False
    assert LAUNCH["enable_monitoring"] is False
    assert LAUNCH["mcp_server"] is False
    assert "default-src 'self' data: blob:;" in HEAD


def test_the_controls_begin_with_what_is_usual():
    assert order_of({name: each["value"] for name, each in CONTROLS.items()}) == USUAL


def test_every_control_has_a_label_of_its_own_and_says_what_it_does():
    assert len({each["label"] for each in CONTROLS.values()}) == len(CONTROLS) == 8
    assert all(each["info"] for each in CONTROLS.values())
    assert all(each["minimum"] <= each["value"] <= each["maximum"] for each in NUMBERS.values())


def test_an_impossible_setting_is_told_in_every_column(scripted):
    values = [each["value"] for each in CONTROLS.values()]
    values[list(CONTROLS).index("seed")] = None
    (views,) = answer([scripted("a", []), scripted("b", [])], "", values)
    assert len(views) == 2
    assert all("expected a number for seed; got none." in view for view in views)


def test_without_gradio_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(RecipeError) as caught:
        gradio()
    assert str(caught.value) == (
        "expected the package gradio, which the page is made with; got a Python without it. "
        "Try pip install 'growlm[web]', or growlm generate, which needs no page."
    )


@pytest.fixture
def stand_in(monkeypatch):
    """Put something in Gradio's place that keeps what it is told."""
    found = MagicMock()
    found.Blocks.return_value.__enter__.return_value = found.blocks
    monkeypatch.setitem(sys.modules, "gradio", found)
    return found


def test_gradio_is_told_how_to_serve_and_to_report_nothing(stand_in, scripted):
    blocks, address = serve([scripted("child", [])], port=7_000, opened=False)
    assert blocks is stand_in.blocks
    assert address == "http://127.0.0.1:7000"
    told = blocks.launch.call_args.kwargs
    assert told.items() >= {**LAUNCH, "server_port": 7_000, "inbrowser": False}.items()
    assert stand_in.Blocks.call_args.kwargs["analytics_enabled"] is False
    assert (
        stand_in.Button.return_value.click.call_args_list[0].kwargs["api_visibility"] == "private"
    )


def test_a_name_in_a_heading_is_text(stand_in, scripted, hostile):
    serve([scripted(hostile, [])], port=7_000, opened=False)
    told = "".join(each.args[0] for each in stand_in.HTML.call_args_list if each.args)
    assert "<h2>&lt;img src=x onerror" in told
    assert "<img" not in told


def test_a_port_that_is_taken_is_told_with_another(stand_in, scripted):
    stand_in.blocks.launch.side_effect = OSError("Cannot find empty port")
    with pytest.raises(RecipeError) as caught:
        serve([scripted("child", [])], port=7_000, opened=False)
    assert str(caught.value) == (
        "expected port 7000 of this machine to be free; got another program there. Try --port 7861."
    )


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def served(scripted, piece, hostile):
    """Return the address of a page with two columns, one of which means harm."""
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'growlm[web]'")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}: apt install chromium")
    bad = piece(hostile, alternatives=((hostile, 0.5),), end="tokens")
    writers = [
        scripted(hostile, [piece(hostile), bad]),
        scripted("child", [piece(" upon"), piece(" a", end="tokens")]),
    ]
    blocks, address = serve(writers, port=free_port(), opened=False)
    yield address
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def opened(served):
    """Return the page in a browser once it has been asked to write, and what it asked and said."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.asked, page.complaints = [], []
        page.on("request", lambda each: page.asked.append(each.url))
        page.on("pageerror", lambda each: page.complaints.append(str(each)))
        page.add_init_script("window.harmed = 0; window.harm = () => { window.harmed += 1; };")
        page.goto(served)
        page.get_by_label("Prompt").fill("Once <i>")
        page.get_by_label("Prompt").press("Tab")
        page.keyboard.press("Enter")
        page.locator(".growlm-table").nth(1).wait_for()
        yield page
        browser.close()


browsed = pytest.mark.filterwarnings("ignore")
"""Gradio's own, of what it is made with."""


@browsed
def test_the_keyboard_alone_writes_and_both_columns_show_it_to_the_letter(opened, hostile):
    shown = hostile.replace("\x1b", "\u241b")
    texts = opened.locator(".growlm-text").all_text_contents()
    assert texts == [f"Once <i>{shown}{shown}", "Once <i> upon a"]


@browsed
def test_nothing_that_is_shown_runs(opened):
    assert opened.evaluate("window.harmed") == 0
    assert opened.locator(".growlm-text img, .growlm-text script, h2 img").count() == 0


@browsed
def test_the_page_asks_nobody_but_itself_and_may_not(opened, served):
    asked = [each for each in opened.asked if not each.startswith(("data:", "blob:"))]
    assert asked
    assert all(each.startswith(served) for each in asked)
    refused = opened.evaluate(
        "new Promise(done => { addEventListener('securitypolicyviolation',"
        " event => done(event.blockedURI)); fetch('https://example.org/').catch(() => {}); })"
    )
    assert refused.startswith("https://example.org")
    assert opened.complaints == []


@browsed
def test_alternatives_stand_beside_a_token_that_is_pointed_at(opened):
    token = opened.locator(".token").last
    token.hover()
    told = token.evaluate("each => getComputedStyle(each, '::after').content")
    assert "25.0% likely" in told


@browsed
def test_every_control_can_be_found_by_its_label(opened):
    for each in CONTROLS.values():
        assert opened.get_by_label(each["label"]).first.is_visible()
    for name in ("Write", "Stop"):
        assert opened.get_by_role("button", name=name, exact=True).is_enabled()
    assert opened.get_by_role("region", name="What child writes").count() == 1


@browsed
def test_the_check_for_what_runs_would_notice_it(opened, hostile):
    opened.evaluate(
        "text => { document.body.appendChild(document.createElement('p')).innerHTML = text }",
        hostile,
    )
    opened.wait_for_function("window.harmed > 0")
