import struct

import numpy as np
import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus.index import encode, read

GOLDEN = bytes.fromhex(
    "4d4d49444944580000 0100000000000000 08 0300000000000000 0400000000000000"
    "03000000 01000000 04000000   0000000000000000 0600000000000000 0800000000000000"
    "0000000000000000 0100000000000000 0200000000000000 0300000000000000"
)


def put(path, content):
    path.write_bytes(content)
    return path


def test_the_bytes_are_the_published_ones():
    assert encode(np.array([3, 1, 4]), dtype="u16") == GOLDEN
    assert len(GOLDEN) == 102


def test_an_index_comes_back(tmp_path):
    lengths = np.array([5, 2**31 - 1, 1, 70_000])
    table = read(put(tmp_path / "a.idx", encode(lengths, dtype="i32")))
    assert table.dtype == "i32"
    assert table.lengths.tolist() == lengths.tolist()


def test_sequences_of_one_document_are_put_together(tmp_path):
    header = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, 8, 4, 3)
    content = header + struct.pack("<4i4q3q", 3, 1, 4, 2, 0, 6, 8, 16, 0, 2, 4)
    assert read(put(tmp_path / "a.idx", content)).lengths.tolist() == [4, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "another beginning"),
        (GOLDEN[:20], "another beginning"),
        (b"X" + GOLDEN[1:], "another beginning"),
        (GOLDEN[:9] + b"\2" + GOLDEN[10:], "version 2"),
        (GOLDEN[:17] + b"\5" + GOLDEN[18:], "dtype code 5"),
        (GOLDEN[:-1], "101 bytes for 3 sequences"),
        (GOLDEN + b"\0", "103 bytes"),
        (GOLDEN[:-8] + struct.pack("<q", 2), "out of order"),
        (GOLDEN[:-32] + struct.pack("<4q", 0, 2, 1, 3), "out of order"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, content, message):
    with pytest.raises(CorpusError, match=message):
        read(put(tmp_path / "a.idx", content))


def test_a_missing_index_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"a\.idx"):
        read(tmp_path / "a.idx")
