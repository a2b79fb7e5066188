import json
import re

import pytest
from hypothesis import given, settings, strategies as st

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.tokenizer import added_pieces, from_json, load, parsed, train, with_tokens

END = "<|endoftext|>"

TRICKY = [
    "",
    " ",
    "  two  blanks\t\n\n\n",
    "\u00c5 A\u030a \ufb01 \u1e9b\u0323",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u4f60\u597d \ud55c\uad6d",
    "\U0001f469\u200d\U0001f4bb\U0001f1e9\U0001f1ea\ufe0f",
    "\ufeff\u200b\u2028\u2029\x85\x7f\xa0",
    "'s 'S 're don't I'll",
    "\u0130\u0131\u1e9e\u03a3\u03c2",
    f"a{END}b",
    "\x00\x01\x1f",
    "\ufffd\uffff\U0010ffff",
]


def test_decoding_an_encoded_text_gives_that_text(tokenizer):
    assert [tokenizer.decode(ids) for ids in tokenizer.encode(TRICKY)] == TRICKY


@given(st.text())
@settings(deadline=None, max_examples=100)
def test_every_text_survives_the_round_trip(tokenizer, text):
    (ids,) = tokenizer.encode([text])
    assert tokenizer.decode(ids) == text
    assert tokenizer.end_of_text not in ids
    assert all(0 < number < tokenizer.vocab_size for number in ids)


def test_the_end_of_text_is_id_0_and_text_that_spells_it_is_text(tokenizer):
    assert tokenizer.end_of_text == 0
    assert tokenizer.decode([0]) == END
    (ids,) = tokenizer.encode([END])
    assert 0 not in ids
    assert len(ids) > 1


def test_the_vocabulary_is_as_large_as_asked():
    texts = [f"{n} words, {n * n} letters" for n in range(500)]
    assert train(texts, vocab_size=300, end_of_text=END).vocab_size == 300


def test_texts_too_few_give_fewer_ids():
    assert train(["a"], vocab_size=300, end_of_text=END).vocab_size == 257


def test_the_same_texts_give_the_same_tokenizer():
    texts = [f"{n} words, {n * n} letters, {'ab' * (n % 7)}" for n in range(500)]
    one = train(texts, vocab_size=400, end_of_text=END)
    two = train(iter(texts), vocab_size=400, end_of_text=END)
    assert one.to_json() == two.to_json()
    assert one.sha256 == two.sha256
    other = train([*texts, "more " * 50], vocab_size=400, end_of_text=END)
    assert other.sha256 != one.sha256


@pytest.mark.parametrize("blank", [" ", "\n", " \n\n ", "\u00a0 ", "\t"])
def test_a_long_text_is_learned_from_in_pieces_as_if_it_were_whole(monkeypatch, blank):
    words = "it's over; he's 42 -- \x1c! don't 漢字  caf\u00e9\u2028ends ".replace(
        "; ", f";{blank}"
    )
    text = "".join(f"{words}{number}{blank}" for number in range(300))
    whole = train([text], vocab_size=400, end_of_text=END)
    monkeypatch.setattr("growlm.corpus.tokenizer.PIECE_CHARACTERS", 7)
    assert train([text], vocab_size=400, end_of_text=END) == whole
    monkeypatch.setattr("growlm.corpus.tokenizer._BEFORE_BLANKS", re.compile("."))
    assert train([text], vocab_size=400, end_of_text=END) != whole  # cut anywhere, words are not


def test_training_says_nothing(capfd):
    train(["some text"] * 50, vocab_size=260, end_of_text=END)
    assert capfd.readouterr() == ("", "")


def test_an_error_in_the_texts_comes_through():
    def texts():
        yield "fine"
        raise CorpusError("a text", got="none", fix="another")

    with pytest.raises(CorpusError, match="a text; got none"):
        train(texts(), vocab_size=300, end_of_text=END)


def test_a_file_gives_the_tokenizer_back(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    loaded = load(path, end_of_text=END)
    assert loaded == tokenizer
    assert loaded.sha256 == tokenizer.sha256
    assert loaded.encode(TRICKY) == tokenizer.encode(TRICKY)


def test_truncation_and_padding_in_a_file_change_no_document(tokenizer):
    values = json.loads(tokenizer.to_json())
    values["truncation"] = {
        "direction": "Right",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    values["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": END,
    }
    limited = from_json(json.dumps(values), end_of_text=END)
    assert limited.encode(["a long text, longer than two"]) == tokenizer.encode(
        ["a long text, longer than two"]
    )


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"none\.json"):
        load(tmp_path / "none.json", end_of_text=END)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"model": {"type": "BPE"}}', b"\xff\x00", b"caf\xe9"]
)
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, content):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(CorpusError, match=r"odd\.json to be a tokenizer"):
        load(tmp_path / "odd.json", end_of_text=END)


def test_a_missing_end_of_text_is_answered_with_the_nearest(tokenizer):
    with pytest.raises(CorpusError, match=r"end_of_text = <\|endoftext\|>"):
        from_json(tokenizer.to_json(), end_of_text="<|end_of_text|>")


def test_a_tokenizer_without_special_tokens_is_refused(tokenizer):
    values = json.loads(tokenizer.to_json())
    values["added_tokens"] = []
    del values["model"]["vocab"][END]
    with pytest.raises(CorpusError, match=r"0 special tokens without it.*another tokenizer"):
        from_json(json.dumps(values), end_of_text=END)


def test_a_published_tokenizer_works(shared_data):
    neox = load(shared_data / "tokenizers" / "gpt-neox-20b.json", end_of_text=END)
    assert (neox.vocab_size, neox.end_of_text) == (50_277, 0)
    text = f"def f(x):\n        return x  # {END}\n"
    (ids,) = neox.encode([text])
    assert neox.decode(ids) == text
    assert 0 not in ids
    assert len(ids) < len(text) / 2


def decoded(tokenizer, pieces):
    return [tokenizer.decode(each) for each in pieces]


def test_special_tokens_are_added_behind_the_others(tokenizer):
    size = tokenizer.vocab_size
    more = from_json(with_tokens(tokenizer.to_json(), ["<|user|>", "<|tool|>"]), end_of_text=END)
    assert more.vocab_size == size + 2
    assert more.decode([size]) == "<|user|>"
    assert more.decode([size + 1]) == "<|tool|>"
    assert more.end_of_text == tokenizer.end_of_text
    assert more.encode(TRICKY) == tokenizer.encode(TRICKY)


def test_added_tokens_survive_saving_and_more_can_be_added(tokenizer):
    once = with_tokens(tokenizer.to_json(), ["<|user|>"])
    assert with_tokens(with_tokens(tokenizer.to_json(), ["<|user|>"]), []) == once
    twice = from_json(with_tokens(once, ["<|tool|>"]), end_of_text=END)
    assert twice.decode([tokenizer.vocab_size + 1]) == "<|tool|>"


def test_every_piece_of_an_added_token_is_the_parents(tokenizer):
    child = with_tokens(tokenizer.to_json(), ["<|user|>", "plain words"])
    pieces = added_pieces(tokenizer.to_json(), child)
    assert decoded(tokenizer, pieces) == ["<|user|>", "plain words"]
    assert all(number < tokenizer.vocab_size for each in pieces for number in each)


def merged(tokenizer, left, right):
    """Return the tokenizer with one merge more, hence one token more."""
    values = json.loads(tokenizer.to_json())
    values["model"]["vocab"][left + right] = len(values["model"]["vocab"])
    values["model"]["merges"].append([left, right])
    return json.dumps(values)


@pytest.mark.parametrize(("left", "right"), [("\u0120", "\u0120"), ("\u00f0", "\u0141")])
def test_a_merged_token_is_spelt_by_what_it_was_merged_from_also_inside_a_character(
    tokenizer, left, right
):
    vocab = parsed(tokenizer.to_json()).get_vocab()
    pieces = added_pieces(tokenizer.to_json(), merged(tokenizer, left, right))
    assert pieces == ((vocab[left], vocab[right]),)


def test_the_same_tokenizer_adds_nothing(tokenizer):
    assert added_pieces(tokenizer.to_json(), tokenizer.to_json()) == ()


def test_an_id_that_is_skipped_has_no_pieces(tokenizer):
    values = json.loads(tokenizer.to_json())
    values["model"]["vocab"]["ab" * 20] = tokenizer.vocab_size + 1
    first, second = added_pieces(tokenizer.to_json(), json.dumps(values))
    assert first == ()
    assert tokenizer.decode(second) == "ab" * 20


def test_a_tokenizer_that_moves_a_token_is_no_extension(tokenizer):
    values = json.loads(tokenizer.to_json())
    vocab = values["model"]["vocab"]
    vocab["!"], vocab['"'] = vocab['"'], vocab["!"]
    words = r"'!', id 2 instead of id 1\. Try the parent's tokenizer\.json with the new tokens"
    with pytest.raises(CorpusError, match=words):
        added_pieces(tokenizer.to_json(), json.dumps(values))


def test_a_smaller_tokenizer_is_no_extension(tokenizer):
    more = with_tokens(tokenizer.to_json(), ["<|user|>"])
    with pytest.raises(CorpusError, match=r"'<\|user\|>', no id instead of id \d+"):
        added_pieces(more, tokenizer.to_json())


def test_a_new_token_among_the_old_ones_is_no_extension(tokenizer):
    values = json.loads(tokenizer.to_json())
    del values["model"]["vocab"]["!"]
    parent = json.dumps(values)
    with pytest.raises(CorpusError, match=r"'!', id 1 instead of no id"):
        added_pieces(parent, tokenizer.to_json())


@pytest.mark.parametrize("tokens", [[END], [""], ["<|user|>", "<|user|>"]])
def test_a_token_that_is_not_new_is_refused(tokenizer, tokens):
    with pytest.raises(CorpusError, match=r"not empty, not known yet and named once; got '"):
        with_tokens(tokenizer.to_json(), tokens)


def test_tokens_behind_skipped_ids_are_refused(tokenizer):
    values = json.loads(tokenizer.to_json())
    del values["model"]["vocab"]["!"]
    with pytest.raises(CorpusError, match=r"uses every id below .*by hand"):
        with_tokens(json.dumps(values), ["<|user|>"])
