"""The certificate: what is measured, and what is refused."""

import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import grow_weights
from growlm.growth.certificate import Certificate, check_claim, check_parameters, compare
from growlm.growth.depth import insert, interleave
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT


@pytest.fixture
def parent(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config(dropout=0.3, attention_dropout=0.3))


def test_an_inserted_child_keeps_its_claim(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor]
) -> None:
    plan = insert(2, 4)
    # Both are left in training mode, with dropout on: comparing must turn it off.
    measured = compare(parent.train(), grown(parent, plan).train(), [some_ids(2, 17)] * 2)
    assert measured.max_logit_difference == 0.0
    assert measured.loss_before == measured.loss_after
    assert measured.tokens == 2 * 2 * 16
    check_claim(plan, measured, operator="insert")


def test_the_measured_losses_and_difference_are_those_of_the_models(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor]
) -> None:
    child, batches = grown(parent, interleave(2, 4)), [some_ids(3, 17), some_ids(1, 9)]
    measured = compare(parent, child, batches)
    losses: list[float] = []
    for model in (parent, child):
        model.eval()
        logits = [model.logits(ids[:, :-1]).flatten(0, 1) for ids in batches]
        targets = torch.cat([ids[:, 1:].flatten() for ids in batches])
        losses.append(F.cross_entropy(torch.cat(logits), targets).item())
    assert measured.loss_before == pytest.approx(losses[0], rel=1e-6)
    assert measured.loss_after == pytest.approx(losses[1], rel=1e-6)
    assert measured.max_logit_difference == max(
        (parent.logits(ids[:, :-1]) - child.logits(ids[:, :-1])).abs().max().item()
        for ids in batches
    )
    assert measured.max_logit_difference > 1e-3


@pytest.mark.parametrize("output", ["attention.output.bias", "mlp.down.bias", "mlp.down.weight"])
def test_an_output_that_is_not_silenced_is_caught(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor], output: str
) -> None:
    plan = insert(2, 4)
    child = grown(parent, plan)
    child.get_parameter(f"layers.1.{output}").data.copy_(parent.get_parameter(f"layers.0.{output}"))
    measured = compare(parent, child, [some_ids(2, 17)])
    assert measured.max_logit_difference > 1e-4
    with pytest.raises(GrowthError, match=r"'insert' to leave every logit as it was; got a larg"):
        check_claim(plan, measured, operator="insert")


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_a_silent_layer_that_overflows_is_caught_even_beside_a_sound_batch(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor], bad: float
) -> None:
    plan = insert(2, 4)
    child = grown(parent, plan)
    # Only token 60 reaches the overflow: infinity times a zero output is not a number.
    parent.embedding.weight.data[60] = bad
    child.embedding.weight.data[60] = bad
    sound = some_ids(2, 17).clamp_max(59)
    spoilt = sound.clone()
    spoilt[0, 3] = 60
    for batches in ([sound, spoilt], [spoilt, sound]):
        measured = compare(parent, child, batches)
        assert measured.max_logit_difference != measured.max_logit_difference
        with pytest.raises(GrowthError, match="got a largest difference of nan"):
            check_claim(plan, measured, operator="insert")


def test_an_approximate_operator_claims_nothing_and_is_refused_nothing(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor]
) -> None:
    plan = interleave(2, 4)
    measured = compare(parent, grown(parent, plan), [some_ids(2, 17)])
    check_claim(plan, measured, operator="interleave")


def test_the_parameters_are_counted_and_a_missing_tensor_is_caught(
    parent: GPT, grown: Callable[..., GPT]
) -> None:
    plan = insert(2, 4)
    child, weights = grown(parent, plan), grow_weights(parent.state_dict(), plan)
    assert check_parameters(child, weights) == sum(each.numel() for each in child.parameters())
    del weights["layers.3.mlp.up.bias"]
    with pytest.raises(GrowthError, match=r"a child of [\d,]+ parameters; got [\d,]+\. Try repor"):
        check_parameters(child, weights)


@pytest.mark.parametrize("loss", [4.1, float("inf")])
def test_a_certificate_comes_back_from_a_checkpoints_json(loss: float) -> None:
    certificate = Certificate(
        operator="stack",
        layers_from=2,
        layers_to=4,
        optimizer_state="copy",
        sources=(0, 1, 0, 1),
        silent=(),
        claim="approximate",
        dtype="float32",
        batches="held-out",
        tokens=64,
        max_logit_difference=0.5,
        loss_before=4.1,
        loss_after=loss,
        parent_parameters=10,
        child_parameters=20,
        expected_parameters=20,
        plan_sha256="00",
        parent_sha256="11",
    )
    stored = json.dumps(certificate.model_dump(mode="json"))
    assert Certificate.model_validate(json.loads(stored)) == certificate
