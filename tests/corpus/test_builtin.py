import ast
import shutil
from pathlib import Path

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus import builtin
from growlm.corpus.documents import documents
from growlm.corpus.split import held_out
from growlm.recipe.sections import Source

MODULE = '''"""A module with more to say than most:
    its second line is indented, as the first is not.
"""
import os


class Shape:
    """A shape, of which nothing is said here but that it is one, at some length."""

    def area(self):
        """Return the area.

        In square metres.
        """

    def silent(self):
        return 1


if os.name == "posix":

    async def walk():
        """Walk, on some systems only, and as far as the road goes and the legs carry."""
'''

EXPECTED = """pack.shapes
A module with more to say than most:
its second line is indented, as the first is not.

pack.shapes.Shape
A shape, of which nothing is said here but that it is one, at some length.

pack.shapes.Shape.area
Return the area.

In square metres.

pack.shapes.walk
Walk, on some systems only, and as far as the road goes and the legs carry."""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of a few modules, and of much that is no part of it."""
    real = builtin.library()
    for name in ("json", "logging", "string.py", "textwrap.py"):
        (shutil.copytree if (real / name).is_dir() else shutil.copy)(real / name, tmp_path / name)
    put = {
        "pack/shapes.py": MODULE.encode(),
        "pack/short.py": b'"""Too little to make a document."""\n',
        "pack/latin.py": b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n",
        "broken.py": b"def f(:\n",
        "undecodable.py": b"name = 'caf\xe9'\n",
        "null.py": b"a\x00b\n",
        "data.txt": b"no module",
        "pydoc_data/topics.py": b"topics = {}\n",
    }
    for folder in ("test", "site-packages", "dist-packages", "pack/tests", "idlelib/idle_test"):
        put[f"{folder}/module.py"] = MODULE.encode()
    put["ensurepip/_bundled/module.py"] = MODULE.encode()
    for name, content in put.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(builtin, "library", lambda: tmp_path)
    return tmp_path


def source(kind):
    return Source(name=f"the-{kind}", builtin=kind, weight=1.0)


def test_docstrings_stand_under_their_dotted_names():
    assert builtin.docstrings(ast.parse(MODULE), name="pack.shapes") == EXPECTED


@pytest.mark.usefixtures("library")
def test_code_is_the_source_of_every_module_that_decodes():
    texts = dict(builtin.texts("code"))
    assert sorted(texts) == list(texts)
    assert {"json/__init__.py", "json/decoder.py", "string.py", "pack/short.py"} <= set(texts)
    assert texts["pack/shapes.py"] == MODULE
    assert texts["pack/latin.py"].endswith("'caf\u00e9'\n")
    assert "broken.py" in texts
    assert not {"undecodable.py", "pydoc_data/topics.py"} & set(texts)
    assert not any("test" in path or "packages" in path or "_bundled" in path for path in texts)


@pytest.mark.usefixtures("library")
def test_docs_are_the_topics_and_then_the_docstrings_of_modules():
    texts = dict(builtin.texts("docs"))
    topics = [path for path in texts if ":" in path]
    assert list(texts)[: len(topics)] == topics
    assert 'The "if" statement' in texts["pydoc_data/topics.py:if"]
    assert texts["pack/shapes.py"] == EXPECTED
    assert texts["json/__init__.py"].startswith("json\nJSON (JavaScript Object Notation)")
    assert not {"pack/short.py", "broken.py", "null.py", "undecodable.py"} & set(texts)


@pytest.mark.usefixtures("library")
def test_a_module_is_held_out_of_both_sources_or_of_neither():
    split = {}
    for kind in ("docs", "code"):
        for document in documents(source(kind), folder=Path()):
            assert document.group == document.path
            split.setdefault(document.path, set()).add(held_out(document, share=0.4))
    both = [path for path in split if path in ("json/decoder.py", "string.py", "logging/config.py")]
    assert len(both) == 3
    assert all(len(answers) == 1 for answers in split.values())
    assert {True} in split.values()
    assert {False} in split.values()


@pytest.mark.usefixtures("library")
def test_two_readings_are_the_same():
    assert list(builtin.texts("docs")) == list(builtin.texts("docs"))


def test_the_real_library_is_found():
    paths = builtin.module_paths()
    assert {"json/decoder.py", "asyncio/events.py", "argparse.py"} <= set(paths)
    assert not any(path.startswith(("test/", "site-packages/")) for path in paths)


def test_a_python_without_its_library_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(builtin, "library", lambda: tmp_path)
    with pytest.raises(CorpusError, match="the Python library's sources"):
        list(builtin.texts("code"))
