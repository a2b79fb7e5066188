"""Generating: models on the disk write prompts on, and what they write is spelled out."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from growlm.base.seeds import seed_for
from growlm.corpus import tokenizer as tokenizers
from growlm.corpus.tokenizer import Tokenizer
from growlm.generation.generate import End, Token, Writing, generate
from growlm.generation.sampling import GREEDY, Sampling
from growlm.generation.spelling import Spelling
from growlm.model.gpt import GPT, weight_shapes, with_weights
from growlm.pipeline.models import open_model
from growlm.training.device import choose_device

ALTERNATIVES = 5
"""Tokens that are told beside the one that was taken."""

ENDS: dict[End, str] = {
    "end of text": "the end of text",
    "tokens": "the number asked for",
    "context": "the last position that was learned",
}
"""What a text ended at, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How prompts are written on.

    Raises:
        RecipeError: A number outside its range.
    """

    tokens: int
    """New tokens of each, at most."""
    seed: int
    """Every prompt is written on as this seed says, whatever else is written beside it."""
    temperature: float
    """Divides the logits; 0.0 takes the most likely token."""
    top_k: int | None
    """So many of the most likely tokens are left; None leaves all."""
    top_p: float
    """The smallest set of most likely tokens that has this probability is left."""
    repetition_penalty: float
    """Makes tokens that stand there already less likely; 1.0 changes nothing."""
    greedy: bool
    """The most likely token is taken each time, whatever the temperature."""
    stop: bool
    """The end-of-text token ends a text."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        self.sampling()

    def sampling(self) -> Sampling:
        """Return how the next token is chosen."""
        return Sampling(
            temperature=GREEDY if self.greedy else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
        )


USUAL = Order(
    tokens=200,
    seed=0,
    temperature=0.8,
    top_k=None,
    top_p=0.95,
    repetition_penalty=1.0,
    greedy=False,
    stop=True,
)
"""What is done unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One token, spelled out."""

    row: int
    """Its prompt's place."""
    id: int
    text: str
    """What it adds: empty inside a character, and for the token that ends the text."""
    probability: float
    """What the model itself gave it: at temperature 1, with nothing left out and no penalty."""
    alternatives: tuple[tuple[str, float], ...]
    """The most likely tokens here and their probabilities, in this order."""
    end: End | None
    """Why the text ends here, if it does."""
    seconds: float
    """What the model has worked so far, for all prompts together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A model with its tokenizer, ready to write."""

    name: str
    """What it is called beside others."""
    model: GPT
    tokenizer: Tokenizer
    opening: tuple[int, ...]
    """What stands before every prompt, as before every text that the model was trained on."""
    compiled: bool
    """Whether steps of one token are compiled."""

    def write(self, prompts: Sequence[str], order: Order) -> Iterator[Piece]:
        """Write each prompt on, and yield a token of each in turn, until all have ended.

        Raises:
            EvaluationError: A prompt is longer than the learned positions.
        """
        ids = [[*self.opening, *each] for each in self.tokenizer.encode(prompts)]
        spellings = [Spelling(self.tokenizer.decode, each) for each in ids]
        clock = _Clock(
            generate(self.model, ids, self._writing(order), generators=_seeded(order, ids))
        )
        for token in clock:
            yield self._piece(token, spellings[token.row], seconds=clock.seconds)

    def _writing(self, order: Order) -> Writing:
        return Writing(
            sampling=order.sampling(),
            tokens=order.tokens,
            end_of_text=self.tokenizer.end_of_text if order.stop else None,
            alternatives=ALTERNATIVES,
            compiled=self.compiled,
        )

    def _piece(self, token: Token, spelling: Spelling, *, seconds: float) -> Piece:
        text = "" if token.end == "end of text" else spelling(token.id)
        return Piece(
            row=token.row,
            id=token.id,
            text=text if token.end is None else text + spelling.rest(),
            probability=token.probability,
            alternatives=tuple(
                (self.tokenizer.decode([each]), chance) for each, chance in token.alternatives
            ),
            end=token.end,
            seconds=seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A prompt, and what was written on behind it."""

    prompt: str
    pieces: tuple[Piece, ...]
    """Its tokens; the last one says why it ends, and after how many seconds of all texts' work."""

    @property
    def text(self) -> str:
        """What was written, without the prompt."""
        return "".join(piece.text for piece in self.pieces)


def write_all(writer: Writer, prompts: Sequence[str], order: Order) -> tuple[Text, ...]:
    """Write prompts on to their ends.

    Raises:
        EvaluationError: A prompt is longer than the learned positions.
    """
    rows: list[list[Piece]] = [[] for _ in prompts]
    for piece in writer.write(prompts, order):
        rows[piece.row].append(piece)
    return tuple(
        Text(prompt=prompt, pieces=tuple(row)) for prompt, row in zip(prompts, rows, strict=True)
    )


class _Clock:
    """Tokens as they come, and how long they took; what is done between them is not counted."""

    def __init__(self, tokens: Iterator[Token]) -> None:
        self._tokens = tokens
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Token]:
        while True:
            started = time.perf_counter()
            token = next(self._tokens, None)
            self.seconds += time.perf_counter() - started
            if token is None:
                return
            yield token


def open_writer(path: Path, *, name: str | None = None, compiled: bool) -> Writer:
    """Open a checkpoint of ours or a Hugging Face folder, to write with it.

    On a GPU the weights are kept in bf16, on a CPU in fp32.

    Args:
        path: Its folder.
        name: What it is called; its path when None.
        compiled: Whether steps are compiled where there is a GPU.

    Raises:
        CheckpointError: There is none, or it is damaged.
        CorpusError: Its tokenizer is none.
        StorageError: It cannot be read.
    """
    found = open_model(path)
    found.verify()
    tokens, device = found.tokens(), choose_device()
    tokenizer = tokenizers.from_json(tokens.json, end_of_text=tokens.end_of_text)
    weights = {each: found.read(each) for each in weight_shapes(found.config)}
    on_gpu = device.type == "cuda"
    return Writer(
        name=name or str(path),
        model=with_weights(found.config, weights)
        .to(device, torch.bfloat16 if on_gpu else torch.float32)
        .requires_grad_(requires_grad=False),
        tokenizer=tokenizer,
        opening=opening(tokenizer),
        compiled=compiled and on_gpu,
    )


def opening(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return what stands before a text: what the tokenizer itself puts there, or an end of text.

    Documents follow each other with an end of text between them; a tokenizer that was brought
    along may open each with a token of its own, as Llama's do.
    """
    (plain,) = tokenizer.encode(["a"])
    framed = tokenizer.backend.encode("a", add_special_tokens=True).ids
    before = framed[: len(framed) - len(plain)]
    return tuple(before) if before and framed == [*before, *plain] else (tokenizer.end_of_text,)


def _seeded(order: Order, rows: Sequence[Sequence[int]]) -> list[torch.Generator]:
    seed = seed_for(order.seed, "generate")
    return [torch.Generator().manual_seed(seed) for _ in rows]
