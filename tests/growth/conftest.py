"""Growing a tiny parent in one call."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from growlm.growth.apply import child_config, grow_weights
from growlm.growth.depth import DepthPlan
from growlm.model.gpt import GPT


def grow(parent: GPT, plan: DepthPlan) -> GPT:
    child = GPT(child_config(parent.config, plan)).to(next(parent.parameters()).dtype)
    child.load_state_dict(grow_weights(parent.state_dict(), plan))
    return child


@pytest.fixture
def grown() -> Callable[..., GPT]:
    """Return a factory: parent, plan -> the child."""
    return grow


@pytest.fixture
def some_ids() -> Callable[..., Any]:
    """Return a factory: shape -> token ids below 61."""
    return lambda *shape: torch.randint(0, 61, shape, generator=torch.Generator().manual_seed(5))
