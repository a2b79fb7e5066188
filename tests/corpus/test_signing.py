import json
from typing import Any

import numpy as np
import pytest

from growlm.corpus import signing as module
from growlm.corpus.canonical import canonical
from growlm.corpus.finding import find
from growlm.corpus.shingles import shingles
from growlm.corpus.signatures import signatures
from growlm.corpus.signing import Portion, key_of, sign
from growlm.recipe.sections import Source

LONG = "Letters enough to be compared without their blanks"


def key(text, kind="prose"):
    return key_of(text, canonical(text), kind=kind)


def test_a_text_is_the_same_in_other_case_lines_and_punctuation():
    assert key(LONG) == key(LONG.upper() + "!") == key(LONG.replace(" ", "\n"))
    assert key(LONG) != key(LONG + "s")


def test_a_text_of_few_letters_is_the_same_byte_by_byte_only():
    assert key("* * *") != key("- - -")
    assert key("Chapter 1") != key("chapter 1")


def test_code_is_the_same_but_for_blanks_at_the_ends_of_lines():
    code = "a = first_operand + second_operand_with_a_name\nreturn a\n"
    assert key(code, "code") == key(code.replace("\n", "  \n"), "code")
    assert key(code, "code") != key(code.replace("+", "-"), "code")
    assert key(code) == key(code.replace("+", "-"))


@pytest.fixture
def signed(tmp_path):
    def make(texts, kind: Any = "prose"):
        lines = "".join(json.dumps({"text": text, "n": n}) + "\n" for n, text in enumerate(texts))
        (tmp_path / "a.jsonl").write_text(lines)
        source = Source(name="mine", files=("a.jsonl",), weight=1.0, kind=kind, id_field="n")
        places = tuple(find(source.files, folder=tmp_path))
        portion = Portion(source=source, folder=tmp_path, places=places, near=True)
        result = sign(portion, tmp_path, 3)
        kinds = ("documents", "signatures", "chunks", "chunk_signatures")
        return result, [np.load(tmp_path / f"00003.{each}.npy") for each in kinds]

    return make


def test_every_document_has_its_key_and_those_of_five_words_a_signature(signed, tmp_path):
    texts = ["one two three four", f"{LONG} and so on", "", "a b c d e"]
    result, (documents, found, chunks, _) = signed(texts)
    assert (result["documents"], result["bytes"]) == (3, sum(len(text) for text in texts))
    assert documents["signature"].tolist() == [-1, 0, 1]
    assert documents["row"].tolist() == [0, 1, 3]
    assert documents["words"].tolist() == [4, 11, 5]
    grams = shingles([canonical(texts[1])])
    assert (found[0] == signatures(grams.hashes, grams.starts)[0]).all()
    assert len(chunks) == 0
    names = json.loads((tmp_path / "00003.names.json").read_text())
    assert names == {"paths": ["a.jsonl"], "ids": {"0": "0", "1": "1", "2": "3"}}


def test_the_batches_do_not_show(signed, monkeypatch):
    texts = [" ".join(f"w{n * k % 997}" for n in range(40 + k)) for k in range(30)]
    _, whole = signed(texts)
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    _, single = signed(texts)
    for one, other in zip(whole, single, strict=True):
        assert (one == other).all()


def test_a_book_is_signed_as_a_whole_and_by_its_chunks(signed):
    words = [f"w{n}" for n in np.random.default_rng(5).integers(0, 9000, 12_000)]
    texts = ["too short", " ".join(words), "a b c d e f g"]
    _, (documents, found, chunks, parts) = signed(texts, kind="book")
    _, (_, plain, _, _) = signed(texts)
    assert (found == plain).all()
    assert documents["chunk"].tolist() == [-1, 0, len(chunks) - 1]
    assert chunks["document"].tolist() == [1] * (len(chunks) - 1) + [2]
    for chunk, part in zip(chunks[:-1], parts, strict=False):
        grams = shingles([canonical(" ".join(words[chunk["first"] : chunk["last"]]))])
        assert (signatures(grams.hashes, grams.starts)[0] == part).all()
