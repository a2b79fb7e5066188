"""The texts' sections: what only they can check."""

import pytest

from growlm.recipe.sections import Mixture


@pytest.mark.parametrize("block", [1, 2, 4_096])
def test_a_block_may_be_any_power_of_two(block: int) -> None:
    assert Mixture(block=block).block == block
