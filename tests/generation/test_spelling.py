"""Spelling: token by token the whole text, and no half of a character."""

import pytest
from tokenizers import Tokenizer as Backend, decoders, models, pre_tokenizers

from growlm.corpus.tokenizer import Tokenizer, train
from growlm.generation.spelling import Spelling

TEXT = "Naïve cats eat 3 fish 🐟 and sleep;\n\n  then 猫 wakes."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["the cats eat fish and sleep"] * 9, vocab_size=270, end_of_text="<|end|>")


@pytest.mark.parametrize("cut", [0, 1, 5, 30])
def test_the_pieces_add_up_to_the_text(tokenizer: Tokenizer, cut: int) -> None:
    (ids,) = tokenizer.encode([TEXT])
    spelling = Spelling(tokenizer.decode, ids[:cut])
    pieces = [spelling(each) for each in ids[cut:]]
    assert "".join(pieces) + spelling.rest() == TEXT[len(tokenizer.decode(ids[:cut])) :]


def test_a_token_inside_a_character_says_nothing_and_the_last_one_all_of_it(
    tokenizer: Tokenizer,
) -> None:
    (ids,) = tokenizer.encode(["🐟"])
    assert len(ids) == 4
    spelling = Spelling(tokenizer.decode, [])
    assert [spelling(each) for each in ids] == ["", "", "", "🐟"]
    assert spelling.rest() == ""


def test_a_character_that_never_ends_is_told_at_the_end_or_before_what_follows(
    tokenizer: Tokenizer,
) -> None:
    (ids,) = tokenizer.encode(["🐟a"])
    spelling = Spelling(tokenizer.decode, [])
    assert [spelling(each) for each in ids[:2]] == ["", ""]
    assert spelling.rest() == "\ufffd"
    broken = Spelling(tokenizer.decode, [])
    assert [broken(each) for each in (ids[0], ids[-1])] == ["", "\ufffda"]


def test_blanks_that_a_decoder_drops_at_the_beginning_are_kept_inside() -> None:
    backend = Backend(models.WordLevel({"▁one": 0, "▁two": 1}))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    spelling = Spelling(backend.decode, [0])
    assert [spelling(each) for each in (1, 0)] == [" two", " one"]
