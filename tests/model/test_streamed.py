"""A model that is read layer by layer, against the same model in memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from growlm.base.errors import EvaluationError
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.streamed import Streamed
from growlm.model.weights import EVERY, ROWS, held

KINDS = [
    {"positions": "alibi"},
    {"positions": "learned", "tied": False},
    {"positions": "rotary", "kv_heads": 1, "norm": "rmsnorm", "activation": "swiglu"},
    {"positions": "none", "parallel": True, "qk_norm": True},
]


def ids_of(*shape: int, below: int) -> Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["positions"])
def test_its_hidden_states_are_those_of_the_model_in_memory(
    *,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
    kind: dict[str, object],
    dtype: torch.dtype,
) -> None:
    config = tiny_config(vocab_size=2 * ROWS, padded_vocab_size=2 * ROWS + 64, **kind)
    model = tiny_model(config).to(dtype).eval()
    batches = [ids_of(2, 16, below=2 * ROWS), ids_of(3, 5, below=ROWS)]
    found = Streamed(config, held(model.state_dict())).hidden(batches, dtype)
    for ids, hidden in zip(batches, found, strict=True):
        expected = torch.cat([model(row[None]) for row in ids])
        assert torch.equal(hidden, expected)


@pytest.mark.parametrize("tied", [True, False])
def test_its_head_is_the_models(
    *, tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT], tied: bool
) -> None:
    model = tiny_model(tiny_config(tied=tied))
    head = Streamed(model.config, held(model.state_dict())).head(slice(2, 9), torch.float64)
    assert torch.equal(head, model.head_weight[2:9].double())


def test_every_layer_is_read_once_and_only_the_rows_that_occur(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    config = tiny_config(vocab_size=2 * ROWS, padded_vocab_size=2 * ROWS)
    weights = held(tiny_model(config).state_dict())
    asked: list[tuple[str, int | None]] = []

    def read(name: str, rows: slice = EVERY) -> Tensor:
        asked.append((name, rows.start))
        return weights(name, rows)

    Streamed(config, read).hidden(
        [ids_of(2, 4, below=ROWS), ids_of(1, 8, below=ROWS)], torch.float32
    )
    assert len(asked) == len(set(asked))
    assert [rows for name, rows in asked if name == "embedding.weight"] == [0]


def test_more_tokens_than_learned_positions_are_refused(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    model = tiny_model(tiny_config(positions="learned"))
    streamed = Streamed(model.config, held(model.state_dict()))
    with pytest.raises(EvaluationError, match=r"at most 16 tokens: .*; got 17\. Try a context"):
        streamed.hidden([ids_of(1, 17, below=60)], torch.float32)
