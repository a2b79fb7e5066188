"""Reading weights whole and by rows."""

from collections.abc import Callable

import torch

from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.weights import ROWS, blocks, cast, held, pieces


def test_blocks_cover_all_rows_once_and_in_order() -> None:
    for rows in (0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5):
        places = [place for block in blocks(rows) for place in range(block.start, block.stop)]
        assert places == list(range(rows))


def test_held_weights_are_read_without_a_copy(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    weights = dict(tiny_model(tiny_config()).named_parameters())
    read = held(weights)
    assert read("embedding.weight").data_ptr() == weights["embedding.weight"].data_ptr()
    assert not read("embedding.weight").requires_grad
    rows = slice(3, 9)
    assert torch.equal(read("embedding.weight", rows), weights["embedding.weight"][rows])
    wide = cast(read, torch.float64)("norm.weight")
    assert wide.dtype == torch.float64
    assert torch.equal(wide, weights["norm.weight"].double())


def test_pieces_put_together_are_the_weight(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> None:
    config = tiny_config(vocab_size=2 * ROWS + 3, padded_vocab_size=2 * ROWS + 16, tied=False)
    weights = tiny_model(config).state_dict()
    for name, expected in weights.items():
        found = list(pieces(held(weights), name, config))
        assert len(found) == (3 if name in {"embedding.weight", "head.weight"} else 1)
        assert torch.equal(torch.cat(found), expected)
