import numpy as np
import pytest

from growlm.base.errors import CorpusError, Stopped
from growlm.corpus import encoding
from growlm.corpus.apart import Apart
from growlm.corpus.documents import Document
from growlm.corpus.encoding import Encoder, FastPathError, encoder
from growlm.corpus.fast import fast_encoder


def document(number, text=None):
    text = text if text is not None else f"the number {number} comes after {number - 1} \u00e9"
    return Document(source="mine", path="in.jsonl", row=number, group=text, text=text)


DOCUMENTS = [document(number) for number in range(40)]
TOKENS = 9
"""Of the fourth."""


@pytest.fixture
def fast(tokenizer):
    return fast_encoder(tokenizer)


@pytest.fixture
def begin(tokenizer):
    """Return a function: a fast path, or why there is none -> an encoder."""
    return lambda fast: Encoder(tokenizer, fast, Apart(tokenizer.to_json()))


@pytest.fixture
def expected(tokenizer):
    return tokenizer.encode([each.text for each in DOCUMENTS])


@pytest.fixture
def short_proof(monkeypatch):
    monkeypatch.setattr(encoding, "PROOF_DOCUMENTS", 10)
    monkeypatch.setattr(encoding, "COMPARED_ONE_IN", 4)


def same(found, expected):
    return all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))


def fails(_ids):
    raise RuntimeError("a panic")


class Counted:
    """A fast path that counts its calls, and goes wrong from one of them on."""

    def __init__(self, fast, wrong_from=10**9, wrong=fails):
        self.fast, self.wrong_from, self.wrong, self.calls = fast, wrong_from, wrong, 0

    def __call__(self, text):
        self.calls += 1
        ids = self.fast(text)
        return self.wrong(ids) if self.calls > self.wrong_from else ids


def other_end(ids):
    return np.append(ids[:-1], ids[-1] + 1)


class PanicException(BaseException):
    """Like the one of Rust."""


def panics(_ids):
    raise PanicException("explicit panic")


def chosen(documents, one_in=4):
    return [each for each in documents if int(each.uid, 16) % one_in == 0]


@pytest.mark.usefixtures("short_proof")
def test_the_fast_path_begins_where_its_proof_ends(begin, fast, expected):
    encode = begin(fast)
    found = [ids for n in range(0, 40, 5) for ids in encode.encode(DOCUMENTS[n : n + 5])]
    assert same(found, expected)
    assert encode.fast_documents == 30
    assert encode.compared_documents == 10 + len(chosen(DOCUMENTS[10:]))
    assert len(chosen(DOCUMENTS[10:])) > 3
    assert encode.reason is None


def test_until_its_proof_ends_all_ids_are_the_references(begin, fast):
    counted = Counted(fast)
    encode = begin(counted)
    found = encode.encode(DOCUMENTS)
    assert all(isinstance(ids, list) for ids in found)
    assert (counted.calls, encode.compared_documents, encode.fast_documents) == (40, 40, 0)


def test_much_text_is_as_good_a_proof_as_many_documents(begin, fast, monkeypatch):
    monkeypatch.setattr(encoding, "PROOF_CHARACTERS", 100)
    encode = begin(fast)
    encode.encode(DOCUMENTS[:5])
    encode.encode(DOCUMENTS[5:])
    assert encode.fast_documents == 35


@pytest.mark.parametrize(
    "case",
    [
        (other_end, f"tiktoken gave other ids for in.jsonl:4, from token {TOKENS - 1} on"),
        (
            lambda ids: ids[:-1],
            f"tiktoken gave other ids for in.jsonl:4, from token {TOKENS - 1} on",
        ),
        (
            lambda ids: np.append(ids, 5),
            f"tiktoken gave other ids for in.jsonl:4, from token {TOKENS} on",
        ),
        (fails, "tiktoken failed on in.jsonl:4: 'a panic'"),
        (panics, "tiktoken failed on in.jsonl:4: 'explicit panic'"),
    ],
)
def test_what_is_wrong_before_use_is_never_used(begin, fast, expected, case):
    wrong, words = case
    counted = Counted(fast, wrong_from=3, wrong=wrong)
    encode = begin(counted)
    assert len(expected[3]) == TOKENS
    for _ in range(2):
        assert same(encode.encode(DOCUMENTS), expected)
    assert (encode.reason, encode.compared_documents, encode.fast_documents) == (words, 3, 0)
    assert (counted.calls, encode.fast_faults) == (4, 1)


@pytest.mark.usefixtures("short_proof")
@pytest.mark.parametrize("wrong", [fails, panics])
def test_a_batch_in_which_it_fails_is_the_references_and_so_is_the_rest(
    begin, fast, expected, wrong
):
    counted = Counted(fast, wrong_from=17, wrong=wrong)
    encode = begin(counted)
    found = [ids for n in range(0, 40, 5) for ids in encode.encode(DOCUMENTS[n : n + 5])]
    assert same(found, expected)
    assert encode.fast_documents == 5
    assert counted.calls == 18
    assert encode.reason is not None
    assert encode.reason.startswith("tiktoken failed on in.jsonl:18: ")


@pytest.mark.usefixtures("short_proof")
def test_ids_that_are_wrong_after_the_proof_put_all_before_them_in_doubt(begin, fast, expected):
    encode = begin(Counted(fast, wrong_from=12, wrong=other_end))
    encode.encode(DOCUMENTS[:10])
    first = chosen(DOCUMENTS[12:])[0]
    with pytest.raises(FastPathError, match=rf"other ids for {first.name}, from") as caught:
        encode.encode(DOCUMENTS[10:])
    encode.distrust(caught.value)
    assert same(encode.encode(DOCUMENTS), expected)
    assert encode.fast_documents == 0
    assert encode.reason is not None
    assert first.name in encode.reason


def test_a_reason_against_it_leaves_all_to_the_reference(begin, expected):
    encode = begin("tiktoken is not installed")
    assert same(encode.encode(DOCUMENTS), expected)
    assert (encode.fast_documents, encode.compared_documents) == (0, 0)
    assert encode.reason == "tiktoken is not installed"


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Stopped(15, saved="", fix="")])
def test_being_stopped_is_no_failure(begin, stop):
    def stopped(_text):
        raise stop

    encode = begin(stopped)
    with pytest.raises(type(stop)):
        encode.encode(DOCUMENTS)
    assert encode.reason is None


class Named(Apart):
    """Stands for the process that encodes long texts, and notes them."""

    def __init__(self, tokenizer):
        super().__init__(tokenizer.to_json())
        self.tokenizer, self.names = tokenizer, []

    def encode(self, text, *, name):
        self.names.append(name)
        return np.array(self.tokenizer.encode([text])[0])

    def close(self):
        self.names.append("closed")


def test_long_texts_are_encoded_apart_and_stay_in_their_places(tokenizer, monkeypatch):
    monkeypatch.setattr(encoding, "LONG_CHARACTERS", 50)
    named = Named(tokenizer)
    encode = Encoder(tokenizer, "no reason", named)
    mixed = [document(n, "ab " * (n % 3 * 15 + n)) for n in range(9)]
    expected = tokenizer.encode([each.text for each in mixed])
    assert same(encode.encode(mixed), expected)
    assert named.names == [each.name for each in mixed if len(each.text) > 50]
    assert 2 < len(named.names) < 9


def test_the_process_ends_with_the_block(tokenizer, monkeypatch):
    named = Named(tokenizer)
    monkeypatch.setattr(encoding, "Apart", lambda _json: named)
    with pytest.raises(CorpusError, match="a text; got none"), encoder(tokenizer):
        raise CorpusError("a text", got="none", fix="another")
    assert named.names == ["closed"]
