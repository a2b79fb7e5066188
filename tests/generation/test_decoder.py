"""The cache, against the decoder that computes everything anew."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from growlm.base.errors import EvaluationError
from growlm.generation.decoder import Decoder
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

KINDS = ["alibi", "learned", "rotary", "none"]
SHAPES = {
    "plain": {},
    "grouped": {"heads": 4, "kv_heads": 2, "head_width": 4},
    "parallel": {"parallel": True},
    "normed heads": {"qk_norm": True},
    "llama": {"norm": "rmsnorm", "activation": "swiglu", "norm_bias": False, "tied": False},
    "part rotary": {"rotary_share": 0.5},
}


def some_ids(rows: int, tokens: int) -> Tensor:
    return torch.randint(0, 61, (rows, tokens), generator=torch.Generator().manual_seed(3))


def in_parts(decoder: Decoder, ids_BT: Tensor, *parts: int) -> Tensor:
    """Return the logits of a batch that is read in parts of these lengths."""
    found, start = [], 0
    for part in parts:
        places = torch.arange(start, start + part).expand(len(ids_BT), part)
        hidden = decoder(ids_BT[:, start : start + part], places)
        found.append(torch.stack([decoder.logits(each) for each in hidden.unbind(1)], dim=1))
        start += part
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("positions", KINDS)
def test_what_is_read_bit_by_bit_has_the_logits_of_the_whole(
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    positions: str,
    shape: dict[str, object],
) -> None:
    model = tiny_model(tiny_config(positions=positions, **shape), dtype=torch.float64)
    ids = some_ids(2, 14)
    decoder = Decoder(model, sequences=2, slots=16, compiled=False)
    found = in_parts(decoder, ids, 5, 1, 4, 1, 1, 1, 1)
    torch.testing.assert_close(found, model.logits(ids), rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", KINDS)
def test_in_fp32_it_differs_by_rounding_alone(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], positions: str
) -> None:
    model = tiny_model(tiny_config(positions=positions))
    ids = some_ids(2, 8)
    found = in_parts(Decoder(model, sequences=2, slots=8, compiled=False), ids, 5, 1, 1, 1)
    torch.testing.assert_close(found, model.logits(ids), rtol=0, atol=1e-5)


@pytest.mark.parametrize("positions", ["alibi", "rotary", "none"])
def test_it_goes_on_beyond_the_context_as_the_whole_would(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], positions: str
) -> None:
    model = tiny_model(tiny_config(positions=positions, context=16), dtype=torch.float64)
    ids = some_ids(1, 50)
    decoder = Decoder(model, sequences=1, slots=50, compiled=False)
    found = in_parts(decoder, ids, 40, *[1] * 10)
    torch.testing.assert_close(found, model.logits(ids), rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", KINDS)
def test_sequences_of_different_lengths_are_read_as_each_alone(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], positions: str
) -> None:
    model = tiny_model(tiny_config(positions=positions), dtype=torch.float64)
    ids, lengths = some_ids(3, 12), torch.tensor([9, 2, 5])
    decoder = Decoder(model, sequences=3, slots=12, compiled=False)
    decoder(ids[:, :9], torch.arange(9).expand(3, 9))  # what stands behind a length is padding
    for step in range(3):
        places = (lengths + step)[:, None]
        found = decoder.logits(decoder(ids.gather(1, places), places)[:, 0])
        for row, place in enumerate(places.flatten().tolist()):
            whole = model.logits(ids[row : row + 1, : place + 1])[0, -1]
            torch.testing.assert_close(found[row], whole, rtol=0, atol=1e-12)


def test_dropout_is_off_whatever_the_mode_and_no_gradient_is_kept(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(dropout=0.5, attention_dropout=0.5)).train()
    ids = some_ids(1, 6)
    found = in_parts(Decoder(model, sequences=1, slots=6, compiled=False), ids, 6)
    assert not found.requires_grad
    torch.testing.assert_close(found, model.eval().logits(ids), rtol=0, atol=1e-5)
    assert model.training is False


def test_logits_of_narrow_weights_are_told_in_fp32(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(), dtype=torch.bfloat16)
    decoder = Decoder(model, sequences=1, slots=4, compiled=False)
    assert in_parts(decoder, some_ids(1, 4), 4).dtype == torch.float32


def test_more_slots_than_learned_positions_are_refused(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(positions="learned", context=16))
    with pytest.raises(EvaluationError) as caught:
        Decoder(model, sequences=1, slots=17, compiled=False)
    assert str(caught.value) == (
        "expected at most 16 tokens: that many positions were learned; got 17. "
        "Try fewer tokens, or a model with ALiBi."
    )


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore")  # the compiler has its own
def test_a_compiled_step_computes_what_the_plain_one_does(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(layers=1))
    ids = some_ids(2, 8)
    decoder = Decoder(model, sequences=2, slots=8, compiled=True)
    torch.testing.assert_close(
        in_parts(decoder, ids, 5, 1, 1, 1), model.logits(ids), rtol=0, atol=1e-5
    )
