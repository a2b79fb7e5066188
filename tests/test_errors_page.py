"""The page of errors and the tree of errors: the same classes, with their exit codes."""

import ast
import re
from pathlib import Path

from growlm.base import errors
from growlm.base.errors import GrowlmError

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
"""A row: class, exit code, cause, cure."""


def tree() -> dict[str, str]:
    """Return every error class of the package with its base, whichever room it is in."""
    bases = {
        node.name: base.id
        for module in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    }
    found: dict[str, str] = {GrowlmError.__name__: "Exception"}
    for _ in bases:  # as deep as it goes
        found |= {name: base for name, base in bases.items() if base in found}
    return found


def rows() -> list[tuple[str, str, str, str]]:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return [(name, code.strip(), cause, cure) for name, code, cause, cure in ROW.findall(page)]


def test_the_page_lists_every_class_of_the_tree_once() -> None:
    names = [name for name, *_ in rows()]
    assert len(names) > 10
    assert sorted(names) == sorted(tree())


def test_every_class_has_its_exit_code_a_cause_and_a_cure() -> None:
    bases = tree()
    for name, code, cause, cure in rows():
        kind = name if name in vars(errors) else bases[name]
        if name != "Stopped":
            assert code == str(vars(errors)[kind].exit_code)
        assert len(cause) > 20
        assert len(cure) > 10
