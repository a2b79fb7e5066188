import json

import pytest
from hypothesis import given, settings, strategies as st

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.tokenizer import from_json, load, train

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
