"""The model section: what it takes when nothing else is said."""

import pydantic
import pytest

from growlm.recipe.model import Model


def test_what_a_shape_leaves_out_is_left_to_the_plan() -> None:
    model = Model(layers=1, heads=2, width=8)
    assert (model.kv_heads, model.head_width, model.mlp) == (None, None, None)
    assert (model.positions, model.norm, model.tied) == ("alibi", "layernorm", True)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_of_a_head_is_above_0_and_at_most_1(share: float) -> None:
    with pytest.raises(pydantic.ValidationError, match="rotary_share"):
        Model(layers=1, heads=2, width=8, rotary_share=share)
