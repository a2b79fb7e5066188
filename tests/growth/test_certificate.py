"""The certificate: what is measured, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import grow_weights
from growlm.growth.certificate import (
    DTYPES,
    Certificate,
    Measurement,
    adjacency,
    bound,
    changed_sizes,
    check_claim,
    check_parameters,
    compare,
    layer_norms,
    measure,
    norm_cliff,
)
from growlm.growth.depth import interleave, stack
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

Plans = Callable[..., GrowthPlan]


@pytest.fixture
def parent(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config(dropout=0.3, attention_dropout=0.3))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_inserted_child_keeps_its_claim_in_every_number_format(
    *,
    parent: GPT,
    grown: Callable[..., GPT],
    plan_of: Plans,
    some_ids: Callable[..., Tensor],
    dtype: torch.dtype,
) -> None:
    plan = plan_of(parent.config, layers=4)
    # Both are left in training mode, with dropout on: comparing must turn it off.
    measured = compare(parent.train(), grown(parent, plan).train(), [some_ids(2, 17)] * 2, dtype)
    assert measured.max_logit_difference == 0.0
    assert measured.loss_before == measured.loss_after
    assert (measured.tokens, measured.context) == (2 * 2 * 16, 16)
    assert bound(plan, measured) == 0.0
    check_claim(plan, measured)


def test_a_child_grown_in_every_space_keeps_its_claim_in_every_number_format(
    parent: GPT, grown: Callable[..., GPT], plan_of: Plans, some_ids: Callable[..., Tensor]
) -> None:
    plan = plan_of(parent.config, layers=5, width=40, heads=4, mlp=50)
    batches = [[some_ids(4, 17)], [some_ids(8, 9)]]
    found = measure(plan, parent, grown(parent, plan), batches)
    formats = ["float64", "float32", "bfloat16"]
    assert [each.dtype for each in found] == formats * 2
    assert [each.context for each in found] == [16] * 3 + [8] * 3
    for measured in found:
        assert measured.max_logit_difference > 0.0
        check_claim(plan, measured)


def test_a_factor_left_out_is_caught(
    parent: GPT, grown: Callable[..., GPT], plan_of: Plans, some_ids: Callable[..., Tensor]
) -> None:
    plan = plan_of(parent.config, width=40)
    child = grown(parent, replace(plan, norm_gain=1.0))
    measured = compare(parent, child, [some_ids(2, 17)], torch.float64)
    with pytest.raises(GrowthError, match=r"its parent's to 1\.?\S* in float64; got a largest"):
        check_claim(plan, measured)


def test_the_measured_losses_and_difference_are_those_of_the_models(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor]
) -> None:
    child, batches = grown(parent, interleave(2, 4)), [some_ids(3, 17), some_ids(1, 9)]
    measured = compare(parent, child, batches, torch.float32)
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
    assert 0 < measured.rounding < 1e-5


@pytest.mark.parametrize("output", ["attention.output.bias", "mlp.down.bias", "mlp.down.weight"])
def test_an_output_that_is_not_silenced_is_caught(
    *,
    parent: GPT,
    grown: Callable[..., GPT],
    plan_of: Plans,
    some_ids: Callable[..., Tensor],
    output: str,
) -> None:
    plan = plan_of(parent.config, layers=4)
    child = grown(parent, plan)
    child.get_parameter(f"layers.1.{output}").data.copy_(parent.get_parameter(f"layers.0.{output}"))
    measured = compare(parent, child, [some_ids(2, 17)], torch.float32)
    assert measured.max_logit_difference > 1e-4
    with pytest.raises(GrowthError, match=r"its parent's to 0 in float32; got a largest"):
        check_claim(plan, measured)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_a_silent_layer_that_overflows_is_caught_even_beside_a_sound_batch(
    *,
    parent: GPT,
    grown: Callable[..., GPT],
    plan_of: Plans,
    some_ids: Callable[..., Tensor],
    bad: float,
) -> None:
    plan = plan_of(parent.config, layers=4)
    child = grown(parent, plan)
    # Only token 60 reaches the overflow: infinity times a zero output is not a number.
    parent.embedding.weight.data[60] = bad
    child.embedding.weight.data[60] = bad
    sound = some_ids(2, 17).clamp_max(59)
    spoilt = sound.clone()
    spoilt[0, 3] = 60
    for batches in ([sound, spoilt], [spoilt, sound]):
        measured = compare(parent, child, batches, torch.float32)
        assert measured.max_logit_difference != measured.max_logit_difference
        with pytest.raises(GrowthError, match="got a largest difference of nan"):
            check_claim(plan, measured)


def test_an_approximate_plan_claims_nothing_and_is_refused_nothing(
    parent: GPT, grown: Callable[..., GPT], plan_of: Plans, some_ids: Callable[..., Tensor]
) -> None:
    plan = plan_of(parent.config, layers=4, depth="interleave")
    check_claim(plan, compare(parent, grown(parent, plan), [some_ids(2, 17)], torch.float32))


def test_the_parameters_are_counted_and_a_missing_tensor_is_caught(
    parent: GPT, grown: Callable[..., GPT], plan_of: Plans
) -> None:
    plan = plan_of(parent.config, layers=4)
    child, weights = grown(parent, plan), grow_weights(parent.state_dict(), plan)
    assert check_parameters(child, weights) == sum(each.numel() for each in child.parameters())
    shared = {**weights, "layers.3.mlp.up.bias": weights["layers.2.mlp.up.bias"]}
    with pytest.raises(GrowthError, match="whose parameters share no storage; got shared ones"):
        check_parameters(child, shared)
    del weights["layers.3.mlp.up.bias"]
    with pytest.raises(GrowthError, match=r"a child of [\d,]+ parameters; got [\d,]+\. Try repor"):
        check_parameters(child, weights)


def test_a_seam_between_layers_of_different_norms_is_a_cliff(
    parent: GPT, grown: Callable[..., GPT]
) -> None:
    with torch.no_grad():
        for parameter in parent.layers[1].parameters():
            parameter.mul_(3.0)
    before = layer_norms(parent)
    assert before[1] == pytest.approx(3 * before[0], rel=0.2)
    assert norm_cliff(before, layer_norms(grown(parent, stack(2, 4)))) == pytest.approx(1.0)
    assert norm_cliff([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]) == 2.0
    assert norm_cliff([1.0], [1.0, 1.0]) == 1.0


@pytest.mark.parametrize(
    ("sources", "share"),
    [
        (stack(8, 24).sources, 0.913),
        (interleave(8, 24).sources, 0.304),
        (stack(18, 36).sources, 0.971),
        (interleave(18, 36).sources, 0.486),
        (interleave(18, 24).sources, 0.739),
    ],
)
def test_neighbours_that_stay_neighbours_are_counted_as_published(
    sources: tuple[int, ...], share: float
) -> None:
    assert adjacency(sources, ()) == pytest.approx(share, abs=5e-4)


def test_only_the_sizes_that_change_are_told(parent: GPT, plan_of: Plans) -> None:
    plan = plan_of(parent.config, layers=4, mlp=50)
    assert changed_sizes(plan) == {"layers": (2, 4), "mlp": (32, 50)}


@pytest.mark.parametrize("loss", [4.1, float("inf")])
def test_a_certificate_comes_back_from_a_checkpoints_json(loss: float) -> None:
    measured = Measurement(
        dtype="float32",
        context=16,
        tokens=64,
        max_logit_difference=0.5,
        largest_logit=2.0,
        rounding=1e-7,
        loss_before=4.1,
        loss_after=loss,
    )
    certificate = Certificate(
        operator="stack",
        sizes={"layers": (2, 4)},
        optimizer_state="copy",
        sources=(0, 1, 0, 1),
        silent=(),
        claim="approximate",
        departures=("layers are repeated",),
        batches="held-out",
        measurements=(measured, measured.model_copy(update={"context": 8})),
        norm_cliff=1.0,
        adjacency=0.5,
        parent_parameters=10,
        child_parameters=20,
        expected_parameters=20,
        plan_sha256="00",
        parent_sha256="11",
    )
    stored = json.dumps(certificate.model_dump(mode="json"))
    assert Certificate.model_validate(json.loads(stored)) == certificate
    assert certificate.main == measured
