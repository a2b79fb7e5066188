"""Writes the tree of captions into the pages that show it, between the marks ``<!-- tree -->``."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "growlm"

ORDER = (
    "base",
    "runlog.py",
    "recipe",
    "corpus",
    "model",
    "optim",
    "checkpoint.py",
    "growth",
    "training",
    "evaluation",
    "generation",
    "averaging.py",
    "report",
    "pipeline",
    "web",
    "cli",
    "api.py",
    "__main__.py",
)
"""Rooms and single modules, from the ground floor up; what is missing here comes last."""


def caption(module: Path) -> str:
    """Return a module's first line."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def rows(place: Path) -> list[tuple[str, str]]:
    """Return the lines of a room, or of a single module: name and caption."""
    if place.is_file():
        return [(place.name, caption(place))]
    name = f"{place.relative_to(PACKAGE)}/"
    found = [(name, caption(place / "__init__.py"))]
    for inner in sorted(place.iterdir()):
        if inner.is_dir() and (inner / "__init__.py").is_file():
            found += rows(inner)
        elif inner.suffix == ".py" and inner.name != "__init__.py":
            found.append((f"  {inner.relative_to(PACKAGE)}", caption(inner)))
    return found


def tree() -> str:
    """Return the tree of the package."""
    places = {each.name: each for each in PACKAGE.iterdir() if each.suffix == ".py"} | {
        each.name: each for each in PACKAGE.iterdir() if (each / "__init__.py").is_file()
    }
    del places["__init__.py"]
    names = [*ORDER, *sorted(set(places) - set(ORDER))]
    lines = [row for name in names if name in places for row in rows(places[name])]
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:<{width}}{text}" for name, text in lines)


def main() -> None:
    """Rewrite the tree in every page named on the command line."""
    shown = f"<!-- tree -->\n```\n{tree()}\n```\n<!-- /tree -->"
    for page in map(Path, sys.argv[1:]):
        text = page.read_text(encoding="utf-8")
        pattern = r"<!-- tree -->.*?<!-- /tree -->"
        written = re.sub(pattern, lambda _: shown, text, flags=re.DOTALL)
        page.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
