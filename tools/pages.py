"""Writes the site's pages: those of ``docs``, what they link to in the clone, and the reference.

``python tools/pages.py build/pages``, and then ``mkdocs build``; ``make docs`` does both.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from growlm.base.units import COUNT_PATTERN, SIZE_PATTERN
from growlm.cli.main import COMMANDS, sentence
from growlm.cli.parser import command
from growlm.recipe.experiment import Experiment
from growlm.recipe.values import NAME_PATTERN

ROOT = Path(__file__).parents[1]
PICTURES = {".png", ".svg"}
DOCS = PurePosixPath("docs")
ASIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "recipes", "examples", "benchmarks/results")
"""What the site shows beside ``docs``, whether a page links to it or not."""

CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^<!-- (?!commands|recipe)(?:(?!-->).)* -->\n+", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
LANGUAGES = {".toml": "toml", ".py": "python", ".json": "json", "": "text"}

Schema = dict[str, Any]


def home(path: PurePosixPath) -> PurePosixPath:
    """Return where the site keeps a file or folder of the clone."""
    if path == PurePosixPath("README.md"):
        return PurePosixPath("index.md")
    inside = path.relative_to(DOCS) if path.is_relative_to(DOCS) else path
    if (ROOT / path).is_dir():
        return inside / "index.md"
    plain = path.suffix in {".md", *PICTURES} or path.is_relative_to(DOCS)
    return inside if plain else inside.with_name(f"{inside.name}.md")


def linked(text: str, page: PurePosixPath) -> tuple[str, set[PurePosixPath]]:
    """Return a page with the links that the site needs, and the paths that they lead to."""
    found: set[PurePosixPath] = set()

    def moved(link: re.Match[str]) -> str:
        if ":" in link[1]:
            return link[0]
        target = PurePosixPath(os.path.normpath(page.parent / link[1]))
        found.add(target)
        there = os.path.relpath(home(target), home(page).parent)
        return f"]({there}{link[2] or ''})"

    pieces = CODE.split(text)
    pieces[::2] = [LINK.sub(moved, COMMENT.sub("\n", each)) for each in pieces[::2]]
    return "".join(pieces), found


def listing(folder: PurePosixPath) -> str:
    """Return the page of a folder: a link to each of its files and folders."""
    inside = (ROOT / folder).iterdir()
    names = sorted(each.name + "/" * each.is_dir() for each in inside)
    return "\n".join(
        [f"# {folder.name.capitalize()}\n", *(f"- [{each}]({each})" for each in names)]
    )


def read(path: PurePosixPath) -> tuple[str, set[PurePosixPath]]:
    """Return a file or folder of the clone as a page, and the paths that it leads to."""
    place = ROOT / path
    if place.is_dir():
        return linked(listing(path), path / "index.md")
    text = place.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return linked(text, path)
    language = LANGUAGES.get(path.suffix, "text")
    return f"# {path.name}\n\n```{language}\n{text.rstrip()}\n```\n", set()


def begin() -> set[PurePosixPath]:
    """Return what the site shows in any case."""
    files = [each for each in (ROOT / DOCS).rglob("*") if each.is_file()]
    found = [PurePosixPath(each.relative_to(ROOT).as_posix()) for each in files]
    return {*found, *map(PurePosixPath, ASIDE)}


def write(out: Path) -> None:
    """Write all pages into a folder, in the place of what was there."""
    shutil.rmtree(out, ignore_errors=True)
    left, done = begin(), set[PurePosixPath]()
    while left:
        path = left.pop()
        done.add(path)
        place = out / home(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        file = path.is_relative_to(DOCS) and path.suffix not in {".md", ""}
        if file or path.suffix in PICTURES:
            shutil.copy(ROOT / path, place)
            continue
        text, targets = read(path)
        place.write_text(text, encoding="utf-8")
        left |= {each for each in targets if each != PurePosixPath("README.md")} - done
    for name, text in {"commands": commands(), "recipe": recipe()}.items():
        place = out / "reference" / f"{name}.md"
        page = place.read_text(encoding="utf-8")
        place.write_text(page.replace(f"<!-- {name} -->", text), encoding="utf-8")


def said(term: str, meaning: str) -> str:
    """Return a term and its meaning as an entry of a list; code needs no escapes."""
    pieces = re.split(r"(``.*?``|`[^`]*`)", " ".join(meaning.split()))
    pieces[::2] = [each.replace("<", "&lt;") for each in pieces[::2]]
    return f"{term}\n:   {''.join(pieces)}"


def commands() -> str:
    """Return all commands, as their parsers know them."""
    parts: list[str] = []
    for name, meaning in COMMANDS.items():
        _, parser = command(name, meaning=meaning)
        parts += [f"## growlm {name}", sentence(meaning)]
        parts += [said(f"`{written}`", text) for written, text in parser.arguments]
    return "\n\n".join(parts)


def recipe() -> str:
    """Return all keys of a recipe, as its schema knows them."""
    schema = Experiment.model_json_schema()
    parts = ["## The recipe itself", section(schema)]
    first: dict[str, str] = {}
    for path, name in sections(schema, ""):
        first.setdefault(name, path)
    for name, path in first.items():
        own = schema["$defs"][name]
        of_kind = own["properties"].get("kind", {}).get("const")
        title = f"`{path}`, kind `{of_kind}`" if of_kind else f"`{path}`"
        parts += [f"## {title} {{ #{name.lower()} }}", own["description"], section(own)]
    return "\n\n".join(parts)


def sections(schema: Schema, root: str) -> Iterator[tuple[str, str]]:
    """Yield where sections stand, with their names in the schema, in the order of the recipe."""
    own = schema["$defs"][root] if root else schema
    for key, value in own["properties"].items():
        for name in dict.fromkeys(re.findall(r"#/\$defs/(\w+)", json.dumps(value))):
            yield (f"[[{key}]]" if value.get("type") == "array" else f"[{key}]"), name
            for path, inner in sections(schema, name):
                yield f"{key}.{path.strip('[]')}", inner


def section(own: Schema) -> str:
    """Return a section's keys as a list."""
    needed = own.get("required", [])
    lines: list[str] = []
    for key, value in own["properties"].items():
        default = "required" if key in needed else default_of(value)
        term = f"**`{key}`** {kind(value)}{f'; {default}' if default else ''}"
        lines.append(said(term, value.get("description", "")))
    return "\n\n".join(lines)


def default_of(value: Schema) -> str:
    """Return what holds where a key is absent."""
    default = value.get("default")
    empty = default in (None, [], "") or isinstance(default, dict)
    return "" if empty else f"`{json.dumps(default)}` unless given"


def kind(value: Schema) -> str:
    """Return what a key's value may be, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := value.get("anyOf", value.get("oneOf")):
        return " or ".join(kind(each) for each in choices if each.get("type") != "null")
    if fixed := value.get("enum", [value["const"]] if "const" in value else []):
        return ", ".join(f"`{json.dumps(each)}`" for each in fixed)
    if value["type"] == "array":
        inner = value.get("items", {})
        return f"list of {kind(inner)}" if inner else "list"
    return simple(value)


def simple(value: Schema) -> str:
    """Return what a single value may be, in words."""
    texts = {COUNT_PATTERN: '`"48B"`', SIZE_PATTERN: '`"12GiB"`', NAME_PATTERN: "name"}
    name = str(value["type"])
    if name == "string":
        return texts.get(value.get("pattern", ""), "text")
    words = {"integer": "whole number", "boolean": "true or false", "object": "table"}
    word = words.get(name, name)
    limits = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    told = [f"{sign} {value[limit]:g}" for limit, sign in limits.items() if limit in value]
    return f"{word} {', '.join(told)}".strip()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
