"""The texts' sections: what only they can check."""

import pytest
from pydantic import ValidationError

from growlm.recipe.sections import Mixture, Source


@pytest.mark.parametrize("block", [1, 2, 4_096])
def test_a_block_may_be_any_power_of_two(block: int) -> None:
    assert Mixture(block=block).block == block


def test_shards_take_a_weight_and_no_key_about_text() -> None:
    found = Source.model_validate({"name": "web", "shards": "../run/corpus/web", "weight": 2.0})
    assert found.shards == "../run/corpus/web"
    for key, value in (("clean", ("nfc",)), ("kind", "prose"), ("text_field", "body")):
        with pytest.raises(ValidationError, match="how text is read only where text is read"):
            Source.model_validate({**found.model_dump(exclude_unset=True), key: value})
