import hashlib
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from growlm.base.errors import CorpusError
from growlm.corpus.manifest import TokenizerFacts
from growlm.corpus.shards import TokenStream, document_numbers, verify, write

GOLDEN = [[5, 6, 0], [0], [7, 65_000, 9, 0]]


def facts(vocab=65_100):
    return TokenizerFacts(sha256="ab" * 32, vocab=vocab, eos=0, impl="hf", version="0.23")


def make(folder, documents, *, vocab=65_100, shard_tokens=1 << 20):
    return write(folder, documents, source="a", tokenizer=facts(vocab), shard_tokens=shard_tokens)


def random_documents(count, vocab=60_000):
    generator = np.random.default_rng(0)
    for _ in range(count):
        length = int(generator.integers(0, 40))
        yield np.append(generator.integers(1, vocab, length), 0)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two shards: one of three blocks of 4 MiB, one of less."""
    folder = tmp_path_factory.mktemp("large") / "a"
    generator = np.random.default_rng(1)
    documents = [np.append(generator.integers(1, 60_000, 99_999), 0) for _ in range(60)]
    make(folder, documents, shard_tokens=5_000_000)
    return folder


def test_the_files_are_the_published_ones(tmp_path):
    manifest = make(tmp_path / "a", GOLDEN)
    content = (tmp_path / "a" / "00000.bin").read_bytes()
    assert content == bytes.fromhex("05000600000000000700e8fd09000000")
    (shard,) = manifest.shards
    assert shard.sha256 == "ae4ae59dae8cd5476588d91067743d50bbe42c9039cebb69d706531f896be940"
    assert shard.idx_sha256 == "37e7016e18914b4291633e67a810239f31b8c3964695b2e3fcd4d991464c2493"
    assert shard.crc32_4MiB == ("535e9665",)
    assert (shard.n_tok, shard.n_doc, shard.bytes) == (8, 3, 16)
    for name, sha256 in (("bin", shard.sha256), ("idx", shard.idx_sha256)):
        file = tmp_path / "a" / f"00000.{name}"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def test_a_wide_vocabulary_is_stored_in_four_bytes(tmp_path):
    documents = [[69_999, 1, 0], [65_536, 0]]
    manifest = make(tmp_path / "a", documents, vocab=70_000)
    assert (manifest.dtype, manifest.shards[0].bytes) == ("i32", 20)
    stream = TokenStream(tmp_path / "a")
    assert stream.gather(np.array([0]), 5).tolist() == [[69_999, 1, 0, 65_536, 0]]


def test_documents_never_straddle_shards(tmp_path):
    documents = [[1] * length + [0] for length in (3, 2, 5, 30, 0, 0, 4)]
    manifest = make(tmp_path / "a", documents, shard_tokens=8)
    assert [(shard.n_tok, shard.n_doc) for shard in manifest.shards] == [
        (7, 2),
        (6, 1),
        (31, 1),
        (7, 3),
    ]
    assert [shard.name for shard in manifest.shards] == ["00000", "00001", "00002", "00003"]
    assert TokenStream(tmp_path / "a").document_lengths().tolist() == [4, 3, 6, 31, 1, 1, 5]


def test_the_same_documents_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        make(tmp_path / name, random_documents(300), shard_tokens=1000)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) > 5
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_exception_among_the_documents_leaves_nothing(tmp_path):
    def documents():
        yield from random_documents(100)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        make(tmp_path / "a", documents(), shard_tokens=100)
    assert list(tmp_path.iterdir()) == []


@given(st.data())
@settings(deadline=None, max_examples=15)
def test_windows_cross_shards_as_if_there_were_none(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("shards") / "a"
    vocab = data.draw(st.sampled_from([60_000, 70_000]))
    limit = data.draw(st.integers(1, 50))
    documents = list(random_documents(8, vocab))
    make(folder, documents, vocab=vocab, shard_tokens=limit)
    flat = np.concatenate(documents)
    stream = TokenStream(folder)
    assert stream.tokens == flat.size
    length = data.draw(st.integers(1, flat.size))
    starts = data.draw(st.lists(st.integers(0, flat.size - length), max_size=5))
    got = stream.gather(np.array(starts, dtype=np.int64), length)
    assert got.shape == (len(starts), length)
    for row, start in zip(got, starts, strict=True):
        assert row.tolist() == flat[start : start + length].tolist()


def test_the_file_that_is_read_is_known_while_it_is_read(tmp_path):
    make(tmp_path / "a", [[1, 0], [2, 0]], shard_tokens=2)
    stream, seen = TokenStream(tmp_path / "a"), list[str]()

    class Seen:
        def __init__(self, shard):
            self.shard = shard

        def __getitem__(self, window):
            seen.append(str(stream.reading and stream.reading.relative_to(tmp_path)))
            return self.shard[window]

    names = [f"a/{shard.name}.bin" for shard in stream.manifest.shards]
    stream._shards = cast(Any, [Seen(shard) for shard in stream._shards])
    assert stream.gather(np.array([1]), 3).tolist() == [[0, 2, 0]]
    assert seen == [names[0], names[0], names[1]]  # the first is asked whether it is enough
    assert stream.reading is None


def test_windows_go_to_the_rows_that_are_named_and_no_others(tmp_path):
    make(tmp_path / "a", GOLDEN, shard_tokens=4)
    ids_BT = np.full((4, 3), -1)
    TokenStream(tmp_path / "a").fill(ids_BT, np.array([3, 1]), np.array([0, 2]))
    flat = np.concatenate(GOLDEN).tolist()
    assert ids_BT.tolist() == [[-1] * 3, flat[2:5], [-1] * 3, flat[:3]]


def scanned(documents, start, length):
    """Return the document of each token of a window, by going through all documents."""
    owners = [number for number, ids in enumerate(documents) for _ in ids][start : start + length]
    firsts = sorted(set(owners))
    return [firsts.index(owner) for owner in owners]


@given(st.data())
@settings(deadline=None, max_examples=15)
def test_documents_of_windows_are_those_of_a_scan_over_all_documents(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("documents") / "a"
    documents = [[7] * data.draw(st.integers(0, 12)) + [0] for _ in range(9)]
    make(folder, documents, shard_tokens=data.draw(st.integers(1, 50)))
    stream = TokenStream(folder)
    length = data.draw(st.integers(1, stream.tokens))
    starts = data.draw(st.lists(st.integers(0, stream.tokens - length), max_size=5))
    got = stream.documents(np.array(starts, dtype=np.int64), length)
    assert got.shape == (len(starts), length)
    assert got.tolist() == [scanned(documents, start, length) for start in starts]


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12).filter(any),
    st.data(),
)
def test_documents_without_a_token_are_in_no_window(lengths, data):
    ends = np.cumsum(lengths)
    length = data.draw(st.integers(1, int(ends[-1])))
    start = data.draw(st.integers(0, int(ends[-1]) - length))
    got = document_numbers(ends - lengths, np.array([start]), length)
    assert got.tolist() == [scanned([[7] * size for size in lengths], start, length)]


@pytest.mark.parametrize("start", [-1, 6])
def test_a_window_outside_the_stream_is_refused(tmp_path, start):
    make(tmp_path / "a", GOLDEN)
    for read in (TokenStream(tmp_path / "a").gather, TokenStream(tmp_path / "a").documents):
        with pytest.raises(CorpusError, match="windows within the 8 tokens"):
            read(np.array([start]), 3)


def test_shards_of_megatron_with_their_own_index_give_documents(tmp_path):
    make(tmp_path / "a", GOLDEN)
    # Three sequences, of which the last two are one document.
    content = (tmp_path / "a" / "00000.idx").read_bytes()
    edges = np.array([0, 1, 3], dtype="<i8").tobytes()
    content = content[:26] + np.array([3], dtype="<u8").tobytes() + content[34:-32] + edges
    (tmp_path / "a" / "00000.idx").write_bytes(content)
    assert TokenStream(tmp_path / "a").document_lengths().tolist() == [3, 5]
    documents = TokenStream(tmp_path / "a").documents(np.array([1]), 7)
    assert documents.tolist() == [[0, 0, 1, 1, 1, 1, 1]]


def test_an_index_of_other_tokens_is_refused(tmp_path):
    make(tmp_path / "a", GOLDEN)
    make(tmp_path / "b", [[1, 0]])
    (tmp_path / "b" / "00000.idx").replace(tmp_path / "a" / "00000.idx")
    stream = TokenStream(tmp_path / "a")
    for read in (stream.document_lengths, lambda: stream.documents(np.array([0]), 3)):
        with pytest.raises(CorpusError, match="documents of 2 u16 tokens"):
            read()


@pytest.mark.parametrize("full", [False, True])
def test_whole_shards_verify(large, full):
    verify(large, full=full)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("00000.bin", 0), r"00000\.bin .*block 0 \(bytes 0 to 4,194,304\)"),
        (("00000.bin", 4_194_304), r"00000\.bin .*block 1 \(bytes 4,194,304 to 8,388,608\)"),
        (("00000.bin", 9_999_999), r"00000\.bin .*block 2 \(bytes 8,388,608 to 10,000,000\)"),
        (("00001.bin", 7), r"00001\.bin .*block 0 \(bytes 0 to 2,000,000\)"),
        (("00001.idx", 50), r"00001\.idx as it was written; got SHA-256"),
    ],
)
def test_a_flipped_bit_is_found_and_placed(large, place, message, full):
    name, byte = place
    content = bytearray((large / name).read_bytes())
    content[byte] ^= 1
    (large / name).write_bytes(content)
    try:
        with pytest.raises(CorpusError, match=message):
            verify(large, full=full)
    finally:
        content[byte] ^= 1
        (large / name).write_bytes(content)


def test_a_file_cut_short_is_refused_everywhere(tmp_path):
    make(tmp_path / "a", GOLDEN)
    (tmp_path / "a" / "00000.bin").write_bytes(b"\5\0")
    with pytest.raises(CorpusError, match=r"00000\.bin .*2 bytes instead of 16"):
        verify(tmp_path / "a", full=False)
    with pytest.raises(CorpusError, match=r"00000\.bin .*2 bytes instead of 16"):
        TokenStream(tmp_path / "a")


@pytest.mark.parametrize("use", [TokenStream, lambda folder: verify(folder, full=True)])
def test_shards_without_a_manifest_are_refused(tmp_path, use):
    make(tmp_path / "a", GOLDEN)
    (tmp_path / "a" / "manifest.json").unlink()
    with pytest.raises(CorpusError, match=r"no manifest\.json"):
        use(tmp_path / "a")
