"""Generation: a generator of tokens, each with its probability and what else was likely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from growlm.base.errors import EvaluationError
from growlm.generation.decoder import Decoder
from growlm.generation.sampling import Sampling, choose
from growlm.model.gpt import GPT

End = Literal["end of text", "tokens", "context"]
"""Why a sequence ended: by its own token, at the number asked for, or for want of positions."""

CHUNK = 512
"""Tokens of prompts that are read at once: attention's matrix has so many rows."""

STRIDE = 64
"""Slots are a multiple of this, so that a compiled step serves more than one length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token of one sequence."""

    row: int
    """The sequence's place in the batch."""
    id: int
    probability: float
    """What the model itself gave it: at temperature 1, with nothing left out and no penalty."""
    alternatives: tuple[tuple[int, float], ...]
    """The tokens that the model found most likely here, and their probabilities, in this order."""
    end: End | None
    """Why the sequence ends with this token, if it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What is written, and until when."""

    sampling: Sampling
    tokens: int
    """New tokens of each sequence, at most."""
    end_of_text: int | None
    """The token that ends a sequence; None goes on past it."""
    alternatives: int
    """How many of the most likely tokens are told with each."""
    compiled: bool
    """Whether steps of one token are compiled."""


def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    writing: Writing,
    *,
    generators: Sequence[torch.Generator],
) -> Iterator[Token]:
    """Write each sequence on, and yield its tokens: one of each in turn, until all have ended.

    What a sequence becomes depends on its prompt and its generator, not on its neighbours.

    Args:
        model: On its own device; dropout is off, whatever its mode.
        prompts: Token ids of each sequence, at least one.
        writing: What is written, and until when.
        generators: One for each sequence, on the CPU.

    Raises:
        EvaluationError: A prompt that is empty, longer than the learned positions, or outside the
            vocabulary; or logits that are not finite.
    """
    _check_prompts(model, prompts)
    written = [list(prompt) for prompt in prompts]
    longest = max(map(len, prompts))
    decoder = Decoder(
        model,
        sequences=len(prompts),
        slots=_slots(model, longest + writing.tokens),
        compiled=writing.compiled,
    )
    hidden_BD = _read_prompts(decoder, prompts)
    going = list(range(len(prompts)))
    while going:
        logits_BV = decoder.logits(hidden_BD)
        _check_finite(logits_BV[going])
        for row in list(going):
            token = choose(
                logits_BV[row], writing.sampling, written=written[row], generator=generators[row]
            )
            written[row].append(token)
            count = len(written[row]) - len(prompts[row])
            end = _end(model, written[row], writing, count=count)
            if end is not None:
                going.remove(row)
            yield _told(row, token, logits_BV[row], count=writing.alternatives, end=end)
        if going:
            hidden_BD = _read_last(decoder, written)


def _told(
    row: int, token: int, logits_V: Float[Tensor, " V"], *, count: int, end: End | None
) -> Token:
    chances_V = logits_V.double().softmax(0)
    best = chances_V.topk(min(count, len(chances_V)))
    return Token(
        row=row,
        id=token,
        probability=float(chances_V[token]),
        alternatives=tuple(
            (int(each), float(chance)) for each, chance in zip(*best[::-1], strict=True)
        ),
        end=end,
    )


def _end(model: GPT, written: Sequence[int], writing: Writing, *, count: int) -> End | None:
    if written[-1] == writing.end_of_text:
        return "end of text"
    if count >= writing.tokens:
        return "tokens"
    # The last token of a sequence needs no position: nothing is read behind it.
    full = model.position is not None and len(written) > model.config.context
    return "context" if full else None


def _slots(model: GPT, tokens: int) -> int:
    slots = -(-tokens // STRIDE) * STRIDE
    return slots if model.position is None else min(slots, model.config.context)


def _read_prompts(decoder: Decoder, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "B D"]:
    """Return the hidden state of each prompt's last token."""
    device = decoder.model.head_weight.device
    longest = max(map(len, prompts))
    ids_BT = torch.tensor([[*each, *[0] * (longest - len(each))] for each in prompts]).to(device)
    places_BT = torch.arange(longest, device=device).expand_as(ids_BT)
    last_B = torch.tensor([len(each) - 1 for each in prompts]).to(device)
    found_BD = decoder.model.head_weight.new_zeros(len(prompts), decoder.model.config.width)
    for start in range(0, longest, CHUNK):
        part = slice(start, start + CHUNK)
        hidden_BTD = decoder(ids_BT[:, part], places_BT[:, part])
        here_B = (last_B >= start) & (last_B < start + CHUNK)
        found_BD[here_B] = hidden_BTD[here_B, last_B[here_B] - start].to(found_BD.dtype)
    return found_BD


def _read_last(decoder: Decoder, written: Sequence[Sequence[int]]) -> Float[Tensor, "B D"]:
    """Read the last token of each sequence; one that has ended is read again, and not asked."""
    device = decoder.model.head_weight.device
    ids_B1 = torch.tensor([[each[-1]] for each in written]).to(device)
    highest = decoder.keys[0].shape[2] - 1
    places_B1 = torch.tensor([[min(len(each) - 1, highest)] for each in written]).to(device)
    return decoder(ids_B1, places_B1)[:, 0]


def _check_prompts(model: GPT, prompts: Sequence[Sequence[int]]) -> None:
    if not prompts or not all(prompts):
        raise EvaluationError(
            "prompts of at least one token",
            got="an empty one" if prompts else "none",
            fix="prompts that begin with the end-of-text token",
        )
    rows = model.config.vocab_size
    odd = [token for prompt in prompts for token in prompt if not 0 <= token < rows]
    if odd:
        raise EvaluationError(
            f"tokens of the model's vocabulary, 0 to {rows - 1}",
            got=f"{odd[0]}",
            fix="the tokenizer that the model was trained with",
        )
    longest, context = max(map(len, prompts)), model.config.context
    if model.position is not None and longest > context:
        raise EvaluationError(
            f"a prompt of at most {context} tokens: that many positions were learned",
            got=f"{longest}",
            fix="a shorter prompt, or a model with ALiBi",
        )


def _check_finite(logits_BV: Float[Tensor, "B V"]) -> None:
    if not logits_BV.isfinite().all():
        raise EvaluationError(
            "finite scores", got="infinity or not-a-number", fix="an earlier checkpoint"
        )
