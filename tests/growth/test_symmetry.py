"""The meter: zero where copies cannot part, and above it where something parts them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.growth.depth import DepthPlan, insert, interleave
from growlm.growth.moments import grow_moments
from growlm.growth.plan import GrowthPlan
from growlm.growth.symmetry import SPACES, Apart, depth_distance, locked, unit_distances
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.optim.adamw import state_tensors
from growlm.optim.scaled_adamw import ScaledAdamW

STEPS = 30
FEW = 12
"""Steps that are enough to tell copies that part from those that never do."""

Configs = Callable[..., GPTConfig]
Plans = Callable[..., GrowthPlan]


def take(optimizer: ScaledAdamW, model: GPT, state: Mapping[str, Tensor]) -> None:
    """Give an optimizer its state by name."""
    for name, parameter in model.named_parameters():
        found = {key: state[f"{key}.{name}"] for key in KEYS if f"{key}.{name}" in state}
        if found:
            optimizer.state[parameter] = found


KEYS = ("step", "exp_avg", "exp_avg_sq")


@pytest.fixture
def apart(
    *,
    tiny_config: Configs,
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Plans,
    optimizer_of: Callable[[GPT], ScaledAdamW],
    loss_of: Callable[[GPT, Tensor], Tensor],
) -> Callable[..., dict[str, Apart]]:
    """Train a parent a little, grow it, train the child; return what the meter says."""

    def train(model: GPT, optimizer: ScaledAdamW, steps: int, stream: torch.Generator) -> None:
        for _ in range(steps):
            ids = torch.randint(0, 61, (4, 17), generator=stream)
            optimizer.zero_grad()
            loss_of(model, ids).backward()
            optimizer.step()

    def run(
        mode: str, *, changes: dict[str, Any], steps: int = STEPS, **sizes: Any
    ) -> dict[str, Apart]:
        stream = torch.Generator().manual_seed(3)
        parent = tiny_model(tiny_config(**changes), dtype=torch.float64)
        optimizer = optimizer_of(parent)
        train(parent, optimizer, 2, stream)
        plan = plan_of(parent.config, **sizes)
        child = grown(parent, plan)
        child_optimizer = optimizer_of(child)
        take(
            child_optimizer, child, grow_moments(state_tensors(parent, optimizer), plan, mode=mode)
        )
        train(child, child_optimizer, steps, stream)
        return unit_distances(child.state_dict(), plan)

    return run


Meter = Callable[..., dict[str, Apart]]


@pytest.mark.parametrize("mode", ["copy", "drop"])
def test_copies_that_nothing_tells_apart_never_part(apart: Meter, mode: str) -> None:
    sizes = {"width": 32, "heads": 4, "mlp": 64, "units": "even"}
    found = apart(mode, changes={"positions": "none"}, **sizes)
    assert list(found) == ["width", "heads", "kv_heads", "mlp"]
    for each in found.values():
        assert each.equal == each.copies
        # Up to the order in which a kernel sums: copies at other places may differ in a last bit.
        assert each.largest <= 1e-14
        assert each.relative <= 1e-14


@pytest.mark.parametrize(("mode", "units"), [("asymmetric", "even"), ("drop", "uneven")])
def test_copies_part_by_their_moments_and_by_an_uneven_split(
    apart: Meter, mode: str, units: str
) -> None:
    found = apart(mode, changes={"positions": "none"}, heads=4, mlp=64, units=units)
    assert list(found) == ["heads", "kv_heads", "mlp"]
    for each in found.values():
        assert each.equal == 0
        assert each.largest > 1e-4
        assert each.relative > 1e-4


@pytest.mark.parametrize(
    ("mode", "sizes"),
    [
        ("asymmetric", {"mlp": 96, "units": "even"}),
        ("drop", {"mlp": 96, "units": "uneven"}),
        ("drop", {"head_width": 16, "units": "uneven"}),
        ("drop", {"layers": 3, "mlp": 64, "units": "uneven"}),
    ],
    ids=["three copies by moments", "three copies by shares", "inside heads", "in silent layers"],
)
def test_no_copy_is_left_behind(apart: Meter, mode: str, sizes: dict[str, Any]) -> None:
    for each in apart(mode, changes={"layers": 1}, **sizes).values():
        assert each.equal == 0
        assert each.largest > 1e-4


ROTARY = {"positions": "rotary", "heads": 4, "kv_heads": 2, "head_width": 4}

GROWTHS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "residual, twice": ({"norm": "layernorm"}, {"width": 32}),
    "residual, three times": ({"norm": "rmsnorm", "tied": False}, {"width": 48}),
    "residual, twice and padded": ({"norm": "layernorm"}, {"width": 40, "mlp": 64}),
    "heads under ALiBi": ({}, {"heads": 3, "mlp": 33}),
    "heads under rotary": ({"positions": "rotary"}, {"heads": 4}),
    "query heads in their groups": (ROTARY, {"heads": 8}),
    "whole groups of heads": (ROTARY, {"heads": 8, "kv_heads": 4}),
    "key/value heads": (ROTARY, {"kv_heads": 4}),
    "head width, three times": ({}, {"head_width": 24}),
    "head width and heads": ({"positions": "none"}, {"head_width": 16, "heads": 4}),
    "head width, padded": ({"positions": "none"}, {"head_width": 12, "heads": 4}),
    "MLP units": ({}, {"mlp": 64}),
    "with silent layers": ({}, {"layers": 3, "mlp": 64, "head_width": 16}),
    "all of it": ({"positions": "none"}, {"width": 32, "heads": 4, "head_width": 16, "mlp": 96}),
}
"""Every growth in width that copies, by the parent's shape and the child's sizes."""


@pytest.mark.parametrize(("changes", "sizes"), GROWTHS.values(), ids=GROWTHS)
def test_by_default_the_copies_of_every_operator_part(
    apart: Meter, changes: dict[str, Any], sizes: dict[str, Any]
) -> None:
    found = apart("asymmetric", changes={"layers": 1, **changes}, steps=FEW, **sizes)
    for space, each in found.items():
        assert each.equal == 0, space
        assert each.largest > 1e-4, space


@pytest.mark.parametrize(("changes", "sizes"), GROWTHS.values(), ids=GROWTHS)
@pytest.mark.parametrize(("mode", "units"), [("drop", "even"), ("copy", "uneven")])
def test_growth_names_the_spaces_whose_copies_training_leaves_equal(  # noqa: PLR0917
    apart: Meter,
    locked_by: Callable[..., tuple[str, ...]],
    mode: str,
    units: str,
    changes: dict[str, Any],
    sizes: dict[str, Any],
) -> None:
    shape = {"layers": 1, **changes}
    found = apart(mode, changes=shape, steps=FEW, **sizes, units=units)
    left = tuple(space for space, each in found.items() if each.equal)
    assert locked_by(mode, changes=shape, **sizes, units=units) == left


@pytest.mark.parametrize("growth", ["whole groups of heads", "with silent layers", "all of it"])
def test_noise_that_cancels_parts_copies_whatever_their_moments_are(
    apart: Meter, locked_by: Callable[..., tuple[str, ...]], growth: str
) -> None:
    changes, sizes = GROWTHS[growth]
    shape = {"layers": 1, **changes}
    for space, each in apart("drop", changes=shape, **sizes, units="noised", steps=FEW).items():
        assert each.equal == 0, space
        assert each.largest > 1e-4, space
    for changes, sizes in GROWTHS.values():
        assert locked_by("drop", changes=changes, **sizes, units="noised") == ()


@pytest.fixture
def locked_by(tiny_config: Configs, plan_of: Plans) -> Callable[..., tuple[str, ...]]:
    """Return a function: mode, the parent's shape, the growth -> spaces that stay locked."""

    def run(mode: str, *, changes: dict[str, Any], **sizes: Any) -> tuple[str, ...]:
        return locked(plan_of(tiny_config(**changes), **sizes), mode)

    return run


def test_moments_part_no_copies_in_layers_that_have_none(
    apart: Meter, locked_by: Callable[..., tuple[str, ...]]
) -> None:
    growth: dict[str, Any] = {"layers": 2, "depth": "stack", "mlp": 64, "units": "even"}
    shape: dict[str, Any] = {"layers": 1}
    found = apart("asymmetric", changes=shape, **growth)["mlp"]
    assert (found.copies, found.equal) == (64, 32)
    assert locked_by("asymmetric", changes=shape, **growth) == ("mlp",)
    assert locked_by("asymmetric", changes=shape, **growth | {"units": "uneven"}) == ()


def test_a_child_that_follows_its_parent_keeps_every_copy(
    locked_by: Callable[..., tuple[str, ...]],
) -> None:
    found = locked_by("exact", changes={}, width=32, mlp=64, units="uneven")
    assert found == ("width", "mlp")


@pytest.mark.parametrize("mode", ["drop", "copy", "asymmetric", "exact"])
def test_growth_without_copies_locks_nothing(
    locked_by: Callable[..., tuple[str, ...]], mode: str
) -> None:
    assert locked_by(mode, changes={}, layers=5, heads=3, mlp=40, units="new") == ()


def test_noise_on_every_weight_parts_all_copies(locked_by: Callable[..., tuple[str, ...]]) -> None:
    sizes: dict[str, Any] = {"width": 32, "mlp": 64, "units": "even"}
    assert locked_by("drop", changes={}, **sizes) == ("width", "mlp")
    assert locked_by("drop", changes={}, **sizes, copies="noised") == ()


def test_a_child_that_has_just_been_grown_has_copies_that_are_exactly_equal(
    tiny_config: Configs, tiny_model: Callable[..., GPT], grown: Callable[..., GPT], plan_of: Plans
) -> None:
    parent = tiny_model(tiny_config(positions="none", heads=4, kv_heads=2, head_width=4))
    plan = plan_of(parent.config, width=48, heads=8, kv_heads=4, head_width=8, mlp=80, units="even")
    found = unit_distances(grown(parent, plan).state_dict(), plan)
    assert tuple(found) == SPACES
    copies = {space: each.copies for space, each in found.items()}
    # Queries with keys, and values, are units of their own: two kinds of coordinates in a head.
    assert copies == {
        "width": 32,
        "heads": 2 * 4,
        "kv_heads": 2 * 2,
        "head_width": 2 * 2 * 4,
        "mlp": 2 * 48,
    }
    for each in found.values():
        assert (each.equal, each.largest, each.relative) == (each.copies, 0.0, 0.0)


def mlp_of(*units: float) -> dict[str, Tensor]:
    """Return the matrices of MLP units that each hold one number."""
    rows = torch.tensor(units)[:, None].expand(-1, 16)
    return {"layers.0.mlp.up.weight": rows, "layers.0.mlp.down.weight": torch.ones(16, len(units))}


def test_every_pair_of_copies_is_told_and_the_distance_is_from_the_first(
    tiny_config: Configs, plan_of: Plans
) -> None:
    plan = plan_of(tiny_config(layers=1, mlp=2), mlp=6)
    assert plan.mlp.sources == (0, 1, 0, 1, 0, 1)
    found = unit_distances(mlp_of(1.0, 2.0, 1.5, 3.0, 1.5, 4.0), plan)["mlp"]
    # Unit 4 equals unit 2, though both have left the first copy.
    assert (found.copies, found.equal, found.largest) == (4, 1, 2.0)
    assert found.relative == pytest.approx((5.5 / 10) ** 0.5)


def test_copies_as_far_apart_as_rounding_are_still_equal(
    tiny_config: Configs, plan_of: Plans
) -> None:
    plan = plan_of(tiny_config(layers=1, mlp=1), mlp=2)
    found = unit_distances(mlp_of(1.0, 1.00001), plan)["mlp"]
    assert found.equal == 1
    assert found.largest == pytest.approx(1e-5, rel=1e-2)
    assert unit_distances(mlp_of(1.0, 1.001), plan)["mlp"].equal == 0


def test_growth_without_copies_has_nothing_to_measure(
    tiny_config: Configs, tiny_model: Callable[..., GPT], grown: Callable[..., GPT], plan_of: Plans
) -> None:
    parent = tiny_model(tiny_config())
    plan = plan_of(parent.config, layers=4, mlp=64, heads=3, units="new")
    assert unit_distances(grown(parent, plan).state_dict(), plan) == {}


def test_without_copies_there_is_nothing_to_measure() -> None:
    weights = {"layers.0.mlp.up.weight": torch.ones(2, 2)}
    assert depth_distance(weights, interleave(1, 1)) is None
    assert depth_distance(weights, insert(1, 1)) is None


def test_layers_are_measured_against_the_first_copy_of_their_source() -> None:
    plan = DepthPlan(parent_layers=1, sources=(0, 0, 0), silent=(1,))
    weights = {
        f"layers.{layer}.mlp.up.weight": torch.full((2, 2), value)
        for layer, value in enumerate((2.0, 9.0, 3.0))
    }
    assert depth_distance(weights, plan) == 0.5
    weights["layers.2.mlp.up.weight"] = weights["layers.0.mlp.up.weight"].clone()
    assert depth_distance(weights, plan) == 0.0
