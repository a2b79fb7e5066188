"""The recipe's JSON Schema, as an editor would use it."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growlm.recipe.schema import schema


def objects(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every schema with properties, wherever it stands."""
    found: list[tuple[str, dict[str, Any]]] = []
    if isinstance(node, dict):
        found = [(path, node)] if "properties" in node else []
        for key, inner in node.items():
            found += objects(inner, f"{path}/{key}")
    return found


def test_every_key_carries_its_meaning() -> None:
    sections = objects(json.loads(schema()))
    assert len(sections) >= 15
    for path, section in sections:
        for key, value in section["properties"].items():
            assert value.get("description"), f"{path}: {key} has no doc"


def test_every_section_is_closed() -> None:
    assert all(
        section["additionalProperties"] is False for _, section in objects(json.loads(schema()))
    )


def test_the_schema_speaks_of_from_as_recipes_do() -> None:
    grow = json.loads(schema())["$defs"]["Grow"]
    assert "from" in grow["properties"]
    assert "from_" not in grow["properties"]


def test_a_log_may_be_left_out() -> None:
    assert "log" not in json.loads(schema())["required"]


def test_the_schema_is_valid_and_judges_recipes_as_the_reader_does(
    recipe_with: Callable[..., str],
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    content = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(content)
    validator = jsonschema.Draft202012Validator(content)
    assert list(validator.iter_errors(tomllib.loads(recipe_with()))) == []
    for change in [
        ("layers = 2", "layer = 2"),
        ('"1M"', '"1G"'),
        ('kind = "cosine"', 'kind = "cosin"'),
        ("vocab_size = 512", 'vocab_size = "512"'),
    ]:
        assert not validator.is_valid(tomllib.loads(recipe_with(change))), change


def test_the_schema_that_editors_read_is_the_recipe_s() -> None:
    path = Path(__file__).parents[2] / "recipes" / "recipe.schema.json"
    assert path.read_text(encoding="utf-8") == schema() + "\n", "run make schema"
