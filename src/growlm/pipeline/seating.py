"""Seating a model to be examined: its weights on a device, its tokenizer, its context."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from growlm.base.errors import EvaluationError
from growlm.base.memory import keep_freed
from growlm.corpus.tokenizer import Tokenizer, from_json, parsed
from growlm.evaluation.decoder import Decoder
from growlm.evaluation.request import Encode
from growlm.evaluation.sitting import Sitting
from growlm.huggingface.tokens import special_ids
from growlm.model.gpt import weight_shapes, with_weights
from growlm.pipeline.models import Model
from growlm.training.device import choose_device

Precision = Literal["fp32", "bf16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What weights are in, and what is computed with them; logits are in fp32 always."""

BATCH_TOKENS = 16_384
"""Tokens in a forward pass, unless told."""

CPU_BATCH_TOKENS = 4_096
"""The same on a CPU, where the caches are the measure."""

LONGEST_DEFAULT = 4_096
"""Context, at most, that is taken unless one is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """A model ready to be asked."""

    path: Path
    model: Model
    decoder: Decoder
    tokenizer: Tokenizer
    encode: Encode
    end_of_text: str
    prefix: int
    weights: str

    @property
    def step(self) -> str:
        """What progress is reported under."""
        return f"evaluate:{self.path.name}"


def seated(model: Model, dtype: Precision) -> Examinee:
    """Return a model loaded on its device, with the tokenizer as the harness would use it.

    Special tokens that a text spells out are those tokens, as with transformers; the prefix is the
    token that begins a sequence where the tokenizer names one, else the end of text.

    Raises:
        CheckpointError: It is damaged.
        CorpusError: Its tokenizer is none.
    """
    model.verify()
    tokens = model.tokens()
    tokenizer = from_json(tokens.json, end_of_text=tokens.end_of_text)
    begin = special_ids(tokenizer, tokens.files)["bos_token_id"]
    device = choose_device()
    if device.type == "cpu":
        keep_freed()  # every pass asks for the same large pieces
    weights = {name: model.read(name) for name in weight_shapes(model.config)}
    gpt = with_weights(model.config, weights).to(device, DTYPES[dtype])
    return Examinee(
        path=model.path,
        model=model,
        decoder=Decoder(gpt),
        tokenizer=tokenizer,
        encode=spelling(tokens.json),
        end_of_text=tokens.end_of_text,
        prefix=tokenizer.end_of_text if begin is None else begin,
        weights=model.identity(),
    )


def spelling(json: str) -> Encode:
    """Return a tokenizer's way from texts to ids that takes special tokens as they are spelt."""
    backend = parsed(json)
    backend.no_truncation()
    backend.no_padding()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        found = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [each.ids for each in found]

    return encode


def contexts_of(model: Model, asked: Sequence[str]) -> list[int]:
    """Return the contexts that are asked for, as tokens.

    Raises:
        EvaluationError: One is no length.
    """
    if not asked:
        return [min(model.config.context, LONGEST_DEFAULT)]
    contexts: list[int] = []
    for word in asked:
        number = word.removesuffix("x")
        if not number.isdecimal() or not int(number):
            raise EvaluationError(
                "a context as 1024 tokens, or as 2x for twice the model's own",
                got=f"'{word}'",
                fix="--context 1x,2x,4x",
            )
        contexts.append(int(number) * (model.config.context if word.endswith("x") else 1))
    return list(dict.fromkeys(contexts))


def default_batch_tokens() -> int:
    """Return the tokens in a forward pass that suit this machine's device."""
    return CPU_BATCH_TOKENS if choose_device().type == "cpu" else BATCH_TOKENS


def sitting_of(examinee: Examinee, context: int, *, overlap: int, batch_tokens: int) -> Sitting:
    """Return a model that is ready to be asked.

    Raises:
        EvaluationError: The context is longer than learned positions, or the overlap as long.
    """
    return Sitting(
        predictor=examinee.decoder,
        encode=examinee.encode,
        prefix=examinee.prefix,
        context=context,
        overlap=overlap,
        batch_tokens=batch_tokens,
    )
