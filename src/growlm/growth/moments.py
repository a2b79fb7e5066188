"""What becomes of the optimizer's moments when a model grows."""

from collections.abc import Mapping

import torch
from torch import Tensor

from growlm.base.errors import GrowthError, nearest
from growlm.growth.apply import child_names
from growlm.growth.depth import DepthPlan

MODES = ("drop", "copy", "asymmetric")
"""Every treatment of the moments, by the name recipes use."""


def grow_moments(parent: Mapping[str, Tensor], plan: DepthPlan, *, mode: str) -> dict[str, Tensor]:
    """Return the child's optimizer state.

    ``drop`` forgets all of it. ``copy`` gives every copy its source's moments and step count.
    ``asymmetric`` gives them to the first copy only and starts the others from nothing, so that
    copies part. A silent layer is new in every mode: its moments are zero and its step is 0,
    because its gradients are not its source's.

    Args:
        parent: State by ``KEY.NAME``, as ``optim.adamw.state_tensors`` returns it.
        plan: Where the child's layers come from.
        mode: One of ``MODES``.

    Raises:
        GrowthError: There is no such mode.
    """
    check_mode(mode)
    if mode == "drop":
        return {}
    child: dict[str, Tensor] = {}
    for full_name, tensor in parent.items():
        key, name = full_name.split(".", 1)
        for child_name, layer in child_names(name, plan):
            kept = layer is None or _keeps(plan, layer, mode)
            child[f"{key}.{child_name}"] = tensor.clone() if kept else torch.zeros_like(tensor)
    return child


def check_mode(mode: str) -> None:
    """Refuse a treatment of the moments that there is none of.

    Raises:
        GrowthError: As said.
    """
    if mode not in MODES:
        raise GrowthError(
            f"an optimizer_state, one of {', '.join(MODES)}",
            got=f"'{mode}'",
            fix=nearest(mode, MODES),
        )


def _keeps(plan: DepthPlan, layer: int, mode: str) -> bool:
    if mode == "copy":
        return layer not in plan.silent
    return plan.is_first_copy(layer)
