"""The pages: links lead somewhere, commands and paths exist, recipes parse, versions agree."""

import re
from pathlib import Path

import pytest

from growlm import checkpoint
from growlm.base.errors import RecipeError
from growlm.base.version import VERSION
from growlm.cli.main import COMMANDS
from growlm.pipeline import folder
from growlm.pipeline.data import SAMPLER_VERSION
from growlm.recipe.experiment import Experiment
from growlm.recipe.read import parse

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?<![\w./-])growlm ([a-z][a-z-]*)")
PATH = re.compile(r"(?:src|docs|recipes|tests)/\S*|[a-z_*]+(?:/[a-z_*]+)+\.py")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """Return what stands in backticks, fenced blocks left out."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def broken_links(text: str, *, home: Path) -> list[str]:
    """Return the links to files or headings that are not there; addresses are left alone."""
    found: list[str] = []
    for link in LINK.findall(re.sub(r"`[^`\n]+`", "", prose(text))):
        path, _, anchor = link.partition("#")
        target = home / path
        if "://" in link or (target.exists() and not anchor):
            continue
        if target.suffix != ".md" or not target.exists() or anchor not in anchors(target):
            found.append(link)
    return found


def unknown_commands(text: str) -> list[str]:
    code = [*spans(text), *(block for _, block in FENCE.findall(text))]
    named = {command for each in code for command in COMMAND.findall(each)}
    return sorted(named - set(COMMANDS))


def missing_paths(text: str) -> list[str]:
    """Return the paths in backticks that lead nowhere; modules may leave ``src/growlm`` out."""
    return [
        span
        for span in spans(text)
        if PATH.fullmatch(span)
        and not any(list(place.glob(span)) for place in (ROOT, ROOT / "src" / "growlm"))
    ]


def recipes(text: str) -> list[str]:
    """Return the TOML blocks that are whole recipes, not parts of one."""
    return [
        block
        for language, block in FENCE.findall(text)
        if language == "toml" and "[[source]]" in block and "[[stage]]" in block
    ]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    assert broken_links(page.read_text(encoding="utf-8"), home=page.parent) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    assert unknown_commands(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert missing_paths(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_recipe_on_a_page_is_one(page: Path) -> None:
    for recipe in recipes(page.read_text(encoding="utf-8")):
        parse(recipe.encode(), name=name(page))


def test_a_broken_link_is_found() -> None:
    text = "[a](README.md) [b](nowhere.md) [c](README.md#no-such) [d](https://a.b/c) `[e](f.md)`"
    assert broken_links(text, home=ROOT) == ["nowhere.md", "README.md#no-such"]


def test_an_unknown_command_is_found_in_code_only() -> None:
    text = "growlm grows. `growlm report` and `growlm log RUN`\n```\ngrowlm draw x.toml\n```\n"
    assert unknown_commands(text) == ["draw", "report"]


def test_a_path_that_leads_nowhere_is_found() -> None:
    text = "`src/growlm/nothing.py`, `model/gpt.py`, `model/nothing.py`, `recipes/*.toml`, `a/b`"
    assert missing_paths(text) == ["src/growlm/nothing.py", "model/nothing.py"]


def test_a_recipe_that_is_none_is_found() -> None:
    (recipe,) = recipes("```toml\n[[source]]\n[[stage]]\n```\n```toml\n[[stage]]\n```\n")
    with pytest.raises(RecipeError, match="expected name"):
        parse(recipe.encode(), name="a page")


def test_the_version_to_cite_is_the_version() -> None:
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {VERSION}" in lines
    assert "cff-version: 1.2.0" in lines


def test_the_page_of_formats_states_the_versions_that_are_written() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f"| checkpoint | {checkpoint.FORMAT} |" in page
    assert f"| run folder | {folder.FORMAT} |" in page
    assert f"| sampler | `{SAMPLER_VERSION}` |" in page


def test_the_glossary_knows_every_key_of_a_recipe() -> None:
    schema = Experiment.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    words = set(re.findall(r"\w+", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")))
    assert len(keys) > 60
    assert sorted(keys - words) == []
