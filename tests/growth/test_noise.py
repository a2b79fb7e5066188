import pytest
import torch

from growlm.growth.noise import Draw, contrasts, groups, part, rms

DRAW = Draw(seed=1, name="layers.0.mlp.down.weight", dim=1, row=None)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_contrasts_cancel_over_the_copies_and_are_as_if_each_drew_for_itself(count: int) -> None:
    factors = torch.tensor(contrasts(count), dtype=torch.float64)
    torch.testing.assert_close(factors.sum(0), torch.zeros(count - 1, dtype=torch.float64))
    # The covariance of independent numbers whose mean was taken away.
    torch.testing.assert_close(
        factors @ factors.T, torch.eye(count, dtype=torch.float64) - 1 / count
    )


def test_uniform_numbers_have_the_spread_of_one_and_no_lean() -> None:
    drawn = DRAW.uniform((1001, 999), like=torch.empty(0))
    assert drawn.shape == (1001, 999)
    assert drawn.std().item() == pytest.approx(1.0, abs=2e-3)
    assert drawn.mean().item() == pytest.approx(0.0, abs=4e-3)
    assert drawn.abs().max().item() == pytest.approx(3**0.5, rel=1e-3)
    # Neighbours come out of one word of the generator.
    lag = (drawn[:, 1:] * drawn[:, :-1]).mean().item()
    assert lag == pytest.approx(0.0, abs=4e-3)


def test_streams_differ_by_name_axis_and_row_and_repeat_by_themselves() -> None:
    others = [
        Draw(1, "layers.0.mlp.up.weight", 1, None),
        Draw(1, DRAW.name, 0, None),
        Draw(1, DRAW.name, 1, 0),
        Draw(2, DRAW.name, 1, None),
    ]
    like = torch.empty(0)
    first = DRAW.uniform((5,), like=like)
    assert torch.equal(first, DRAW.uniform((5,), like=like))
    assert all(not torch.equal(first, other.uniform((5,), like=like)) for other in others)


def test_copies_that_stand_anywhere_are_parted_alike_and_the_others_left_alone() -> None:
    sources = (0, 1, 2, 3, 1, None, 0, 1)
    grown = torch.zeros(4000, len(sources), dtype=torch.float64)
    part(grown, groups(sources), share=0.5, draw=DRAW)
    assert torch.equal(grown[:, [2, 3, 5]], torch.zeros(4000, 3, dtype=torch.float64))
    for copies in ([0, 6], [1, 4, 7]):
        assert grown[:, copies].sum(1).abs().max() <= 1e-15
        for at in copies:
            assert rms(grown[:, at]) == pytest.approx(0.5 / len(copies), rel=0.05)


def test_no_two_copies_are_told_apart_by_the_same_number() -> None:
    grown = torch.zeros(6, 4)
    part(grown, groups((0, 0, 1, 1)), share=1.0, draw=DRAW)
    assert len(grown.abs().unique()) == 6 * 2
