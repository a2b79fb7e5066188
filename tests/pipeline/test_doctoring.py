"""The doctor: everything is named, and what is missing comes with what to do."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from growlm.pipeline import doctoring
from growlm.pipeline.doctoring import EXTRAS, Finding, findings

EXTRA = re.compile(r"growlm\[(.*)\]")


def brought(extras: dict[str, list[str]], name: str) -> set[str]:
    """Return the packages that an extra of pyproject.toml brings, through the extras it names."""
    packages: set[str] = set()
    for requirement in extras[name]:
        if inner := EXTRA.match(requirement):
            packages.update(*(brought(extras, each) for each in inner[1].split(",")))
        else:
            found = re.match(r"[\w-]+", requirement)
            assert found
            packages.add(found[0])
    return packages


def by_name(place: Path) -> dict[str, Finding]:
    return {each.name: each for each in findings(place)}


@pytest.fixture
def bare(monkeypatch):
    """A machine with nothing on it, and no driver of a GPU."""

    def absent(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(doctoring, "version", absent)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(doctoring, "DRIVER", Path("nowhere"))


def test_the_doctor_s_extras_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    known = {name: set(part.packages) for name, part in EXTRAS.items()}
    assert known == {name: brought(extras, name) for name in extras}


@pytest.mark.usefixtures("bare")
def test_what_a_bare_machine_lacks_comes_with_what_to_do(tmp_path):
    found = by_name(tmp_path)
    assert (found["torch"].found, found["torch"].fix) == ("not installed", "pip install torch")
    assert "no GPU" in found["device"].found
    assert found["compiler"].found == "no C++ compiler was found"
    for name, part in EXTRAS.items():
        row = found[f"[{name}]"]
        assert row.fix == f"pip install 'growlm[{name}]' to {part.purpose}"
        assert all(package in row.found for package in part.packages)
    assert found.keys() >= {"growlm", "torch", "device", "compiler", "memory", "disk"}


def test_what_is_there_is_told_with_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(doctoring, "version", lambda package: f"{len(package)}.0")
    found = by_name(tmp_path)
    assert found["torch"] == Finding(name="torch", found="5.0", fix=None)
    assert found["[ray]"].found == "datatrove 9.0, ray 3.0"
    assert found["[ray]"].fix is None


@pytest.mark.parametrize(
    ("cards", "found"), [(0, "a GPU torch cannot use"), (2, "Big with 16.0 GiB, Big with 16.0 GiB")]
)
def test_a_gpu_that_torch_cannot_use_is_told_from_one_that_it_can(
    tmp_path, monkeypatch, cards, found
):
    monkeypatch.setattr(doctoring, "DRIVER", tmp_path)
    card = SimpleNamespace(name="Big", total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    device = by_name(tmp_path)["device"]
    assert device.found.endswith(found)
    assert ("a torch built for CUDA" in (device.fix or "")) == (cards == 0)


def test_a_disk_with_little_room_gets_a_word(tmp_path, monkeypatch):
    usage = SimpleNamespace(total=2**40, free=2**30)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    disk = by_name(tmp_path)["disk"]
    assert disk.found == "1.0 GiB free of 1.0 TiB"
    assert disk.fix is not None
    assert disk.fix.startswith("freeing space, or --out on another disk")


def test_memory_is_told_where_the_system_shows_none_of_it_as_a_file(tmp_path, monkeypatch):
    assert re.fullmatch(r"\S+ \w+ free of \S+ \w+", by_name(tmp_path)["memory"].found)
    monkeypatch.setattr(doctoring, "MEMORY", tmp_path / "nowhere")
    assert re.fullmatch(r"\S+ \w+", by_name(tmp_path)["memory"].found)
