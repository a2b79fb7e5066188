"""Optimizers: from a recipe to what moves a model, and to words; and what a child goes on with."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from growlm.base.errors import RecipeError
from growlm.checkpoint import unread_optimizer
from growlm.model.gpt import GPT
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.muon import MOMENTUM, muon
from growlm.pipeline.stageplan import StagePlan
from growlm.recipe.optimizer import Optimizer

NAMES = {"adamw": "AdamW", "muon": "Muon for the matrices of the layers, AdamW for the rest"}
"""Every kind of optimizer, in words."""


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
    before = _kind_before(stage, earlier)
    if before not in (None, kind):
        raise RecipeError(
            f'optimizer.kind to be "{before}" as in the parent, whose optimizer\'s state it goes '
            "on with",
            got=f'"{kind}"',
            fix=f'kind = "{before}", or grow.optimizer_state = "drop"',
        )


def _kind_before(stage: StagePlan, earlier: Sequence[StagePlan]) -> str | None:
    """Return the kind of optimizer whose state a stage's parent has; None where it has none."""
    path: Path | None = stage.origin.parent_path
    if path is not None:
        return kind_of(unread_optimizer(path))
    return next((each.optimizer.kind for each in earlier if each.name == stage.origin.parent), None)
