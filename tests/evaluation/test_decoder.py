from collections.abc import Callable

import pytest
import torch

from growlm.base.errors import EvaluationError
from growlm.evaluation.decoder import Decoder, branched, check_context, predictor_of, scoring
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

SHAPES = [
    {"positions": "alibi"},
    {"positions": "learned"},
    {"positions": "none"},
    {"positions": "rotary", "rotary_share": 0.5, "kv_heads": 1, "parallel": True, "qk_norm": True},
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["positions"])
def test_a_branch_is_computed_as_if_it_alone_followed_the_beginning(
    shape, tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
):
    model = tiny_model(tiny_config(**shape), dtype=torch.float64).eval()
    beginning, ends = [5, 1, 7], [[2, 9], [3], [8, 8, 4]]
    ids = [*beginning, *(token for end in ends for token in end)]
    places = [0, 1, 2, *(3 + place for end in ends for place in range(len(end)))]
    branches = [0] * 3 + [branch for branch, end in enumerate(ends, 1) for _ in end]
    with scoring(model):
        hidden_TD = branched(
            model,
            torch.tensor([ids]),
            places_BT=torch.tensor([places]),
            branches_BT=torch.tensor([branches]),
        )[0]
        start = 3
        for end in ends:
            alone_TD = model(torch.tensor([[*beginning, *end]]))[0]
            got = hidden_TD[[0, 1, 2, *range(start, start + len(end))]]
            # fp64, another order of sums; ALiBi's slopes and the angles are fp32 in both.
            torch.testing.assert_close(got, alone_TD, rtol=1e-10, atol=1e-10)
            start += len(end)


def test_a_context_beyond_learned_positions_is_refused_and_alibi_takes_it(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
):
    check_context(tiny_model(tiny_config(positions="alibi")), 17)
    learned = tiny_model(tiny_config(positions="learned"))
    check_context(learned, 16)
    with pytest.raises(EvaluationError, match="at most 16 tokens: that many positions"):
        check_context(learned, 17)


def test_a_context_is_at_least_one_token(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
):
    model = tiny_model(tiny_config())
    with pytest.raises(EvaluationError, match="a context of at least 1 token; got 0"):
        check_context(model, 0)


def test_a_decoder_is_wrapped_and_anything_else_predicts_as_it_is(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
):
    predictor = predictor_of(tiny_model(tiny_config()))
    assert isinstance(predictor, Decoder)
    assert predictor.vocab_size == 61
    assert predictor_of(predictor) is predictor
