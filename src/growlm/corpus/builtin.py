"""Text that every Python installation carries: its prose, and its library's modules."""

import ast
import inspect
import os
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from growlm.base.errors import CorpusError

SHORTEST_DOCSTRINGS = 200
"""Characters of docstrings below which a module gives no document."""

TOPICS = "pydoc_data/topics.py"
"""The prose of the language reference, as a module; it counts as prose and not as code."""

_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "_bundled"}
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def texts(kind: Literal["docs", "code"]) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every document of a built-in source, in a fixed order.

    A module has the same path in both sources. Modules that do not decode are skipped, and for
    ``docs`` those that do not parse.

    Raises:
        CorpusError: This Python comes without its library's sources.
    """
    root = library()
    if kind == "docs":
        yield from _topics()
    for path in module_paths():
        code = _code(root / path)
        text = code if kind == "code" else _docs(code, name=_dotted(path))
        if text:
            yield path, text


def module_paths() -> list[str]:
    """Return the standard library's modules relative to its folder, in byte order.

    Tests, installed packages and bundled wheels are no part of it.

    Raises:
        CorpusError: There are none.
    """
    root = library()
    found: list[str] = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        relative = Path(place).relative_to(root)
        found += [(relative / name).as_posix() for name in names if name.endswith(".py")]
    found = sorted((path for path in found if path != TOPICS), key=os.fsencode)
    if not found:
        raise _no_library(root)
    return found


def library() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def docstrings(tree: ast.Module, *, name: str) -> str:
    """Return all docstrings of a module, each under its dotted name; empty when they are few.

    >>> tree = ast.parse("class A: '" + 200 * "x" + "'")
    >>> docstrings(tree, name="m").splitlines()[0]
    'm.A'
    """
    found = list(_docstrings(tree, name))
    if sum(len(text) for _, text in found) < SHORTEST_DOCSTRINGS:
        return ""
    return "\n\n".join(f"{owner}\n{text}" for owner, text in found)


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Documented):
        text = ast.get_docstring(node, clean=False)
        cleaned = inspect.cleandoc(text).strip() if text else ""
        if cleaned:
            yield name, cleaned
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child, f"{name}.{child.name}")
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _docstrings(child, name)


def _topics() -> Iterator[tuple[str, str]]:
    try:
        from pydoc_data.topics import topics  # half a megabyte that only this source needs
    except ImportError as error:
        raise _no_library(library() / TOPICS) from error
    for name in sorted(topics):
        yield f"{TOPICS}:{name}", topics[name]


def _code(path: Path) -> str:
    """Return a module's source; empty when its bytes are not what it declares them to be."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError):
        return ""
    except OSError as error:
        raise _no_library(path) from error


def _docs(code: str, *, name: str) -> str:
    """Return a module's docstrings; empty when it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return docstrings(ast.parse(code), name=name)
    except (SyntaxError, ValueError, RecursionError):
        return ""


def _dotted(path: str) -> str:
    """Return a module's dotted name.

    >>> _dotted("json/__init__.py"), _dotted("json/decoder.py")
    ('json', 'json.decoder')
    """
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _no_library(place: Path) -> CorpusError:
    return CorpusError(
        "the Python library's sources, which a built-in source reads",
        got=f"nothing readable at {place}",
        fix="a Python with its library (on Debian, the package python3 rather than -minimal)",
    )
