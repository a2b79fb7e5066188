"""Optimizers: from a recipe to what moves a model, and to words; and what a child goes on with."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from growlm.base.errors import RecipeError
from growlm.checkpoint import unread_optimizer
from growlm.model.gpt import GPT
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.moments import is_lean
from growlm.optim.muon import MOMENTUM, muon
from growlm.pipeline.stageplan import StagePlan
from growlm.recipe.optimizer import Optimizer

NAMES = {"adamw": "AdamW", "muon": "Muon for the matrices of the layers, AdamW for the rest"}
"""Every kind of optimizer, in words."""

MOMENTS = {
    "float32": "float32",
    "bfloat16": "bfloat16, rounded by chance",
    "8bit": "8 bits and a scale for 256 of them, rounded by chance; float32 for vectors",
}
"""What moments can be held in, in words."""


def optimizer_of(section: Optimizer, model: GPT, *, scaled: bool = False) -> torch.optim.Optimizer:
    """Return what moves a model.

    Args:
        section: The recipe's.
        model: Its parameters, in their order.
        scaled: Whether state may hold factors for each entry, as exact growth needs.
    """
    settings = AdamWSettings(
        peak_lr=section.peak_lr,
        betas=section.betas,
        eps=section.eps,
        weight_decay=section.weight_decay,
        moments=section.moments,
    )
    if section.kind == "muon":
        return muon(model, settings, momentum=section.momentum)
    return adamw(model, settings, scaled=scaled)


def words(section: Optimizer) -> Mapping[str, str]:
    """Return what an optimizer is, by name, for people."""
    told = {
        "optimizer": NAMES[section.kind],
        "betas": f"{section.betas[0]:g}, {section.betas[1]:g}",
        "eps": f"{section.eps:g}",
    }
    if section.kind == "muon":
        told["momentum"] = f"{section.momentum:g}"
    if section.moments != "float32":
        told["moments"] = MOMENTS[section.moments]
    if section.z_loss:
        told["z-loss"] = f"{section.z_loss:g}, in no loss shown"
    return told


def kind_of(state: Iterable[str]) -> str | None:
    """Return which kind of optimizer has such state, by its names; None where there is none."""
    keys = {name.partition(".")[0] for name in state}
    if not keys:
        return None
    return "muon" if MOMENTUM in keys else "adamw"


def check_inheritable(stage: StagePlan, earlier: Sequence[StagePlan]) -> None:
    """Refuse a child whose optimizer could not go on with its parent's state, if it is to.

    Raises:
        RecipeError: They are of two kinds, or there is no law by which it would follow exactly.
    """
    grow, kind = stage.origin.grow, stage.optimizer.kind
    if grow is None or grow.optimizer_state == "drop":
        return
    if kind == "muon" and grow.optimizer_state == "exact":
        raise RecipeError(
            'grow.optimizer_state to be "asymmetric", "copy" or "drop" where optimizer.kind is '
            '"muon", which makes a whole matrix orthogonal: its steps are no multiple of its '
            "parent's",
            got='"exact"',
            fix='optimizer_state = "asymmetric"',
        )
    if grow.optimizer_state == "exact":
        _check_whole_bits(stage, earlier)
    before = _kind_before(stage, earlier)
    if before not in (None, kind):
        raise RecipeError(
            f'optimizer.kind to be "{before}" as in the parent, whose optimizer\'s state it goes '
            "on with",
            got=f'"{kind}"',
            fix=f'kind = "{before}", or grow.optimizer_state = "drop"',
        )


def _check_whole_bits(stage: StagePlan, earlier: Sequence[StagePlan]) -> None:
    """Refuse moments of fewer bits, in a child or in its parent, where it is to follow exactly."""
    path = stage.origin.parent_path
    parents = (each for each in earlier if each.name == stage.origin.parent)
    found = [stage.optimizer.moments, *(each.optimizer.moments for each in parents)]
    if path is not None and is_lean(unread_optimizer(path)):
        found.append("bfloat16")
    if any(each != "float32" for each in found):
        raise RecipeError(
            'optimizer.moments to be "float32" in child and parent where grow.optimizer_state is '
            '"exact": no copy follows the other\'s rounding',
            got="moments of fewer bits",
            fix='moments = "float32", or optimizer_state = "asymmetric"',
        )


def _kind_before(stage: StagePlan, earlier: Sequence[StagePlan]) -> str | None:
    """Return the kind of optimizer whose state a stage's parent has; None where it has none."""
    path: Path | None = stage.origin.parent_path
    if path is not None:
        return kind_of(unread_optimizer(path))
    return next((each.optimizer.kind for each in earlier if each.name == stage.origin.parent), None)
