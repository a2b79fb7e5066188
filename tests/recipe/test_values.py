"""What holds for every section: frozen, strict, closed, and documented."""

import pydantic
import pytest

from growlm.recipe.experiment import Experiment
from growlm.recipe.model import Model
from growlm.recipe.values import Section

SECTIONS = Section.__subclasses__()


def test_the_recipe_and_all_its_parts_are_sections() -> None:
    assert {Experiment, Model} < set(SECTIONS)


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
