"""The site's pages: all of ``docs`` and what it links to, and a reference that the code writes."""

import re
import runpy
from pathlib import Path, PurePosixPath

import pytest

from growlm.cli.main import COMMANDS
from growlm.cli.parser import command
from growlm.recipe.experiment import Experiment

ROOT = Path(__file__).parents[1]
PAGES = runpy.run_path(str(ROOT / "tools" / "pages.py"))
NAV = re.findall(
    r"^ +- (?:.*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pages")
    PAGES["write"](out)
    return out


def test_the_navigation_names_pages_that_are_there_and_forgets_none_of_docs(site: Path) -> None:
    assert [page for page in NAV if not (site / page).is_file()] == []
    pages = {str(each.relative_to(ROOT / "docs")) for each in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages - set(NAV)) == []


def test_every_link_of_every_page_leads_to_a_page(site: Path) -> None:
    found = 0
    for page in site.rglob("*.md"):
        pieces = PAGES["CODE"].split(page.read_text(encoding="utf-8"))
        for link, _ in PAGES["LINK"].findall("".join(pieces[::2])):
            if ":" not in link:
                found += 1
                assert (page.parent / link).is_file(), f"{page.relative_to(site)}: {link}"
    assert found > 50


def test_what_stands_outside_docs_comes_along(site: Path) -> None:
    assert "# Contributing" in (site / "CONTRIBUTING.md").read_text("utf-8")
    recipe = (site / "recipes" / "demo.toml.md").read_text("utf-8")
    assert recipe.startswith("# demo.toml\n\n```toml\n#:schema")
    assert "- [demo.toml](demo.toml.md)" in (site / "recipes" / "index.md").read_text("utf-8")


def test_no_page_shows_marks_that_are_for_tests_and_tools(site: Path) -> None:
    text = (site / "tutorial.md").read_text("utf-8")
    assert "<!--" not in text
    assert "| `scratch-double` |" in text


def test_the_page_of_commands_has_every_command_with_every_option(site: Path) -> None:
    page = (site / "reference" / "commands.md").read_text("utf-8")
    for name, meaning in COMMANDS.items():
        own = page.partition(f"\n## growlm {name}\n")[2].partition("\n## ")[0]
        assert own.strip().startswith(meaning[0].upper() + meaning[1:])
        _, parser = command(name, meaning=meaning)
        missing = {each for each in parser.options if f"`{each}" not in own.replace(", ", "`")}
        assert missing == {"-h", "--help"}


def test_the_page_of_the_recipe_has_every_key_with_its_meaning(site: Path) -> None:
    page = (site / "reference" / "recipe.md").read_text("utf-8")
    schema = Experiment.model_json_schema()
    for own in (schema, *schema["$defs"].values()):
        for key, value in own["properties"].items():
            assert f"**`{key}`** " in page
            said = " ".join(value.get("description", "").split()).partition("`")[0]
            assert said.replace("<", "&lt;") in page
    for name in schema["$defs"]:
        assert page.count(f"{{ #{name.lower()} }}") == 1
    assert 'whole number > 0 or `"48B"`; required' in page


def test_links_are_moved_outside_code_only() -> None:
    text = (
        "[a](../recipes/demo.toml) `[b](../LICENSE)` [c](https://d.e)\n```\n[f](../LICENSE)\n```\n"
    )
    moved, found = PAGES["linked"](text, PurePosixPath("docs/x.md"))
    assert moved == text.replace("../recipes/demo.toml", "recipes/demo.toml.md")
    assert found == {PurePosixPath("recipes/demo.toml")}
