"""Models of bytes, and models whose every probability is known."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from growlm.corpus.tokenizer import parsed
from growlm.evaluation.packing import Batch
from growlm.evaluation.request import Encode
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

BYTES = 257
"""All bytes, and the end of text."""


@pytest.fixture
def bigram_model(tiny_config: Callable[..., GPTConfig]) -> Callable[[Tensor], GPT]:
    """Return a factory: logits [V, V] -> a GPT whose logits after token i are row i, exactly.

    Without layers, the hidden state of a token is its one-hot vector times sqrt(V).
    """

    def build(logits_VV: Tensor) -> GPT:
        size = len(logits_VV)
        model = GPT(
            tiny_config(
                layers=0,
                width=size,
                vocab_size=size,
                padded_vocab_size=size,
                positions="none",
                norm="rmsnorm",
                norm_bias=False,
                norm_eps=0.0,
                tied=False,
            )
        )
        with torch.no_grad():
            model.embedding.weight.copy_(torch.eye(size))
            model.head_weight.copy_(logits_VV.T / size**0.5)
        return model

    return build


@pytest.fixture
def uniform_model(bigram_model: Callable[[Tensor], GPT]) -> GPT:
    """Return a model of bytes to which every token is as likely as every other."""
    return bigram_model(torch.zeros(BYTES, BYTES))


@pytest.fixture
def byte_model(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
) -> Callable[..., GPT]:
    """Return a factory: positions -> a random model of bytes."""
    return lambda positions="alibi": tiny_model(
        tiny_config(vocab_size=BYTES, padded_vocab_size=384, positions=positions)
    )


class Rule:
    """A predictor whose every probability is known: uniform, or by rank.

    Token j at place p behind token x has rank r = (j - 7919 x - 104729 p) mod V, and probability
    1 / ((1 + r) H), H being the sum of 1/1 .. 1/V. So it sees every place and every token.
    """

    longest = None

    def __init__(self, kind: str, vocab_size: int) -> None:
        self.kind = kind
        self.vocab_size = vocab_size
        self.normal = math.log(math.fsum(1 / rank for rank in range(1, vocab_size + 1)))
        self.tokens = 0

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.tokens += batch.ids.numel()
        read_N = batch.ids[batch.rows, batch.columns]
        place_N = batch.places[batch.rows, batch.columns]
        rank_N = (batch.targets - 7919 * read_N - 104_729 * place_N) % self.vocab_size
        if self.kind == "uniform":
            same_N = torch.full(rank_N.shape, math.log(self.vocab_size), dtype=torch.float64)
            return same_N, torch.zeros_like(rank_N, dtype=torch.bool)
        return (1 + rank_N.double()).log() + self.normal, rank_N == 0


@pytest.fixture(scope="session")
def rule() -> Callable[[str, int], Rule]:
    """Return a factory: ``uniform`` or ``rank``, vocabulary -> a predictor."""
    return Rule


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real texts, where it lies beside the repository."""
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real benchmarks and tokenizers are not beside the repository")
    return folder


@pytest.fixture(scope="session")
def neox(shared_data: Path) -> Encode:
    """Return GPT-NeoX's tokenizer, as the harness uses it."""
    backend = parsed((shared_data / "tokenizers" / "gpt-neox-20b.json").read_text())
    return lambda texts: [
        each.ids for each in backend.encode_batch_fast(list(texts), add_special_tokens=False)
    ]
