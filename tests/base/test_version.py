import tomllib
from pathlib import Path

from growlm.base.version import VERSION


def test_the_version_is_the_one_that_the_package_is_built_with():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
