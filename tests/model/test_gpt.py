"""The decoder, against its own parts; model/families is tested against other people's."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from growlm.base.errors import CheckpointError, EvaluationError
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT, _working_dtype, weight_shapes, with_weights

KINDS = ["alibi", "learned", "rotary", "none"]


def some_ids(*shape: int, vocab_size: int = 61, seed: int = 0) -> Tensor:
    return torch.randint(0, vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def numbered(*lengths: int) -> Tensor:
    """Return the number of each token's document, for documents of these lengths in turn."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def spans(documents_T: Tensor) -> list[slice]:
    ends = documents_T.bincount().cumsum(0).tolist()
    return [slice(start, end) for start, end in pairwise([0, *ends])]


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_the_hidden_states_times_the_head_without_its_padding(
    *, tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], tied: bool
) -> None:
    model = tiny_model(tiny_config(tied=tied), dtype=torch.float64)
    ids = some_ids(2, 7)
    weight = model.embedding.weight if model.head is None else model.head.weight
    assert (model.head is None) is tied
    assert model.head_weight is weight
    expected = (model(ids) @ weight.T)[..., :61]
    assert model.logits(ids).shape == (2, 7, 61)
    torch.testing.assert_close(model.logits(ids), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", KINDS)
def test_a_later_token_changes_no_earlier_logit(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], positions: str
) -> None:
    model = tiny_model(tiny_config(positions=positions))
    ids = some_ids(1, 16)
    before = model.logits(ids)
    ids[0, 9] = (ids[0, 9] + 1) % 61
    after = model.logits(ids)
    assert torch.equal(before[:, :9], after[:, :9])
    assert (before[:, 9:] != after[:, 9:]).any(-1).all()


@pytest.mark.parametrize("positions", ["alibi", "learned", "rotary"])
def test_positions_tell_a_repeated_token_its_place(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], positions: str
) -> None:
    # Two different tokens first, or attention over equal values would hide every place.
    ids = torch.tensor([[5, 9, 5, 5, 5]])
    logits = tiny_model(tiny_config(positions=positions)).logits(ids)
    assert (logits[0, 3] - logits[0, 4]).abs().max() > 1e-4


def test_a_model_takes_any_length_unless_its_positions_were_learned(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    for positions in ("alibi", "rotary", "none"):
        assert tiny_model(tiny_config(positions=positions)).logits(some_ids(1, 33)).shape[1] == 33
    words = r"at most 16 tokens: that many positions were learned; got 17\. Try a context of 16"
    with pytest.raises(EvaluationError, match=words):
        tiny_model(tiny_config(positions="learned")).logits(some_ids(1, 17))


def test_a_short_input_is_the_beginning_of_a_long_one(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(), dtype=torch.float64)
    ids = some_ids(1, 16)
    torch.testing.assert_close(
        model.logits(ids)[:, :5], model.logits(ids[:, :5]), rtol=0, atol=1e-12
    )


def test_the_checkpoint_of_a_tied_model_holds_its_matrix_once(
    tiny_config: Callable[..., GPTConfig],
) -> None:
    assert "head.weight" not in GPT(tiny_config(tied=True)).state_dict()
    assert "head.weight" in GPT(tiny_config(tied=False)).state_dict()


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_model_made_from_weights_is_the_model_they_came_from(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    positions: str,
    dtype: torch.dtype,
) -> None:
    model = tiny_model(tiny_config(positions=positions, tied=False), dtype=dtype)
    again = with_weights(model.config, model.state_dict())
    assert torch.equal(again.logits(some_ids(2, 16)), model.logits(some_ids(2, 16)))
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert {parameter.dtype for parameter in again.parameters()} == {dtype}


def test_a_model_made_from_weights_owns_a_copy_and_draws_nothing(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    weights = tiny_model(tiny_config()).state_dict()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    state = torch.get_rng_state()
    again = with_weights(tiny_config(), weights)
    assert torch.equal(torch.get_rng_state(), state)
    for parameter in again.parameters():
        parameter.data.fill_(7.0)
    assert all(torch.equal(weights[name], before[name]) for name in weights)


@pytest.mark.parametrize("tied", [True, False])
def test_the_shapes_of_weights_are_those_of_the_model_that_is_made(
    *, tiny_config: Callable[..., GPTConfig], tied: bool
) -> None:
    config = tiny_config(positions="learned", tied=tied, qk_norm=True, kv_heads=1)
    expected = {name: tuple(each.shape) for name, each in GPT(config).state_dict().items()}
    assert weight_shapes(config) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mlp": 48}, "size mismatch for layers.0.mlp.up.weight"),
        ({"layers": 3}, "Missing key"),
        ({"layers": 1}, "Unexpected key"),
        ({"tied": False}, "Missing key.*head.weight"),
    ],
)
def test_weights_of_another_shape_are_refused(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    changes: dict[str, Any],
    words: str,
) -> None:
    weights = tiny_model(tiny_config()).state_dict()
    with pytest.raises(CheckpointError, match="weights of the shape that the config states") as bad:
        with_weights(tiny_config(**changes), weights)
    assert re.search(words, bad.value.got)


PACKED = torch.stack([numbered(5, 1, 8, 2), numbered(1, 15), numbered(16)])


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"heads": 4, "kv_heads": 2, "head_width": 4},
        {"heads": 3, "kv_heads": 1, "parallel": True},
        {"qk_norm": True, "norm": "rmsnorm", "activation": "swiglu", "rotary_share": 0.5},
    ],
    ids=str,
)
class TestDocumentMasking:
    @pytest.fixture
    def model(
        self,
        tiny_config: Callable[..., GPTConfig],
        tiny_model: Callable[..., GPT],
        positions: str,
        changes: dict[str, Any],
    ) -> GPT:
        return tiny_model(tiny_config(positions=positions, **changes), dtype=torch.float64)

    def test_a_document_is_read_as_if_it_stood_alone(self, model: GPT) -> None:
        ids = some_ids(3, 16)
        packed = model.logits(ids, PACKED)
        for row, documents_T in enumerate(PACKED):
            for span in spans(documents_T):
                alone = model.logits(ids[row : row + 1, span])
                torch.testing.assert_close(packed[row, span], alone[0], rtol=0, atol=1e-10)

    def test_without_masking_all_but_the_first_read_what_stands_before_them(
        self, model: GPT
    ) -> None:
        ids = some_ids(3, 16)
        apart = (model.logits(ids) - model.logits(ids, PACKED)).abs().amax(-1)
        assert apart[PACKED == 0].max() < 1e-10
        assert apart[PACKED > 0].min() > 1e-6

    def test_one_document_is_what_is_read_without_masking(self, model: GPT) -> None:
        ids = some_ids(2, 16)
        whole = model.logits(ids, torch.full((2, 16), 7))
        torch.testing.assert_close(whole, model.logits(ids), rtol=0, atol=1e-12)

    def test_no_gradient_reaches_another_document(self, model: GPT) -> None:
        ids = torch.arange(16)[None]  # each token once, so that an embedding's row is a token's own
        embedding = model.embedding.weight
        for span in spans(PACKED[0]):
            hidden = model(ids, PACKED[:1])[:, span]
            (grad,) = torch.autograd.grad(hidden.square().sum(), embedding)
            reached = grad.any(-1).nonzero()[:, 0].tolist()
            assert reached == list(range(16))[span]


@pytest.mark.parametrize("positions", KINDS)
def test_long_documents_are_masked_in_every_block_of_the_fused_kernel(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], positions: str
) -> None:
    model = tiny_model(tiny_config(positions=positions, context=1300, layers=1))
    ids, documents = some_ids(1, 1300), numbered(700, 1, 599)[None]
    packed = model.logits(ids, documents)
    for span in spans(documents[0]):
        # fp32, summed in other blocks: within a few roundings of logits of about 1.
        torch.testing.assert_close(packed[:, span], model.logits(ids[:, span]), rtol=0, atol=1e-5)
    packed.square().mean().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())


def test_under_autocast_one_bias_is_made_in_the_type_that_attention_computes_in() -> None:
    x_BTD = torch.zeros(1, 2, 3)
    assert _working_dtype(x_BTD) == torch.float32
    assert _working_dtype(x_BTD.double()) == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert _working_dtype(x_BTD) == torch.bfloat16
