"""Growing, in a recipe: what tells a folder from a stage."""

import pytest

from growlm.recipe.grow import is_checkpoint_path


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
