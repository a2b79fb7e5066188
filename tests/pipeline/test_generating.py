"""Generating: checkpoints and folders write as the models they are, told as text."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from growlm.base.errors import RecipeError
from growlm.corpus import tokenizer as tokenizers
from growlm.corpus.tokenizer import Tokenizer
from growlm.pipeline import generating
from growlm.pipeline.generating import USUAL, Order, Piece, Writer, open_writer, opening

GREEDY = replace(USUAL, tokens=8, greedy=True, stop=False)


def rows(writer: Writer, prompts: Sequence[str], order: Order) -> list[list[Piece]]:
    found: list[list[Piece]] = [[] for _ in prompts]
    for piece in writer.write(prompts, order):
        found[piece.row].append(piece)
    return found


def text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.fixture
def writer(saved: Callable[..., Path]) -> Writer:
    return open_writer(saved(), compiled=False)


@pytest.mark.parametrize(
    "family", ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "mpt"]
)
def test_a_folder_writes_what_transformers_model_finds_likeliest(
    folders: Path, theirs: Callable[[Path], Any], family: str
) -> None:
    writer, model = open_writer(folders / family, compiled=False), theirs(folders / family)
    (found,) = rows(writer, ["a b"], replace(GREEDY, tokens=5))
    ids = [*writer.opening, *writer.tokenizer.encode(["a b"])[0]]
    with torch.no_grad():
        for piece in found:
            logits = model(torch.tensor([ids])).logits[0, -1]
            assert piece.id == int(logits.argmax())
            # Their sums of a few dozen numbers are in another order.
            assert piece.probability == pytest.approx(float(logits.softmax(0).max()), abs=1e-5)
            ids.append(piece.id)


def test_pieces_add_up_to_the_text_of_their_tokens(writer: Writer) -> None:
    (found,) = rows(writer, ["Some words"], replace(USUAL, tokens=40, stop=False, seed=3))
    assert len(found) == 40
    whole = writer.tokenizer.decode([*writer.tokenizer.encode(["Some words"])[0], *ids(found)])
    assert "Some words" + text(found) == whole


def ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]


def test_a_seed_writes_the_same_alone_and_in_a_batch(writer: Writer) -> None:
    order = replace(USUAL, tokens=12, stop=False, seed=7)
    one, two = rows(writer, ["a", "the other one"], order)
    assert ids(one) == ids(rows(writer, ["a"], order)[0])
    assert ids(two) == ids(rows(writer, ["the other one"], order)[0])
    assert ids(one) != ids(rows(writer, ["a"], replace(order, seed=8))[0])


def test_the_token_that_ends_a_text_is_no_part_of_it(writer: Writer) -> None:
    (free,) = rows(writer, ["a"], GREEDY)
    ending = replace(writer, tokenizer=replace(writer.tokenizer, end_of_text=free[3].id))
    (found,) = rows(ending, ["a"], replace(GREEDY, stop=True))
    assert found[-1].end == "end of text"
    kept = [*writer.tokenizer.encode(["a"])[0], *ids(found)[:-1]]
    assert "a" + text(found) == writer.tokenizer.decode(kept)
    (past,) = rows(ending, ["a"], GREEDY)
    assert ids(past) == ids(free)


def test_greedy_wins_over_the_temperature(writer: Writer) -> None:
    hot = replace(GREEDY, temperature=5.0, seed=1)
    assert ids(rows(writer, ["a"], hot)[0]) == ids(rows(writer, ["a"], GREEDY)[0])


def test_the_likeliest_tokens_are_told_as_text(writer: Writer) -> None:
    (found,) = rows(writer, ["a"], GREEDY)
    for piece in found:
        assert len(piece.alternatives) == generating.ALTERNATIVES
        name, chance = piece.alternatives[0]
        assert name == writer.tokenizer.decode([piece.id])
        assert chance == piece.probability
        chances = [each for _, each in piece.alternatives]
        assert chances == sorted(chances, reverse=True)


def test_time_counts_while_the_model_works_and_not_while_the_reader_does(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(now)))
    found: list[float] = []
    for piece in writer.write(["a"], replace(GREEDY, tokens=3)):
        next(now)  # a reader that takes its time
        found.append(piece.seconds)
    assert found == [1.0, 2.0, 3.0]


def test_an_empty_prompt_begins_a_text(writer: Writer) -> None:
    assert len(rows(writer, [""], GREEDY)[0]) == 8


def test_a_text_opens_as_the_tokenizer_says_or_with_an_end_of_text(vocabulary: Tokenizer) -> None:
    assert opening(vocabulary) == (vocabulary.end_of_text,)
    backend = tokenizers.whole(vocabulary.json)
    for template, expected in [("<s> $A", (5,)), ("<s> $A <s>", (0,))]:
        backend.post_processor = TemplateProcessing(
            single=template.replace("<s>", "!"), special_tokens=[("!", 5)]
        )
        own = tokenizers.from_json(backend.to_str(), end_of_text="<|endoftext|>")
        assert opening(own) == expected


def test_an_impossible_order_is_refused_before_a_model_is_opened() -> None:
    with pytest.raises(RecipeError, match="expected a temperature of 0 or more; got -1"):
        replace(USUAL, temperature=-1.0)
