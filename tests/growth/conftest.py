"""Growing a tiny parent in one call."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.growth.apply import grow_weights
from growlm.growth.depth import DepthPlan
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Operators, Target, growth_plan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT, with_weights
from growlm.model.loss import cross_entropy_sum
from growlm.optim.scaled_adamw import ScaledAdamW

PLAIN: dict[str, Any] = {
    "depth": "insert",
    "layer_map": None,
    "widen": "lemon",
    "units": "uneven",
    "copies": "plain",
}


def make_plan(parent: GPTConfig, *, seed: int = 0, **changes: Any) -> GrowthPlan:
    tokens = changes.pop("new_tokens", ())
    chosen = {key: changes.pop(key) for key in PLAIN if key in changes}
    operators = Operators(**{**PLAIN, **chosen})
    return growth_plan(parent, Target(**changes), operators, new_tokens=tokens, seed=seed)


def depth_only(parent: GPTConfig, depth: DepthPlan) -> GrowthPlan:
    layer_map = tuple(
        ~source if layer in depth.silent else source for layer, source in enumerate(depth.sources)
    )
    return make_plan(parent, layers=depth.layers, depth="explicit", layer_map=layer_map)


def grow(parent: GPT, plan: GrowthPlan | DepthPlan) -> GPT:
    whole = depth_only(parent.config, plan) if isinstance(plan, DepthPlan) else plan
    return with_weights(whole.child, grow_weights(parent.state_dict(), whole))


def mean_loss(model: GPT, ids: Tensor) -> Tensor:
    total = cross_entropy_sum(
        model(ids[:, :-1]).flatten(0, 1),
        model.head_weight,
        ids[:, 1:].flatten(),
        vocab_size=model.config.vocab_size,
    )
    return total / ids[:, 1:].numel()


def make_optimizer(model: GPT) -> ScaledAdamW:
    parameters = list(model.parameters())
    groups = [
        {"params": [each for each in parameters if each.dim() > 1], "weight_decay": 0.1},
        {"params": [each for each in parameters if each.dim() < 2], "weight_decay": 0.0},
    ]
    return ScaledAdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)


@pytest.fixture
def plan_of() -> Callable[..., GrowthPlan]:
    """Return a factory: parent's config, sizes and operators -> a plan."""
    return make_plan


@pytest.fixture
def grown() -> Callable[..., GPT]:
    """Return a factory: parent, plan -> the child."""
    return grow


@pytest.fixture
def some_ids() -> Callable[..., Any]:
    """Return a factory: shape -> token ids below 61."""
    return lambda *shape: torch.randint(0, 61, shape, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def optimizer_of() -> Callable[[GPT], ScaledAdamW]:
    """Return a factory: model -> AdamW with per-entry factors."""
    return make_optimizer


@pytest.fixture
def loss_of() -> Callable[[GPT, Tensor], Tensor]:
    """Return a function: model, ids -> mean loss."""
    return mean_loss
