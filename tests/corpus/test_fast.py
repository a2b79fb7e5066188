import json
import sys
import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from growlm.corpus.documents import documents
from growlm.corpus.fast import CUT, GPT2, GPT4, MOST_ADDED, QWEN2, alphabet, fast_encoder
from growlm.corpus.tokenizer import from_json, load, train

END = "<|endoftext|>"
MARKS = (CUT, chr(ord(CUT) + 1), chr(ord(CUT) + MOST_ADDED))
PIECES = (
    *(" ", "  ", " " * 25, "\n", "\n\n", "\n  ", "\t", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f"),
    *("\x00", "\x85", "\xa0", "\u180e", "\u200b", "\u2028", "\u2009\u3000", "\ufeff"),
    *("e\u0301", "\u00e9", "\u212b", "q\u0323\u0307", "\u0301", "\u1100\u1161", "\u0344"),
    *("\U0001f469\u200d\U0001f4bb", "\U0001f1e9\U0001f1ea", "\ufe0f", "\ufffd", "\U0010ffff"),
    *(END, "<|endof", "|>", "<|pad  <|", "'s", "'S", "\u017f", "'ll", "don't", "1234567", "\u0664"),
    *("the", "number", "comes after", "\u00df", "\u4f60\u597d", "...", "!?", "ab", "a b", *MARKS),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)


def added(number, content, **changes):
    token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    return {"id": number, "content": content, "special": False, **token, **changes}


def changed(tokenizer, change):
    values = json.loads(tokenizer.to_json())
    change(values)
    return from_json(json.dumps(values), end_of_text=END)


def like_neox(values):
    values["normalizer"] = {"type": "NFC"}
    size = len(values["model"]["vocab"])
    values["added_tokens"] += [added(size + n, " " * (24 - n)) for n in range(23)]


def mixed(values):
    """Tokens that overlap, that no normaliser touches, and that spelt special ones hide."""
    like_neox(values)
    contents = ["ab", "a b", "abc", "\n\n", "er comes", "\u00e9"]
    raw = ["b", "e\u0301", "bc\n"]
    number = len(values["model"]["vocab"]) + 23
    values["added_tokens"] += [
        *(added(number + n, content) for n, content in enumerate(contents)),
        *(added(number + 6 + n, each, normalized=False) for n, each in enumerate(raw)),
        added(number + 9, "<|pad  <|", special=True, lstrip=True),
        added(number + 10, "c\nab", special=True, normalized=False, rstrip=True),
    ]


def split_by(pattern):
    def change(values):
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        split = {"type": "Split", "pattern": {"Regex": pattern}, "invert": False}
        values["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": [{**split, "behavior": "Isolated"}, {**level, "use_regex": False}],
        }

    return change


@pytest.fixture(scope="module")
def tokenizer():
    """Return one with tokens for runs of blanks, digits and signs, so that every cut shows."""
    parts = [
        "\n",
        "\n\n",
        "\n\n\n",
        " ",
        "  ",
        "   ",
        "\t",
        "\t\t",
        " \n",
        "\n ",
        "\r\n",
        "\r\n\r\n",
    ]
    parts += [
        "12",
        "345",
        "678901",
        "!?",
        "...",
        " ...",
        "!\n",
        "ab",
        "abc",
        "'s",
        "'ll",
        "e\u0301",
    ]
    words = [f"the number {n} comes after {n - 1}" for n in range(40)]
    texts = [one + two + word for word in words for one in parts for two in parts]
    return train(texts, vocab_size=700, end_of_text=END)


KINDS = {
    "plain": lambda _values: None,
    "like NeoX": like_neox,
    "mixed": mixed,
    "GPT-4's split": split_by(GPT4),
    "Qwen2's split": split_by(QWEN2),
    "GPT-2's split by name": split_by(GPT2),
}


@pytest.fixture(scope="module", params=KINDS)
def both(request, tokenizer):
    """Return a reference and its fast path."""
    reference = changed(tokenizer, KINDS[request.param])
    fast = fast_encoder(reference)
    assert not isinstance(fast, str), fast
    return reference, fast


def equal(both, text):
    reference, fast = both
    return list(fast(text)) == reference.encode([text])[0]


@given(TEXTS)
@settings(deadline=None, max_examples=120)
def test_every_text_has_the_ids_of_the_reference(both, text):
    assert equal(both, text)


def test_the_odd_ones_have_the_ids_of_the_reference(both):
    for text in ("", *PIECES, "".join(PIECES), " ".join(PIECES), "\n".join(PIECES)):
        assert equal(both, text)


def test_runs_of_blanks_have_the_ids_of_the_reference(both):
    blanks = [" ", "\n", "\t", "\r", "\u2009", "\xa0"]
    runs = [one + two + three for one in ["", *blanks] for two in blanks for three in blanks]
    for after in ("x", "7", "!", "'s", "\u0301", ""):
        assert equal(both, "".join(f"a{run}{after}" for run in runs))
    assert equal(both, "".join(f"a{' ' * n}b" for n in range(60)))


@pytest.mark.parametrize("kind", ["plain", "GPT-4's split"])
def test_both_take_the_same_characters_for_letters_numbers_and_blanks(kind, tokenizer):
    reference = changed(tokenizer, KINDS[kind])
    fast = fast_encoder(reference)
    ends = (
        0x2A6D0,
        0x2B730,
        0x2B810,
        0x2CE90,
        0x2EBD0,
        0x2EE50,
        0x2FA10,
        0x31340,
        0x323A0,
        0xE0000,
    )
    numbers = [*range(0xD800), *range(0xE000, 0x20000)]
    numbers += [number for end in ends for number in range(end, end + 0x40)]
    for start in range(0, len(numbers), 4096):
        characters = map(chr, numbers[start : start + 4096])
        text = "".join(f"a{each}1{each}.{each} " for each in characters)
        assert equal((reference, fast), text)


def test_texts_as_large_as_books_are_no_trouble(both):
    for text in ("a" * 50_000, " " * 50_000, "\n" * 50_000, "ab " * 20_000, "\u0301" * 20_000):
        assert equal(both, text)


def test_special_tokens_that_are_spelt_out_are_text(both):
    reference, fast = both
    assert reference.end_of_text not in list(fast(f"a{END} {END}"))


def test_the_alphabet_is_the_librarys():
    tokenizers = pytest.importorskip("tokenizers")
    assert set(alphabet()) == set(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    assert sorted(alphabet().values()) == list(range(256))


def reason(tokenizer, change):
    found = fast_encoder(changed(tokenizer, change))
    assert isinstance(found, str)
    return found


def put(*path, value):
    def change(values):
        *outer, last = path
        for key in outer:
            values = values[key]
        values[last] = value

    return change


def both_of(*changes):
    def change(values):
        for each in changes:
            each(values)

    return change


def append_merge(left, right):
    def change(values):
        model = values["model"]
        model["vocab"].setdefault(left + right, len(model["vocab"]))
        model["merges"].append([left, right])

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("model", "dropout", value=0.1), "the tokenizer has dropout"),
        (put("model", "unk_token", value=END), "the tokenizer has unk_token"),
        (put("model", "byte_fallback", value=True), "the tokenizer has byte_fallback"),
        (put("model", "end_of_word_suffix", value="~"), "the tokenizer has end_of_word_suffix"),
        (put("normalizer", value={"type": "Lowercase"}), "the tokenizer's normalizer is Lowercase"),
        (put("pre_tokenizer", value=None), "splits text into words in a way that is not known"),
        (put("pre_tokenizer", "add_prefix_space", value=True), "in a way that is not known here"),
        (split_by(r"\s+|\S+"), "splits text into words in a way that is not known here"),
        (
            put("added_tokens", 0, value=added(0, "x", lstrip=True)),
            "the tokenizer's added token 'x' looks at what is around it",
        ),
        (
            put("added_tokens", 0, value=added(0, "e\u0301")),
            "the tokenizer's added token 'e\u0301' is not in NFC",
        ),
    ],
)
def test_a_tokenizer_of_another_kind_has_no_fast_path(tokenizer, change, words):
    def keep_the_end(values):
        end = dict(values["added_tokens"][0])
        change(values)
        if end not in values["added_tokens"]:
            values["added_tokens"].append(end)

    assert words in reason(tokenizer, keep_the_end)


def test_another_model_has_no_fast_path(tokenizer):
    def change(values):
        vocab = {END: 0, "[UNK]": 1}
        values["model"] = {
            "type": "WordPiece",
            "vocab": vocab,
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        }

    assert reason(tokenizer, change) == "the tokenizer's model is WordPiece"


def test_merges_that_tiktoken_would_do_otherwise_have_no_fast_path(tokenizer):
    late = both_of(append_merge("Q", "Z"), append_merge("J", "X"))

    def early(values):
        late(values)
        values["model"]["merges"].append(["QZ", "JX"])
        values["model"]["vocab"]["QZJX"] = len(values["model"]["vocab"])
        values["model"]["merges"].insert(0, values["model"]["merges"].pop())

    assert reason(tokenizer, early) == "the tokenizer merges 'QZ' and 'JX' before it makes them"
    twice = both_of(*(append_merge(*pair) for pair in ("QZ", "ZJ", ("QZ", "J"), ("Q", "ZJ"))))
    assert reason(tokenizer, twice) == "two of the tokenizer's merges make 'QZJ'"
    never = both_of(*(append_merge(*pair) for pair in ("QZ", "ZJ", ("Q", "ZJ"))))
    assert reason(tokenizer, never) == "the tokenizer's merges do not lead to 'QZJ'"


def test_a_tokenizer_without_a_byte_of_text_has_no_fast_path(tokenizer):
    def change(values):
        del values["model"]["vocab"]["\u00c3"]

    assert reason(tokenizer, change) == "the tokenizer lacks the byte 0xc3"


def test_bytes_that_no_text_has_may_be_missing(tokenizer):
    def change(values):
        del values["model"]["vocab"]["\u00c0"]

    assert not isinstance(fast_encoder(changed(tokenizer, change)), str)


def test_whole_words_that_no_merge_makes_have_no_fast_path(tokenizer):
    def change(values):
        values["model"]["ignore_merges"] = True

    assert reason(tokenizer, change) == f"none of the tokenizer's merges makes '{END}'"


def test_without_the_package_there_is_no_fast_path(tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    assert fast_encoder(tokenizer) == "tiktoken is not installed"


@pytest.fixture(scope="module")
def neox(shared_data):
    reference = load(shared_data / "tokenizers" / "gpt-neox-20b.json", end_of_text=END)
    fast = fast_encoder(reference)
    assert not isinstance(fast, str), fast
    return reference, fast


@given(TEXTS)
@settings(deadline=None, max_examples=100)
def test_gpt_neox_has_the_same_ids(neox, text):
    assert equal(neox, text)
    assert equal(neox, unicodedata.normalize("NFD", text))


def test_gpt_neox_has_the_same_ids_on_real_text(neox, shared_data, files_source):
    found = documents(
        files_source("text/wikipedia.jsonl.gz", "text/latex/co[dn]*"), folder=shared_data
    )
    texts = [document.text for document in found]
    assert len(texts) > 100
    assert all(equal(neox, text) for text in texts)
