"""Moments in fewer bits: what they stand for, how they are rounded, and what they take up."""

import pytest
import torch

from growlm.base.errors import CheckpointError
from growlm.optim.moments import (
    FIRST,
    LOW_BITS,
    SECOND,
    before_the_first_step,
    chances,
    in_8_bits,
    in_16_bits,
    is_lean,
    keys,
    levels,
    numbers,
    saved_moment,
)

STEP = torch.tensor(3.0)


def drawn(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[FIRST, SECOND])
def key(request):
    """Return each moment in turn."""
    return request.param


@pytest.fixture
def spread(key):
    """Return moments over ten powers of ten; each row's blocks have a largest entry of 1."""
    sizes = 10.0 ** (-10 * torch.rand((8, 600), generator=torch.Generator().manual_seed(2)))
    sizes[:, ::256] = 1.0
    return sizes * drawn(8, 600).sign() if key == FIRST else sizes**2


def shown(key, value):
    """Return a moment as it is held, but for its scale: the second one's root."""
    return value if key == FIRST else value.sqrt()


def test_levels_are_those_of_the_dynamic_data_type(key):
    found = levels(key)
    assert len(found) == (128 if key == FIRST else 255)
    assert torch.equal(found, found.sort().values)
    decades = [int(((found > low) & (found <= 10 * low)).sum()) for low in (1e-7, 1e-6, 1e-2, 1e-1)]
    assert decades == ([1, 2, 32, 64] if key == FIRST else [2, 4, 64, 128])


def test_without_chance_each_entry_becomes_its_nearest_level(key, spread):
    codes, scales = in_8_bits(key, spread, None)
    assert (codes.dtype, codes.shape, scales.shape) == (torch.uint8, (8, 600), (8, 3))
    assert torch.equal(scales, torch.ones(8, 3))
    found, wanted = shown(key, numbers(key, codes, scales)), shown(key, spread)
    known = levels(key)
    nearest = known[(wanted.abs()[:, :, None] - known).abs().argmin(2)]
    torch.testing.assert_close(found, nearest * wanted.sign(), rtol=1e-6, atol=1e-9)


def test_by_chance_each_entry_is_itself_on_average(key, spread):
    draws = 100
    total = torch.zeros_like(spread)
    for step in range(draws):
        chance = chances(spread, first=0, step=torch.tensor(float(step)))
        total += shown(key, numbers(key, *in_8_bits(key, spread, chance)))
    wanted = shown(key, spread)
    widest = levels(key).diff().max()  # of a step between levels; its half is the most a draw errs
    assert (total / draws - wanted).abs().max() < 5 * 0.5 * widest / draws**0.5
    assert abs(float((total / draws - wanted).sum() / wanted.abs().sum())) < 2e-3


def test_sixteen_bits_are_right_on_average_and_never_farther_than_a_neighbour():
    value, draws = drawn(50, 40), 200
    total = torch.zeros_like(value)
    for step in range(draws):
        found = in_16_bits(value, chances(value, first=0, step=torch.tensor(float(step))))
        assert found.dtype == torch.bfloat16
        assert ((found.float() - value).abs() <= value.abs() / 128).all()
        total += found.float()
    assert ((total / draws - value) / value).abs().max() < 5 * 0.5 / 128 / draws**0.5
    exact = torch.tensor([0.0, 1.0, -0.5])
    full = torch.full((3,), -1, dtype=torch.int32)
    assert torch.equal(in_16_bits(exact, full).float(), exact)


def test_chance_is_a_function_of_step_and_place():
    rows = torch.zeros(6, 5)
    whole = chances(rows, first=0, step=STEP)
    parts = [chances(rows[:2], first=0, step=STEP), chances(rows[2:], first=10, step=STEP)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(chances(rows, first=0, step=STEP + 1), whole)
    many = chances(torch.zeros(1 << 16), first=0, step=STEP)
    for bits in (many & LOW_BITS, (many >> 16) & LOW_BITS):
        shares = bits.double() / (LOW_BITS + 1)
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.005)
        assert float(shares.std()) == pytest.approx(12**-0.5, abs=0.005)


def test_a_block_of_zeros_stays_zero(key):
    codes, scales = in_8_bits(key, torch.zeros(2, 300), torch.ones(2, 300, dtype=torch.int32))
    assert not numbers(key, codes, scales).any()


def test_a_second_moment_far_below_its_blocks_largest_is_not_lost():
    square = torch.tensor([[1.0, 1e-10]])  # a gradient of 1e-5 beside one of 1
    found = numbers(SECOND, *in_8_bits(SECOND, square, None))
    assert float(found[0, 1].sqrt()) == pytest.approx(1e-5, rel=0.2)


@pytest.mark.parametrize(
    ("moments", "bytes_"), [("float32", 8.0), ("bfloat16", 4.0), ("8bit", 2.0 + 8 / 256)]
)
def test_before_the_first_step_there_is_nothing_in_so_many_bytes(moments, bytes_):
    parameter = torch.nn.Parameter(drawn(64, 512))
    state = before_the_first_step(parameter, moments)
    assert set(state) == set(keys(2, moments))
    step = state.pop("step")
    assert (step.item(), step.shape) == (0.0, ())
    assert sum(each.nbytes for each in state.values()) == bytes_ * parameter.numel()
    tensors = {f"{name}.up": each for name, each in state.items()}
    for moment in (FIRST, SECOND):
        plain = saved_moment(tensors, moment, "up")
        assert plain is not None
        assert plain.dtype == torch.float32
        assert not plain.any()
    assert is_lean(tensors) == (moments != "float32")


def test_a_vector_has_no_eight_bits():
    state = before_the_first_step(torch.nn.Parameter(drawn(512)), "8bit")
    assert {name: each.dtype for name, each in state.items()} == dict.fromkeys(
        ("step", FIRST, SECOND), torch.float32
    )


def test_codes_without_their_scales_mean_nothing(key):
    codes, _ = in_8_bits(key, drawn(4, 4).abs(), None)
    with pytest.raises(CheckpointError) as caught:
        saved_moment({f"{key}.up": codes}, key, "up")
    assert str(caught.value) == (
        "expected scales beside 8-bit moments of up; got none. Try the optimizer state as it was "
        "saved."
    )
    assert saved_moment({}, key, "up") is None
