import bz2
import gzip

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.packed import Broken, broken_error, can_open, opened, plain

CONTENT = b"".join(b"line %d\n" % (n * n) for n in range(20_000))


def pack_zstd(content):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(content)


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "zst": pack_zstd}


@pytest.fixture(params=PACK)
def packing(request):
    return request.param


def packed(tmp_path, content, name="a"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def unpacked(path):
    with opened(path) as file:
        return file.read()


def test_a_packed_file_is_told_by_its_first_bytes_and_not_by_its_name(tmp_path, packing):
    assert unpacked(packed(tmp_path, PACK[packing](CONTENT))) == CONTENT
    assert unpacked(packed(tmp_path, b"plain", f"b.txt.{packing}")) == b"plain"


def test_members_are_read_one_after_another(tmp_path, packing):
    pack = PACK[packing]
    content = pack(b"one ") + pack(b"") + pack(b"two")
    assert unpacked(packed(tmp_path, content)) == b"one two"


def test_lines_come_out_as_they_went_in(tmp_path, packing):
    with opened(packed(tmp_path, PACK[packing](CONTENT))) as file:
        assert list(file) == CONTENT.splitlines(keepends=True)


@pytest.mark.parametrize("kept", [1, 2, 3, 9, 100, -9, -1])
def test_a_truncated_file_is_never_taken_for_a_whole_one(tmp_path, packing, kept):
    path = packed(tmp_path, PACK[packing](CONTENT)[:kept], f"a.txt.{packing}")
    with pytest.raises(Broken):
        unpacked(path)


def test_a_member_that_is_cut_behind_a_whole_one_is_noticed(tmp_path, packing):
    whole = PACK[packing](CONTENT)
    with pytest.raises(Broken):
        unpacked(packed(tmp_path, whole + whole[:-1]))


def test_junk_behind_the_last_member_is_noticed(tmp_path, packing):
    with pytest.raises(Broken):
        unpacked(packed(tmp_path, PACK[packing](b"one") + b"junk"))


def test_a_flipped_bit_is_noticed(tmp_path, packing):
    content = bytearray(PACK[packing](CONTENT))
    content[len(content) // 2] ^= 1
    if packing == "zst":  # its frames carry a checksum only when asked for
        pytest.skip("frames without a checksum")
    with pytest.raises(Broken):
        unpacked(packed(tmp_path, bytes(content)))


def test_zeros_may_follow_a_gzip_file(tmp_path):
    assert unpacked(packed(tmp_path, gzip.compress(b"one") + bytes(1000))) == b"one"


def test_what_is_broken_is_told_in_one_line(tmp_path):
    path = packed(tmp_path, gzip.compress(CONTENT)[:-1])
    with pytest.raises(Broken) as caught:
        unpacked(path)
    assert str(broken_error(caught.value, path)) == (
        f"expected a gzip file that is whole; got 'it ends inside the packed data' in {path}. "
        "Try fetching it again."
    )


def test_a_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    path = packed(tmp_path, b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(CorpusError, match=r"zstandard, to unpack .*pip install 'growlm\[zstd\]'"):
        unpacked(path)


def test_a_file_that_is_not_there_cannot_be_opened(tmp_path):
    with pytest.raises(CorpusError, match=r"source that can be read; got 'No such file"):
        can_open(tmp_path / "none")


def test_plain_bytes_come_as_they_lie(tmp_path):
    content = gzip.compress(b"x")
    with plain(packed(tmp_path, content)) as file:
        assert file.read() == content
