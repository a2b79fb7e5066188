import json

import numpy as np
import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.documents import documents
from growlm.corpus.fast import fast_encoder
from growlm.corpus.prepare import heldout_texts, pack, train_tokenizer
from growlm.corpus.shards import TokenStream, verify
from growlm.corpus.split import held_out
from growlm.recipe.sections import Source

SHARE = 0.2


@pytest.fixture
def source(tmp_path):
    texts = [f"Text number {n}, with its own words: {n * n} \u00e9" for n in range(60)]
    lines = [json.dumps({"text": text}) for text in [*texts, "\n\n", texts[0]]]
    content = "\n".join(lines).encode() + b'\n{"text": "bad \xff byte"}\n'
    (tmp_path / "in.jsonl").write_bytes(content)
    return Source(name="mine", files=("in.jsonl",), weight=1.0)


@pytest.fixture
def pack_here(tmp_path, tokenizer):
    def pack_source(source, name="out", share=SHARE, folder=tmp_path):
        out = tmp_path / name
        return pack(
            source, folder=folder, out=out, tokenizer=tokenizer, share=share, shard_tokens=200
        )

    return pack_source


@pytest.fixture
def packed(tmp_path, source, pack_here):
    return tmp_path / "out", pack_here(source)


@pytest.fixture
def texts_in(tmp_path, tokenizer):
    """Decode the documents of a folder of shards."""

    def texts(name):
        stream = TokenStream(tmp_path / name)
        ids = stream.gather(np.array([0]), stream.tokens)[0]
        documents = np.split(ids, np.cumsum(stream.document_lengths())[:-1])
        assert all(document[-1] == tokenizer.end_of_text for document in documents)
        return [tokenizer.decode(document[:-1].tolist()) for document in documents]

    return texts


def test_every_document_is_on_its_side_of_the_split(packed, source, texts_in, tmp_path):
    out, _ = packed
    halves = {True: [], False: []}
    for document in documents(source, folder=tmp_path):
        halves[held_out(document, share=SHARE)].append(document.text)
    assert texts_in("out/train") == halves[False]
    assert texts_in("out/validation") == halves[True]
    assert heldout_texts(out / "heldout.jsonl", 10_000) == halves[True]
    assert len(halves[True]) > 3


@pytest.mark.usefixtures("packed")
def test_copies_of_a_text_never_straddle_the_split(texts_in):
    assert not set(texts_in("out/train")) & set(texts_in("out/validation"))


def test_the_facts_are_those_of_the_files(packed, texts_in):
    out, facts = packed
    for half, name in (("train", "train"), ("validation", "heldout")):
        stream = TokenStream(out / half)
        texts = texts_in(f"out/{half}")
        assert getattr(facts, f"{name}_documents") == stream.manifest.n_doc == len(texts)
        assert getattr(facts, f"{name}_tokens") == stream.tokens
        assert getattr(facts, f"{name}_bytes") == sum(len(text.encode()) for text in texts)
        verify(out / half, full=True)
    assert (facts.bad_utf8, facts.empty) == (1, 1)
    assert facts.train_documents + facts.heldout_documents == 62
    assert json.loads(facts.model_dump_json())["source"] == "mine"
    (problem,) = map(json.loads, (out / "problems.jsonl").read_text().splitlines())
    assert (problem["kind"], problem["path"], problem["row"]) == ("bad_utf8", "in.jsonl", 62)
    assert len(TokenStream(out / "train").manifest.shards) > 3


def test_what_cleaning_did_and_what_was_lost_is_counted(tmp_path, pack_here):
    rows = [{"text": f"cafe\u0301 number {n}"} for n in range(60)]
    lines = [*map(json.dumps, [*rows, {"text": "short"}, {"text": ""}, {"body": "x"}]), "{"]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    source = Source(
        name="mine",
        files=("in.jsonl",),
        weight=1.0,
        clean=("gutenberg", "nfc"),
        min_characters=6,
        max_lost_share=0.1,
    )
    facts = pack_here(source)
    assert facts.cleaned == {"gutenberg": 0, "nfc": 60}
    assert (facts.too_short, facts.empty, facts.no_field, facts.bad_json) == (1, 1, 1, 1)
    assert facts.train_documents + facts.heldout_documents == 60
    problems = list(map(json.loads, (tmp_path / "out/problems.jsonl").read_text().splitlines()))
    assert [(each["kind"], each["row"]) for each in problems] == [
        ("no_field", 62),
        ("bad_json", 63),
    ]
    assert "in.jsonl line 63" in problems[0]["said"]


def test_held_out_texts_know_their_document(packed, source, tmp_path):
    out, _ = packed
    rows = [json.loads(line) for line in (out / "heldout.jsonl").read_text().splitlines()]
    by_uid = {document.uid: document for document in documents(source, folder=tmp_path)}
    assert all(by_uid[row["uid"]].text == row["text"] for row in rows)
    assert {row["path"] for row in rows} == {"in.jsonl"}
    assert heldout_texts(out / "heldout.jsonl", 2) == [row["text"] for row in rows[:2]]


def test_packing_twice_gives_the_same_bytes(packed, source, pack_here, tmp_path):
    out, facts = packed
    again = pack_here(source, "again")
    assert again == facts
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(out)).read_bytes()


def test_the_batches_of_encoding_do_not_show(packed, source, pack_here, monkeypatch):
    out, facts = packed
    monkeypatch.setattr("growlm.corpus.prepare.BATCH_CHARACTERS", 100)
    assert pack_here(source, "small") == facts
    name = "train/manifest.json"
    assert (out / name).read_bytes() == (out.parent / "small" / name).read_bytes()


class Sabotaged:
    """The fast path of a tokenizer, wrong or failing from one of its texts on."""

    def __init__(self, fast, *, wrong_from, fails=False):
        self.fast, self.wrong_from, self.fails, self.calls = fast, wrong_from, fails, 0

    def __call__(self, text):
        self.calls += 1
        if self.calls < self.wrong_from:
            return self.fast(text)
        if self.fails:
            raise RuntimeError("a panic")
        return np.append(self.fast(text), 7)


@pytest.fixture
def pack_with(pack_here, source, monkeypatch):
    """Return a function: a fast path in place of the tokenizer's -> what packing came to."""
    monkeypatch.setattr("growlm.corpus.prepare.BATCH_CHARACTERS", 200)
    monkeypatch.setattr("growlm.corpus.encoding.PROOF_DOCUMENTS", 20)
    monkeypatch.setattr("growlm.corpus.encoding.COMPARED_ONE_IN", 4)

    def pack_it(name, fast=None):
        if fast is not None:
            monkeypatch.setattr("growlm.corpus.encoding.fast_encoder", lambda _tokenizer: fast)
        return pack_here(source, name)

    return pack_it


def same_files(one, two):
    """Return whether all files of two sources are the same, but for how they were encoded."""
    files = [
        path for path in sorted(one.rglob("*")) if path.is_file() and path.name != "facts.json"
    ]
    paths = [path.relative_to(one) for path in files]
    return paths and all((one / each).read_bytes() == (two / each).read_bytes() for each in paths)


def without_counts(facts):
    odd = {"fast_documents", "compared_documents", "fast_faults", "without_tiktoken"}
    return {name: value for name, value in facts.model_dump().items() if name not in odd}


def test_whichever_path_encodes_the_bytes_are_the_same(pack_with, tmp_path):
    fast = pack_with("fast")
    slow = pack_with("slow", "tiktoken is not installed")
    assert same_files(tmp_path / "fast", tmp_path / "slow")
    assert without_counts(fast) == without_counts(slow)
    assert fast.fast_documents > 20
    assert fast.compared_documents > 20
    assert (fast.without_tiktoken, fast.fast_faults) == (None, 0)
    assert (slow.fast_documents, slow.compared_documents, slow.fast_faults) == (0, 0, 0)
    assert slow.without_tiktoken == "tiktoken is not installed"


@pytest.mark.parametrize("case", [(10, True), (10, False), (35, True), (35, False)])
def test_a_fast_path_that_is_wrong_is_caught_and_the_shards_are_right(
    pack_with, tokenizer, tmp_path, case
):
    wrong_from, fails = case
    pack_with("slow", "no reason")
    fast = Sabotaged(fast_encoder(tokenizer), wrong_from=wrong_from, fails=fails)
    facts = pack_with("fast", fast)
    assert same_files(tmp_path / "fast", tmp_path / "slow")
    assert facts.compared_documents >= min(wrong_from - 1, 20)
    words = "failed on in.jsonl:" if fails else "gave other ids for in.jsonl:"
    assert facts.fast_faults == 1
    assert facts.without_tiktoken is not None
    assert words in facts.without_tiktoken
    assert (facts.fast_documents > 0) == (fails and wrong_from > 20)


def test_a_kill_leaves_nothing(source, pack_here, tmp_path, monkeypatch):
    def killed(document, *, share):
        if document.row == 40:
            raise KeyboardInterrupt
        return held_out(document, share=share)

    monkeypatch.setattr("growlm.corpus.selecting.held_out", killed)
    with pytest.raises(KeyboardInterrupt):
        pack_here(source)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    "case",
    [
        ('{"text": "one"}', 0.001, r"at least one held-out document .*larger validation\.share"),
        ('{"text": "one"}', 0.99999, r"at least one training document .*all 1 held out"),
        ('{"text": ""}', 0.5, "'mine' to hold text; got 1 empty documents"),
        ('{"text": "one"}\n{', 0.5, "line 2 to be JSON"),
    ],
)
def test_a_source_without_both_sides_is_refused_and_leaves_nothing(
    files_source, pack_here, tmp_path, case
):
    content, share, message = case
    (tmp_path / "in.jsonl").write_text(content)
    with pytest.raises(CorpusError, match=message):
        pack_here(files_source("in.jsonl"), share=share)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_missing_held_out_texts_are_refused(tmp_path):
    with pytest.raises(StorageError, match=r"heldout\.jsonl"):
        heldout_texts(tmp_path / "heldout.jsonl", 5)


def tokenizer_of(source, tmp_path, train_documents=1000):
    return train_tokenizer(
        [source],
        selections={},
        folder=tmp_path,
        out=tmp_path / "tokenizer.json",
        vocab_size=300,
        end_of_text="<end>",
        train_documents=train_documents,
        share=SHARE,
    )


def test_the_tokenizer_is_written_as_it_is(source, tmp_path):
    trained = tokenizer_of(source, tmp_path)
    assert (tmp_path / "tokenizer.json").read_text(encoding="utf-8") == trained.to_json()
    assert (trained.vocab_size, trained.end_of_text) == (300, 0)


def test_the_tokenizer_does_not_see_held_out_documents(source, tmp_path):
    before = tokenizer_of(source, tmp_path).sha256
    kept, dropped = [], []
    for document in documents(source, folder=tmp_path):
        (dropped if held_out(document, share=SHARE) else kept).append(document.text)
    assert dropped
    lines = "".join(json.dumps({"text": text}) + "\n" for text in kept)
    (tmp_path / "in.jsonl").write_text(lines)
    assert tokenizer_of(source, tmp_path).sha256 == before
    (tmp_path / "in.jsonl").write_text(lines + json.dumps({"text": kept[0] * 9}) + "\n")
    assert tokenizer_of(source, tmp_path).sha256 != before


def test_the_tokenizer_sees_the_first_documents_only(source, tmp_path):
    first = tokenizer_of(source, tmp_path, train_documents=10).sha256
    assert tokenizer_of(source, tmp_path).sha256 != first
    lines = (tmp_path / "in.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "in.jsonl").write_bytes(b"".join(lines[:30]))
    assert tokenizer_of(source, tmp_path, train_documents=10).sha256 == first


def test_real_text_survives_packing(shared_data, files_source, pack_here, texts_in):
    source = files_source("text/latex/co[dn]*", "text/latex/des*")
    texts = {document.text for document in documents(source, folder=shared_data)}
    pack_here(source, share=0.49, folder=shared_data)
    halves = [texts_in("out/train"), texts_in("out/validation")]
    assert {text for half in halves for text in half} == texts
    assert len(texts) > 3
