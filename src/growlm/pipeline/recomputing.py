"""Activation checkpointing of a stage: which layers keep what, on which device; and in words."""

from collections.abc import Mapping

from growlm.base.errors import RecipeError
from growlm.base.units import format_bytes
from growlm.model.activations import CPU, CUDA, Load, Numbers, layers_within, within
from growlm.model.recompute import Checkpointing
from growlm.pipeline.stageplan import StagePlan

NUMBERS: Mapping[str, Numbers] = {"cuda": CUDA, "cpu": CPU}
"""How each kind of device holds what a forward pass leaves behind."""


def layers_of(
    stage: StagePlan, numbers: Numbers, *, sequences: int | None = None
) -> tuple[Checkpointing, int]:
    """Return what layers keep, and how many do, the first ones; the others keep everything.

    Args:
        stage: The stage.
        numbers: Of the device.
        sequences: Of a micro-batch; the stage's when absent.

    Raises:
        RecipeError: Its budget is less than layers keep that are all computed again.
    """
    mode, budget = stage.activation_checkpointing, stage.activation_budget
    if mode != "budget" or budget is None:
        return "full" if mode == "budget" else mode, stage.config.layers
    load = Load(
        sequences=sequences or stage.micro_sequences,
        context=stage.context,
        document_masking=stage.document_masking,
    )
    found = layers_within(stage.config, load, numbers, budget=budget)
    if found is None:
        least, most = (
            within(stage.config, load, numbers, first=first) for first in (stage.config.layers, 0)
        )
        raise RecipeError(
            f"activation_budget of stage '{stage.name}' to be at least {least / most:.3f} of what "
            f"its layers keep, or {format_bytes(least)}: with less, no layer could be computed "
            "again",
            got=budget_words(budget),
            fix=f"activation_budget = {min(1.0, least / most + 0.005):.2f}, or a smaller "
            "micro_batch",
        )
    return "full", found


def budget_words(budget: float) -> str:
    """Return a budget for people.

    >>> budget_words(0.5), budget_words(2.0**30)
    ('0.5', '1.0 GiB')
    """
    return f"{budget:g}" if budget <= 1.0 else format_bytes(budget)


def checkpointing_words(stage: StagePlan) -> str:
    """Return what a stage's layers keep, for people."""
    budget = stage.activation_budget
    own = stage.activation_checkpointing
    return own if budget is None else f"{own} of {budget_words(budget)}"
