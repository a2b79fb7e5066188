"""Sections: frozen, strict, closed; and what tells a folder from a stage."""

import pydantic
import pytest

from growlm.recipe import sections
from growlm.recipe.sections import Mixture, Model, Section, is_checkpoint_path

SECTIONS = [
    value
    for value in vars(sections).values()
    if isinstance(value, type) and issubclass(value, Section)
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_is_frozen_strict_closed_and_finite(section: type[Section]) -> None:
    config = section.model_config
    assert (config.get("frozen"), config.get("strict"), config.get("extra")) == (
        True,
        True,
        "forbid",
    )
    assert config.get("allow_inf_nan") is False


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_has_its_doc(section: type[Section]) -> None:
    undocumented = [name for name, field in section.model_fields.items() if not field.description]
    assert undocumented == []


def test_an_assignment_to_a_section_is_refused() -> None:
    model = Model(layers=1, heads=1, width=8)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        model.layers = 2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("block", [1, 2, 4_096])
def test_a_block_may_be_any_power_of_two(block: int) -> None:
    assert Mixture(block=block).block == block


@pytest.mark.parametrize(
    ("origin", "is_path"),
    [
        ("base", False),
        ("1.1b", False),
        ("runs/x/stages/base/final", True),
        ("./base", True),
        ("../base", True),
        ("/base", True),
        ("..", True),
    ],
)
def test_a_folder_is_told_from_a_stage(*, origin: str, is_path: bool) -> None:
    assert is_checkpoint_path(origin) is is_path
