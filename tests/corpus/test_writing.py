import tracemalloc

import numpy as np
import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.writing import writer


def open_writer(folder, facts, shard_tokens=1 << 20):
    return writer(folder, source="a", tokenizer=facts, shard_tokens=shard_tokens)


def test_nothing_is_there_until_the_block_ends(tmp_path, golden_facts):
    with open_writer(tmp_path / "out", golden_facts) as shards:
        shards.add([1, 0])
        assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "00000.bin",
        "00000.idx",
        "manifest.json",
    ]


def write_all(folder, facts, documents):
    with open_writer(folder, facts) as shards:
        for ids in documents:
            shards.add(ids)


def test_a_failure_leaves_nothing(tmp_path, golden_facts):
    def documents():
        yield [1, 0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path / "out", golden_facts, documents())
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_cleared_away(tmp_path, golden_facts):
    (tmp_path / ".out.tmp").mkdir()
    (tmp_path / ".out.tmp" / "00000.bin").write_bytes(b"half")
    with open_writer(tmp_path / "out", golden_facts) as shards:
        shards.add([1, 0])
    assert (tmp_path / "out" / "00000.bin").read_bytes() == b"\1\0\0\0"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2], r"ends in the end of text, id 0; got \[2\]"),
        ([], r"ends in the end of text, id 0; got \[\]"),
        ([65_100, 0], "ids from 0 to 65099; got 0 to 65100"),
        ([-1, 0], "got -1 to 0"),
    ],
)
def test_a_document_that_does_not_fit_the_tokenizer_is_refused(
    tmp_path, golden_facts, ids, message
):
    with pytest.raises(CorpusError, match=message):
        write_all(tmp_path / "out", golden_facts, [[1, 0], ids])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shard_tokens", [0, 2**30 + 1])
def test_shards_have_a_sensible_size(tmp_path, golden_facts, shard_tokens):
    with pytest.raises(CorpusError, match="shards of 1 to 1,073,741,824 tokens"):
        open_writer(tmp_path / "out", golden_facts, shard_tokens).__enter__()


def test_no_documents_are_refused(tmp_path, golden_facts):
    with pytest.raises(CorpusError, match="at least one document"):
        write_all(tmp_path / "out", golden_facts, [])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_refused(tmp_path, golden_facts):
    with pytest.raises(StorageError, match="yet"):
        write_all(tmp_path, golden_facts, [[1, 0]])


def test_a_place_that_cannot_be_written_is_refused(tmp_path, golden_facts):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_all(tmp_path / "file" / "out", golden_facts, [[1, 0]])


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, golden_facts, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("growlm.corpus.index.encode", full)
    with pytest.raises(StorageError, match="a disk with room left"):
        write_all(tmp_path / "out", golden_facts, [[1, 0]])
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_corpus(tmp_path, golden_facts):
    document = np.zeros(100_000, dtype=np.int64)

    def peak_bytes(name, documents):
        tracemalloc.start()
        write_all(tmp_path / name, golden_facts, (document for _ in range(documents)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few, many = peak_bytes("few", 50), peak_bytes("many", 300)
    assert many < few + 100_000
