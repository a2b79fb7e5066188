"""Applying a depth plan: the parent's weights in, the child's out; nothing is shared or drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from growlm.growth.depth import DepthPlan
from growlm.model.config import GPTConfig
from growlm.model.spaces import is_layer_output, split_name


def child_config(parent: GPTConfig, plan: DepthPlan) -> GPTConfig:
    """Return the child's shape: the parent's with the plan's layers."""
    return replace(parent, layers=plan.layers)


def child_names(name: str, plan: DepthPlan) -> Iterator[tuple[str, int | None]]:
    """Yield each child weight that comes from a parent weight, with its layer if it has one."""
    layer, inner = split_name(name)
    if layer is None:
        yield name, None
        return
    for child_layer, source in enumerate(plan.sources):
        if source == layer:
            yield f"layers.{child_layer}.{inner}", child_layer


def grow_weights(parent: Mapping[str, Tensor], plan: DepthPlan) -> dict[str, Tensor]:
    """Return the child's weights.

    Every weight of a layer is copied from its source; a silent layer's output projections, biases
    included, are zero. Its other weights are not: two zeros in a row would never learn.

    Args:
        parent: Weights by name, as ``GPT.state_dict`` has them.
        plan: Where the child's layers come from.
    """
    child: dict[str, Tensor] = {}
    for name, tensor in parent.items():
        for child_name, layer in child_names(name, plan):
            silent = layer in plan.silent and is_layer_output(child_name)
            child[child_name] = torch.zeros_like(tensor) if silent else tensor.clone()
    return child
