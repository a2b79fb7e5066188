"""The stage section: where its weights come from."""

from typing import Any

import pydantic
import pytest

from growlm.recipe.model import Model
from growlm.recipe.optimizer import Cosine, Optimizer
from growlm.recipe.stage import Stage

REST: dict[str, Any] = {
    "name": "base",
    "context": 8,
    "batch": 64,
    "optimizer": Optimizer(peak_lr=1e-3),
    "schedule": Cosine(kind="cosine", warmup_steps=0),
}
MODEL = Model(layers=1, heads=1, width=8)


def test_a_stage_counts_its_tokens_in_words_too() -> None:
    assert Stage.model_validate({**REST, "model": MODEL, "tokens": "350K"}).tokens == 350_000


@pytest.mark.parametrize("origin", [{}, {"model": MODEL, "control": {"of": "grown"}}])
def test_a_stage_has_one_origin(origin: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError, match="exactly one of model, grow, control"):
        Stage.model_validate({**REST, "tokens": 64, **origin})


def test_a_layer_keeps_everything_unless_a_stage_says_what() -> None:
    rest = {**REST, "model": MODEL, "tokens": 64}
    assert Stage.model_validate(rest).activation_checkpointing == "none"
    for mode in ("none", "selective", "full"):
        found = Stage.model_validate({**rest, "activation_checkpointing": mode})
        assert found.activation_checkpointing == mode
    with pytest.raises(pydantic.ValidationError, match="'none', 'selective', 'full' or 'budget'"):
        Stage.model_validate({**rest, "activation_checkpointing": "some"})


def test_documents_are_masked_where_a_stage_says_so_in_so_many_words() -> None:
    rest = {**REST, "model": MODEL, "tokens": 64}
    assert Stage.model_validate(rest).document_masking is False
    assert Stage.model_validate({**rest, "document_masking": True}).document_masking is True
    with pytest.raises(pydantic.ValidationError, match="document_masking"):
        Stage.model_validate({**rest, "document_masking": 1})


def test_a_budget_is_a_share_or_bytes() -> None:
    rest = {**REST, "model": MODEL, "tokens": 64, "activation_checkpointing": "budget"}
    for given, budget in ((0.5, 0.5), ("1.5GiB", 1.5 * 2**30), ("512MiB", 2.0**29), ("1GB", 1e9)):
        found = Stage.model_validate({**rest, "activation_budget": given})
        assert found.activation_budget == budget
    with pytest.raises(pydantic.ValidationError, match="a share up to 1, or a size such as 16GiB"):
        Stage.model_validate({**rest, "activation_budget": "half"})
    with pytest.raises(pydantic.ValidationError, match="to have an activation_budget where"):
        Stage.model_validate(rest)
    with pytest.raises(pydantic.ValidationError, match="to leave activation_budget out where"):
        Stage.model_validate({**rest, "activation_checkpointing": "full", "activation_budget": 0.5})
