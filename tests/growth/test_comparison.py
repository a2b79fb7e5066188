"""Parent and child side by side: what is measured, and what is refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from growlm.base.errors import GrowthError
from growlm.growth.apply import Grower
from growlm.growth.certificate import bound, check_claim
from growlm.growth.comparison import DTYPES, Measurement, measure
from growlm.growth.depth import interleave
from growlm.growth.plan import GrowthPlan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.streamed import Streamed
from growlm.model.weights import cast, held

Plans = Callable[..., GrowthPlan]


def streamed(model: GPT) -> Streamed:
    return Streamed(model.config, held(model.state_dict()))


def compare(
    parent: GPT, child: GPT, batches: Sequence[Tensor], dtype: torch.dtype
) -> list[Measurement]:
    """Return the measurements in one number format; in fp64 of the child as it is."""
    after = streamed(child)
    every = measure(streamed(parent), after, after, batches)
    return [each for each in every if each.dtype == str(dtype).removeprefix("torch.")]


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
    # The config asks for dropout: comparing must leave it off.
    (measured,) = compare(parent, grown(parent, plan), [some_ids(2, 17)], dtype)
    assert measured.max_logit_difference == 0.0
    assert measured.loss_before == measured.loss_after
    assert (measured.tokens, measured.context) == (2 * 16, 16)
    assert bound(plan, measured) == 0.0
    check_claim(plan, measured)


def test_a_child_grown_in_every_space_keeps_its_claim_in_every_number_format(
    parent: GPT, grown: Callable[..., GPT], plan_of: Plans, some_ids: Callable[..., Tensor]
) -> None:
    plan = plan_of(parent.config, layers=5, width=40, heads=4, mlp=50)
    exact = Streamed(plan.child, Grower(plan).reader(cast(held(parent.state_dict()), DTYPES[0])))
    batches = [some_ids(4, 17), some_ids(8, 9)]
    found = measure(streamed(parent), streamed(grown(parent, plan)), exact, batches)
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
    (measured,) = compare(parent, child, [some_ids(2, 17)], torch.float64)
    with pytest.raises(GrowthError, match=r"its parent's to 1\.?\S* in float64; got a largest"):
        check_claim(plan, measured)


def test_the_measured_losses_and_difference_are_those_of_the_models(
    parent: GPT, grown: Callable[..., GPT], some_ids: Callable[..., Tensor]
) -> None:
    child, batches = grown(parent, interleave(2, 4)), [some_ids(3, 17), some_ids(1, 9)]
    for model in (parent, child):
        model.eval()
    for measured, ids in zip(compare(parent, child, batches, torch.float32), batches, strict=True):
        # One sequence at a time, as measuring runs them.
        before, after = (
            torch.cat([model.logits(row[None, :-1])[0] for row in ids]) for model in (parent, child)
        )
        targets = ids[:, 1:].flatten()
        assert measured.loss_before == pytest.approx(
            F.cross_entropy(before, targets).item(), rel=1e-6
        )
        assert measured.loss_after == pytest.approx(
            F.cross_entropy(after, targets).item(), rel=1e-6
        )
        assert measured.max_logit_difference == (before - after).abs().max().item()
        assert measured.largest_logit == before.abs().max().item()
        assert measured.max_logit_difference > 1e-3
        assert 0 < measured.rounding < 1e-5


def test_a_vocabulary_of_several_blocks_is_measured_as_a_whole(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    sizes = {"vocab_size": 2500, "padded_vocab_size": 2560}
    parent, child = (tiny_model(tiny_config(**sizes), seed=seed) for seed in (0, 1))
    ids = torch.randint(0, 2500, (2, 13), generator=torch.Generator().manual_seed(2))
    (measured,) = compare(parent, child, [ids], torch.float64)
    before, after = (
        model.double().eval().logits(ids[:, :-1]).flatten(0, 1) for model in (parent, child)
    )
    targets = ids[:, 1:].flatten()
    assert measured.loss_before == pytest.approx(F.cross_entropy(before, targets).item(), rel=1e-12)
    assert measured.loss_after == pytest.approx(F.cross_entropy(after, targets).item(), rel=1e-12)
    assert measured.max_logit_difference == pytest.approx(
        (before - after).abs().max().item(), rel=1e-12
    )


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
    (measured,) = compare(parent, child, [some_ids(2, 17)], torch.float32)
    assert measured.max_logit_difference > 1e-4
    with pytest.raises(GrowthError, match=r"its parent's to 0 in float32; got a largest"):
        check_claim(plan, measured)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_a_silent_layer_that_overflows_is_caught_beside_a_sound_batch(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    grown: Callable[..., GPT],
    plan_of: Plans,
    some_ids: Callable[..., Tensor],
    bad: float,
) -> None:
    parent = tiny_model(tiny_config(tied=False))
    # Only token 60 reaches the overflow: infinity times a zero output is not a number.
    parent.embedding.weight.data[60] = bad
    plan = plan_of(parent.config, layers=4)
    child = grown(parent, plan)
    sound = some_ids(2, 17).clamp_max(59)
    spoilt = sound.clone()
    spoilt[0, 3] = 60
    good, caught = compare(parent, child, [sound, spoilt], torch.float32)
    check_claim(plan, good)
    assert caught.max_logit_difference != caught.max_logit_difference
    with pytest.raises(GrowthError, match="got a largest difference of nan"):
        check_claim(plan, caught)


def test_an_approximate_plan_claims_nothing_and_is_refused_nothing(
    parent: GPT, grown: Callable[..., GPT], plan_of: Plans, some_ids: Callable[..., Tensor]
) -> None:
    plan = plan_of(parent.config, layers=4, depth="interleave")
    for measured in compare(parent, grown(parent, plan), [some_ids(2, 17)], torch.float32):
        check_claim(plan, measured)
