import numpy as np
import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.manifest import Manifest
from growlm.corpus.masks import encode, outside, read
from growlm.corpus.shards import TokenStream, verify
from growlm.corpus.writing import writer


def test_a_mask_has_the_published_bytes_and_comes_back(tmp_path):
    path = tmp_path / "00000.mask"
    path.write_bytes(encode([(1, 3), (7, 8)]))
    ranges = "0100000000000000 0300000000000000 0700000000000000 0800000000000000"
    assert path.read_bytes() == b"CPMASK01" + bytes.fromhex("0200000000000000" + ranges)
    assert read(path, tokens=8).tolist() == [[1, 3], [7, 8]]


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"CPMASK", "another beginning"),
        (encode([(1, 3)])[:-1], "31 bytes for 1 ranges"),
        (encode([(1, 9)]), "do not rise within its 8 tokens"),
        (encode([(1, 3), (3, 4)]), "do not rise"),
        (encode([(3, 3)]), "do not rise"),
        (encode([]), "do not rise"),
    ],
)
def test_a_file_that_is_no_mask_of_its_shard_is_refused(tmp_path, content, got):
    (tmp_path / "00000.mask").write_bytes(content)
    with pytest.raises(CorpusError, match=got):
        read(tmp_path / "00000.mask", tokens=8)


def test_windows_know_what_is_masked_in_them_as_a_plain_list_does():
    stream = np.random.default_rng(0)
    edges = np.sort(stream.choice(1000, size=60, replace=False)).reshape(-1, 2)
    masked = np.zeros(1100, dtype=bool)
    for first, last in edges:
        masked[first:last] = True
    starts = stream.integers(0, 1000, size=200)
    for length in (1, 7, 100):
        expected = ~np.stack([masked[start : start + length] for start in starts])
        assert np.array_equal(outside(edges, starts, length), expected)


def write_masked(folder, golden_facts):
    documents = [([5, 6, 7, 0], [(1, 3)]), ([8, 0], ()), ([9, 9, 0], [(0, 1), (2, 3)])]
    with writer(folder, source="a", tokenizer=golden_facts, shard_tokens=6) as shards:
        begins = []
        for ids, masked in documents:
            begins.append(shards.tokens)
            shards.add(ids, masked=masked)
    return begins


def test_shards_carry_their_masks_and_streams_read_across_them(tmp_path, golden_facts):
    assert write_masked(tmp_path / "a", golden_facts) == [0, 4, 6]
    manifest = Manifest.read(tmp_path / "a")
    assert [shard.n_tok for shard in manifest.shards] == [6, 3]
    stream = TokenStream(tmp_path / "a")
    assert stream.masked_tokens == 4
    (row,) = stream.targets(np.array([0]), 9).tolist()
    assert row == [True, False, False, True, True, True, False, True, False]
    verify(tmp_path / "a", full=True)


def test_what_is_masked_does_not_change_the_tokens_identity(tmp_path, golden_facts):
    write_masked(tmp_path / "a", golden_facts)
    with writer(tmp_path / "b", source="a", tokenizer=golden_facts, shard_tokens=6) as shards:
        for ids in ([5, 6, 7, 0], [8, 0], [9, 9, 0]):
            shards.add(ids)
    masked, plain = Manifest.read(tmp_path / "a"), Manifest.read(tmp_path / "b")
    assert masked.source_id == plain.source_id
    assert masked.mask_id != plain.mask_id
    assert TokenStream(tmp_path / "b").masked_tokens == 0
    assert not list((tmp_path / "b").glob("*.mask"))


def test_a_changed_mask_is_found(tmp_path, golden_facts):
    write_masked(tmp_path / "a", golden_facts)
    path = tmp_path / "a" / "00000.mask"
    path.write_bytes(encode([(1, 4)]))
    with pytest.raises(CorpusError, match=r"00000\.mask as it was written"):
        verify(tmp_path / "a", full=False)
