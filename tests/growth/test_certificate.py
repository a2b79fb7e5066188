"""The certificate: what is measured, and what is refused."""

import json
from collections.abc import Callable

import pytest
import torch

from growlm.base.errors import GrowthError
from growlm.growth.certificate import (
    Certificate,
    adjacency,
    changed_sizes,
    check_parameters,
    layer_norms,
    norm_cliff,
    same_weights,
)
from growlm.growth.comparison import Measurement
from growlm.growth.depth import interleave, stack
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Asked, Operators, Target
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT, weight_shapes
from growlm.model.streamed import Streamed
from growlm.model.weights import held

Plans = Callable[..., GrowthPlan]


@pytest.fixture
def parent(tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]) -> GPT:
    return tiny_model(tiny_config())


def streamed(model: GPT) -> Streamed:
    return Streamed(model.config, held(model.state_dict()))


def test_the_parameters_are_counted_and_a_missing_tensor_is_caught(parent: GPT) -> None:
    shapes = weight_shapes(parent.config)
    assert check_parameters(parent.config, shapes) == sum(
        each.numel() for each in parent.parameters()
    )
    del shapes["layers.1.mlp.up.bias"]
    with pytest.raises(GrowthError, match=r"a child of [\d,]+ parameters; got [\d,]+\. Try repor"):
        check_parameters(parent.config, shapes)


def test_one_bit_in_one_weight_is_noticed_and_padding_is_not_looked_at(parent: GPT) -> None:
    weights = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    read = held(parent.state_dict())
    weights["embedding.weight"][parent.config.vocab_size :] = 7.0
    assert same_weights(parent.config, read, held(weights))
    for name, tensor in weights.items():
        place = tensor.view(torch.int32).flatten()[:1]
        place ^= 1
        assert not same_weights(parent.config, read, held(weights)), name
        place ^= 1
    assert same_weights(parent.config, read, held(weights))


def test_a_seam_between_layers_of_different_norms_is_a_cliff(
    parent: GPT, grown: Callable[..., GPT]
) -> None:
    with torch.no_grad():
        for parameter in parent.layers[1].parameters():
            parameter.mul_(3.0)
    before = layer_norms(streamed(parent))
    assert before[1] == pytest.approx(3 * before[0], rel=0.2)
    assert norm_cliff(before, layer_norms(streamed(grown(parent, stack(2, 4))))) == pytest.approx(
        1.0
    )
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
def test_a_certificate_comes_back_from_a_checkpoints_json(loss: float, parent: GPT) -> None:
    asked = Asked(
        target=Target(layers=4),
        operators=Operators(
            depth="stack", layer_map=None, widen="lemon", units="uneven", copies="plain"
        ),
        new_tokens=((3, 4), ()),
        seed=5,
    )
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
        parent_config=parent.config.as_dict(),
        asked=asked,
        sizes={"layers": (2, 4)},
        optimizer_state="copy",
        sources=(0, 1, 0, 1),
        silent=(),
        claim="approximate",
        departures=("layers are repeated",),
        batches="held-out",
        measurements=(measured, measured.model_copy(update={"context": 8})),
        regrown=True,
        optimizer_groups={"decayed": 3, "plain": 4},
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
    assert certificate.model_copy(update={"measurements": ()}).main is None
    assert certificate.operator == "stack"
    assert Certificate.model_validate(json.loads(stored)).plan == asked.plan(parent.config)
