import hashlib
import json

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.manifest import Manifest, ShardFacts, TokenizerFacts, describe, dtype_for

SHARD = ShardFacts(
    name="00000",
    n_tok=8,
    n_doc=3,
    bytes=16,
    sha256="1" * 64,
    idx_sha256="2" * 64,
    crc32_4MiB=("535e9665",),
)


def manifest(source="a", vocab=65_100, **changes):
    tokenizer = TokenizerFacts(sha256="ab" * 32, vocab=vocab, eos=0, impl="hf", version="0.23")
    return describe((SHARD.model_copy(update=changes),), source=source, tokenizer=tokenizer)


def test_a_manifest_comes_back(tmp_path):
    written = manifest()
    written.write(tmp_path)
    assert Manifest.read(tmp_path) == written


def test_the_identity_is_the_hash_of_the_token_stream_in_canonical_json():
    text = (
        (
            '{"dtype":"u16","format":1,"shards":[{"idx_sha256":"'
            + "2" * 64
            + '","n_doc":3,"n_tok":8,'
            '"name":"00000","sha256":"' + "1" * 64 + '"}],"tokenizer":{"eos":0,"sha256":"'
        )
        + "ab" * 32
        + '"}}'
    )
    assert manifest().source_id == hashlib.sha256(text.encode()).hexdigest()


def test_only_the_token_stream_makes_the_identity():
    assert manifest(source="b").source_id == manifest().source_id
    assert manifest(vocab=65_200).source_id == manifest().source_id
    others = [
        manifest(sha256="3" * 64),
        manifest(n_doc=4),
        manifest(vocab=70_000),
        manifest(name="00001"),
    ]
    assert manifest().source_id not in {other.source_id for other in others}


def test_a_mask_makes_another_mask_id_and_the_same_source_id():
    plain, masked = manifest(), manifest(mask_sha256="4" * 64)
    assert (plain.is_masked, masked.is_masked) == (False, True)
    assert masked.source_id == plain.source_id
    assert len({plain.mask_id, masked.mask_id, manifest(mask_sha256="5" * 64).mask_id}) == 3


def test_wide_vocabularies_take_four_bytes():
    assert [dtype_for(vocab) for vocab in (257, 65_499, 65_500, 70_000)] == [
        "u16",
        "u16",
        "i32",
        "i32",
    ]


def test_a_folder_without_a_manifest_is_refused_with_the_reason(tmp_path):
    (tmp_path / "00000.bin").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no manifest\.json: they were never finished"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_tok": 9}, "do not follow from its shards"),
        ({"source_id": "0" * 64}, "do not follow from its shards"),
        ({"format": 2}, "Input should be 1"),
        ({"n_tok": "8"}, "valid integer"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(tmp_path, change, message):
    values = json.loads(manifest().model_dump_json())
    (tmp_path / "manifest.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(CorpusError, match=message):
        Manifest.read(tmp_path)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CorpusError, match="to be a manifest"):
        Manifest.read(tmp_path)
