import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from growlm.base.errors import StorageError
from growlm.report.page import FILES, html, markdown, read, write

CHROMIUM = Path("/usr/bin/chromium")
"""Debian's; a browser is never downloaded for a test."""

DRAWN = "#bits-per-byte .chart:last-child svg.marks .mark-symbol path"
"""What is there once the last chart is."""

HOSTILE = '<b onclick="x()">bold</b></script><script>alert(1)</script>'


class Outline(HTMLParser):
    """What a page holds: its tags with attributes, its text, and the text of its scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.scripts, self._open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        inside = self._open[-1] if self._open else ""
        (self.scripts if inside in ("script", "style") else self.text).append(data)


@pytest.fixture(scope="session")
def folder(run, tmp_path_factory):
    made = tmp_path_factory.mktemp("log")
    write(run, made)
    return made


@pytest.fixture
def light(monkeypatch):
    """Leave out of pages what takes seconds to make: the chart library, pictures for print."""
    monkeypatch.setattr("growlm.report.markup.bundle", lambda: "bundle()")
    monkeypatch.setattr("growlm.report.figures.still", lambda _: "<svg/>")


def loads(page):
    """Return every address that a page would fetch."""
    outline = Outline(page)
    found = [
        attrs[key]
        for tag, attrs in outline.tags
        for key in ("src", "href", "srcset", "data", "poster", "action")
        if key in attrs and tag != "a"
    ]
    css = "".join(text for text in re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL))
    return [*found, *re.findall(r"url\(([^)]*)\)|@import ([^;]*)", css)]


def test_the_four_files_are_written_and_can_be_written_again(run, folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    write(run.model_copy(update={"stages": (), "title": "again"}), folder / "again")
    write(run.model_copy(update={"stages": (), "title": "and again"}), folder / "again")
    assert "and again" in (folder / "again" / "log.md").read_text(encoding="utf-8")


def test_results_can_be_read_back(run, folder):
    assert read(folder / "results.json") == run


def test_the_page_loads_nothing_but_itself(folder):
    page = (folder / "log.html").read_text(encoding="utf-8")

    assert [address[:14] for address in loads(page)] == ["data:,", *["data:image/svg"] * 3]
    assert "default-src 'none'" in page
    assert len(page) < 1_500_000


def test_the_check_for_loads_would_see_one():
    assert loads('<img src="https://example.org/x.png">') == ["https://example.org/x.png"]
    assert loads("<style>a { background: url(x) }</style>") == [("x", "")]


def test_the_page_holds_a_box_and_a_specification_for_each_chart(folder):
    page = (folder / "log.html").read_text(encoding="utf-8")

    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page)
    assert found is not None
    charts = json.loads(found[1])["charts"]
    assert page.count('<div class="chart"></div>') == len(charts) == 4
    assert all(chart["width"] == "container" for chart in charts)


@pytest.mark.usefixtures("light")
def test_every_entry_of_the_contents_leads_somewhere(run):
    outline = Outline(html(run))

    anchors = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    links = [attrs["href"] for tag, attrs in outline.tags if tag == "a"]
    inner = [link[1:] for link in links if link.startswith("#")]
    assert len(inner) == 12
    assert set(inner) <= anchors


def hostile(run):
    stages = [stage.model_copy(update={"notices": (HOSTILE,)}) for stage in run.stages]
    grown = stages[1].model_copy(
        update={"name": HOSTILE, "hyperparameters": {HOSTILE: HOSTILE}, "shape": {"x": HOSTILE}}
    )
    return run.model_copy(
        update={
            "title": HOSTILE,
            "name": HOSTILE,
            "hardware": HOSTILE,
            "created": HOSTILE,
            "author_notes": (HOSTILE, "![x](https://example.org/x.png)", "[x](javascript:x)"),
            "credits": (HOSTILE,),
            "sources": tuple(
                source.model_copy(update={"name": HOSTILE + source.name, "origin": HOSTILE})
                for source in run.sources
            ),
            "stages": (stages[0], grown, *stages[2:]),
        }
    )


@pytest.mark.usefixtures("light")
def test_text_from_data_never_becomes_markup(run):
    outline = Outline(html(hostile(run)))

    tags = [tag for tag, _ in outline.tags]
    sources = [attrs["src"][:5] for tag, attrs in outline.tags if tag == "img"]
    assert "b" not in tags
    assert set(sources) == {"data:"}
    assert tags.count("script") == 3
    assert not any(key.startswith("on") for _, attrs in outline.tags for key in attrs)
    assert not any("javascript" in (attrs.get("href") or "") for _, attrs in outline.tags)
    assert "alert(1)" in "".join(outline.text)


def test_markdown_from_data_never_becomes_markup(run):
    text = markdown(hostile(run).model_copy(update={"author_notes": (), "credits": ()}))

    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)

    tags = {tag for tag, _ in Outline(rendered).tags}
    assert tags & {"b", "script"} == set()
    assert tags >= {"h1", "h2", "table", "img"}


def test_every_table_of_the_markdown_is_read_as_a_table(run):
    text = markdown(run)
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]

    rendered = MarkdownIt("commonmark").enable("table").render(text)

    assert rendered.count("<table>") == len(blocks) > 10
    assert "<p>|" not in rendered


def test_the_markdown_shows_the_picture_once(run, empty_run):
    assert markdown(run).count("](curves.png)") == 1
    assert "curves.png" not in markdown(empty_run)


def test_a_run_without_stages_is_still_a_page(empty_run):
    page = html(empty_run)

    assert "has not trained a stage yet" in page
    assert [tag for tag, _ in Outline(page).tags].count("script") == 0


@pytest.mark.parametrize("content", [b"{}", b"not json", b'{"title": 3}'])
def test_a_file_that_is_no_log_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_bytes(content)

    with pytest.raises(
        StorageError, match=r"results.json of a training log; got .* Try growlm log on"
    ):
        read(path)


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(StorageError, match="a file that is there"):
        read(tmp_path / "results.json")


def test_the_page_leaves_torch_asleep():
    program = "import sys, growlm.report.page; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}: apt install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(browser, folder):
    """Return a function: how to look -> the page, drawn, what it complained of, what it asked."""
    contexts = []

    def look(width=1_280, **options):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, offline=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.asked = [], []
        page.on("console", lambda each: page.complaints.append(each.text))
        page.on("pageerror", lambda each: page.complaints.append(str(each)))
        page.on("request", lambda each: page.asked.append(each.url.partition(":")[0]))
        page.goto((folder / "log.html").as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_selector(DRAWN, state="attached")
        return page

    yield look
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def desk(opened):
    return opened()


def curves(page):
    """Return the shapes of all lines of the first chart."""
    return page.eval_on_selector_all(
        "#perplexity .chart svg.marks .mark-line path",
        "all => all.map(each => each.getAttribute('d'))",
    )


def titles(page):
    return " ".join(page.locator("#perplexity .chart svg.marks text").all_text_contents())


def after(page, change):
    """Return the curves once a change has drawn them anew."""
    before = curves(page)
    change()
    page.wait_for_function(
        "before => { const now = [...document.querySelectorAll("
        "'#perplexity .chart svg.marks .mark-line path')].map(each => each.getAttribute('d'));"
        " return now.length === before.length && String(now) !== String(before); }",
        arg=before,
    )
    return curves(page)


def test_it_draws_every_chart_with_no_network_and_no_complaint(desk):
    boxes = desk.locator(".chart")
    assert boxes.count() == desk.locator(".chart svg.marks").count() >= 3
    assert len(curves(desk)) >= 3
    assert all(len(line) > 20 for line in curves(desk))
    assert desk.complaints == []
    assert set(desk.asked) <= {"file", "data", "blob"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_and_never_sideways(opened, scheme):
    page = opened(360, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    inside = "each => each.getBoundingClientRect().right <= window.innerWidth"
    assert page.eval_on_selector_all(".chart svg.marks", f"all => all.every({inside})")
    assert page.complaints == []


def test_the_axis_goes_from_tokens_to_flops_and_back(desk):
    before = curves(desk)
    choice = desk.get_by_label("Along")
    after(desk, lambda: choice.select_option(label="FLOPs"))
    assert "Training FLOPs" in titles(desk)
    again = after(desk, lambda: choice.select_option(label="tokens"))
    assert again == before


def test_the_slider_smooths_by_keyboard_and_says_so(desk):
    slider = desk.get_by_label("Training loss smoothed over")
    slider.focus()
    after(desk, lambda: desk.keyboard.press("End"))
    assert slider.get_attribute("aria-valuetext") == "10% of its steps"
    assert desk.locator(".controls output").inner_text() == "10% of its steps"


def test_a_stretch_can_be_chosen_without_a_mouse(desk):
    after(desk, lambda: desk.get_by_label("Show").select_option(label="the last half"))
    after(desk, lambda: desk.get_by_label("Show").select_option(label="all of it"))


def test_the_nearest_mark_tells_its_numbers(desk):
    desk.locator("#perplexity .chart svg.marks").scroll_into_view_if_needed()
    box = desk.locator("#perplexity .chart svg.marks").bounding_box()
    desk.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tooltip = desk.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    told = tooltip.inner_text()
    assert "undefined" not in told
    assert any(stage in told for stage in ("base", "grown", "scratch"))
    assert "validation perplexity" in told


def test_a_stage_can_be_singled_out(desk):
    button = desk.get_by_role("button", name="grown").first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_without_scripts_and_on_paper_there_are_pictures(opened, desk):
    still = opened(java_script_enabled=False)
    for page in (still, desk):
        if page is desk:
            page.emulate_media(media="print")
        assert page.locator(".still").first.is_visible()
        assert not page.locator(".chart").first.is_visible()
        assert page.eval_on_selector_all(
            ".still", "all => all.every(each => each.naturalWidth > 0)"
        )
    desk.emulate_media(media="screen")
