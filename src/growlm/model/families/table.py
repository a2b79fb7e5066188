"""The table of families: which one a config names, and which ones hold a model of ours."""

from typing import Any

from growlm.base.errors import CheckpointError, nearest
from growlm.model.config import GPTConfig
from growlm.model.families.family import ABSENT, Family, Values, looked_up, misfits, shown
from growlm.model.families.gpt2 import GPT2
from growlm.model.families.gpt_neox import GPT_NEOX
from growlm.model.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from growlm.model.families.mpt import MPT

FAMILIES = {
    family.model_type: family for family in (MPT, GPT2, GPT_NEOX, LLAMA, MISTRAL, QWEN2, QWEN3)
}
"""Every family, by what its config.json calls it; one contract test runs over all of them. Of
those that hold a model, the first is what it is exported as unless another is asked for."""

REASONS = {
    "bloom": "a norm on the embedding",
    "gemma": "norms whose gain is added to one, and a scaled embedding",
    "gpt_neo": "layers that see the last tokens only",
    "gptj": "one norm for attention and MLP, and rotary positions that pair neighbours",
    "mixtral": "a mixture of experts",
    "olmo2": "norms behind attention and MLP",
    "phi": "one norm for attention and MLP",
    "qwen2_moe": "a mixture of experts",
    "qwen3_moe": "a mixture of experts",
    "smollm3": "layers without positions among others with them",
}
"""What families that ours has no place for have."""


def family_of(values: Values) -> Family:
    """Return the family that a config names. Code that a config points to is never run.

    Raises:
        CheckpointError: It names none, or one that ours has no place for.
    """
    name: Any = looked_up(values, "model_type")
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    got = "none" if name is ABSENT else shown(name)
    reason = REASONS.get(name) if isinstance(name, str) else None
    if reason is None and "auto_map" in values:
        reason = "code of its own, which is never run"
    raise CheckpointError(
        f"model_type to be one of {', '.join(sorted(FAMILIES))}",
        got=f"{got}: {reason}" if reason else got,
        fix="a model of one of these families",
        where="config.json",
    )


def holders(config: GPTConfig) -> tuple[Family, ...]:
    """Return the families that hold a model of ours."""
    return tuple(family for family in FAMILIES.values() if not misfits(family, config))


def family_for(config: GPTConfig, name: str | None) -> Family:
    """Return the family to export a model as.

    Args:
        config: Its shape.
        name: The family that was asked for; the first that holds it when None.

    Raises:
        CheckpointError: There is no such family, or it cannot hold the model; each reason is named.
    """
    if name is not None and name not in FAMILIES:
        raise CheckpointError(
            f"a family, one of {', '.join(sorted(FAMILIES))}",
            got=f"'{name}'",
            fix=nearest(name, FAMILIES),
        )
    candidates = FAMILIES.values() if name is None else (FAMILIES[name],)
    closest = min(candidates, key=lambda family: _distance(family, config))
    reasons = misfits(closest, config)
    if not reasons:
        return closest
    what = "a family that holds this model" if name is None else f"{closest.name} to hold it"
    found = holders(config)
    raise CheckpointError(
        what,
        got=f"{', '.join(reasons)} ({closest.name}{', the nearest' * (name is None)})",
        fix=f"--family {found[0].model_type}" if found else "another shape of model",
    )


def _distance(family: Family, config: GPTConfig) -> tuple[bool, int]:
    """Return how far a family is from holding a model; first of all, by other positions."""
    return family.fixed["positions"] != config.positions, len(misfits(family, config))
