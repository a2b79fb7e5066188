"""The compiler: the first thing that is not there, or nothing."""

from pathlib import Path

import pytest

from growlm.base.compiler import why_no_compiler


def test_a_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert why_no_compiler() == "no C++ compiler was found"


def test_a_compiler_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    assert why_no_compiler() == "Python's headers are not installed"
    (tmp_path / "Python.h").touch()
    assert why_no_compiler() is None
