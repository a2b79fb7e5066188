import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.base.files import sha256_file
from growlm.corpus import elsewhere, source_facts
from growlm.corpus.elsewhere import fetch, look
from growlm.corpus.overlap.rulings import Ruling, Standing
from growlm.corpus.prepare import pack
from growlm.corpus.selecting import Selection
from growlm.corpus.shards import TokenStream, verify
from growlm.recipe.sections import Source

pytestmark = pytest.mark.usefixtures("unpatient")

ADDRESS = "memory://box/corpus/web"
SHARD = "train/00001.bin"


@pytest.fixture(scope="module")
def run_of_others(tmp_path_factory, tokenizer):
    """Return a source's folder as another run packed it: several shards, some of them masked."""
    folder = tmp_path_factory.mktemp("theirs")
    texts = [f"Text number {n}, with its own words: {n * n}" for n in range(60)]
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    (folder / "in.jsonl").write_text("".join(lines))
    values: Any = {"benchmark": "piqa", "index": 4, "score": 0.9, "answer_covered": True}
    rulings = {
        name: [
            Ruling(standing=Standing(document=name, characters=((0, 14),), **values), action="mask")
        ]
        for name in ("in.jsonl:31", "in.jsonl:32")
    }
    pack(
        Source(name="web", files=("in.jsonl",), weight=1.0),
        selection=Selection(
            rulings=rulings,
            benchmarks={"piqa": 64 * "a"},
        ),
        folder=folder,
        out=folder / "corpus/web",
        tokenizer=tokenizer,
        share=0.2,
        shard_tokens=200,
    )
    return folder / "corpus/web"


@pytest.fixture
def far(run_of_others, far_files):
    """Return a function that puts the files whose paths it is given far away, or all of them."""

    def put(*paths):
        for path in [Path(each) for each in paths] or files_in(run_of_others):
            far_files(f"box/corpus/web/{path}", (run_of_others / path).read_bytes())

    return put


@pytest.fixture
def opened(monkeypatch):
    """Count how often each file of a packed source is opened, and let a test spoil what comes."""
    counts, spoilt, plain = Counter(), {}, elsewhere.plain

    def counting(place):
        path = str(place).partition("corpus/web/")[2]
        counts[path] += 1
        if spoilt.get(path, 0) >= counts[path]:
            return (Path(spoilt["by"])).open("rb")
        return plain(place)

    monkeypatch.setattr("growlm.corpus.elsewhere.plain", counting)
    return counts, spoilt


def files_in(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def hashes(folder):
    return {str(path): sha256_file(folder / path) for path in files_in(folder)}


def test_a_packed_source_says_its_tokens_while_its_shards_stay_away(run_of_others, far):
    far("facts.json", "train/manifest.json", "validation/manifest.json")
    found = look(ADDRESS)
    assert found.train.n_tok == TokenStream(run_of_others / "train").tokens
    assert found.validation.n_tok == found.facts.heldout_tokens
    assert found.facts.benchmarks == {"piqa": 64 * "a"}


@pytest.mark.parametrize("near", [True, False], ids=["a folder", "an address"])
def test_a_fetched_source_is_the_packed_one_under_its_own_name(
    *, run_of_others, far, tmp_path, near
):
    far()
    out = tmp_path / "corpus/mine"
    told = list(fetch(look(run_of_others if near else ADDRESS), out, source="mine"))
    assert told == [(done, len(files_in(out)) - 1) for done in range(len(files_in(out)))]
    theirs, ours = hashes(run_of_others), hashes(out)
    assert theirs.pop("facts.json") != ours.pop("facts.json")
    assert ours == theirs
    assert any(path.endswith(".mask") for path in ours)
    assert sum(path.startswith("train/") and path.endswith(".bin") for path in ours) > 3
    verify(out / "train", full=True)
    facts = source_facts.read(out)
    assert facts.source == "mine"
    assert facts == source_facts.read(run_of_others).model_copy(update={"source": "mine"})


def test_a_file_that_came_damaged_is_fetched_once_more(run_of_others, far, opened, tmp_path):
    far()
    counts, spoilt = opened
    (tmp_path / "cut").write_bytes((run_of_others / SHARD).read_bytes()[:-3])
    spoilt |= {SHARD: 1, "train/manifest.json": 1, "by": tmp_path / "cut"}
    list(fetch(look(ADDRESS), tmp_path / "mine", source="web"))
    assert hashes(tmp_path / "mine") == hashes(run_of_others)
    assert {path for path, count in counts.items() if count > 1} == {
        SHARD,
        "train/manifest.json",  # looked at twice, then fetched
        "validation/manifest.json",
    }


def test_a_file_that_stays_damaged_is_named_with_both_hashes_and_the_rest_is_kept(
    *, run_of_others, far, far_files, opened, tmp_path
):
    far()
    whole = (run_of_others / SHARD).read_bytes()
    far_files(f"box/corpus/web/{SHARD}", whole[:-1] + b"!")
    packed, out = look(ADDRESS), tmp_path / "mine"
    with pytest.raises(CorpusError) as told:
        list(fetch(packed, out, source="web"))
    found = packed.train.shards[1].sha256
    assert f"{ADDRESS}/{SHARD} with the SHA-256 {found}; got " in str(told.value)
    assert ", fetched 2 times. Try another copy" in str(told.value)
    kept = files_in(out)
    assert Path("train/00000.bin") in kept
    assert not {Path(SHARD), Path("facts.json"), Path("train/manifest.json")} & {*kept}

    far_files(f"box/corpus/web/{SHARD}", whole)
    counts, _ = opened
    counts.clear()
    list(fetch(packed, out, source="web"))
    assert hashes(out) == hashes(run_of_others)
    assert not {str(path) for path in kept} & set(counts)


def test_what_a_kill_left_is_looked_through_before_it_is_kept(run_of_others, far, opened, tmp_path):
    far()
    counts, _ = opened
    packed, out = look(ADDRESS), tmp_path / "mine"
    fetching = fetch(packed, out, source="web")
    while next(fetching)[0] < 5:
        pass
    fetching.close()
    assert not (out / "facts.json").exists()
    kept = [str(path) for path in files_in(out)]
    shard = next(path for path in kept if path.endswith(".bin"))
    (out / shard).write_bytes((out / shard).read_bytes()[:-2])
    counts.clear()
    list(fetch(packed, out, source="web"))
    assert hashes(out) == hashes(run_of_others)
    assert {path for path in kept if counts[path]} == {shard}


def test_too_little_room_is_told_before_anything_is_fetched(far, opened, tmp_path, monkeypatch):
    far()
    counts, _ = opened
    packed = look(ADDRESS)
    counts.clear()
    usage = SimpleNamespace(free=100)
    monkeypatch.setattr("growlm.corpus.elsewhere.shutil.disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match=r"free for the shards that .*mine lacks; got 100 B"):
        list(fetch(packed, tmp_path / "mine", source="web"))
    assert not counts


@pytest.mark.parametrize("place", [ADDRESS, Path("/nowhere")], ids=str)
def test_a_place_without_a_packed_source_is_refused(far_files, place):
    far_files("box/other", b"x")
    with pytest.raises(CorpusError, match=r"a source's folder at .*Try corpus/NAME"):
        look(place)


def test_facts_may_not_name_files_of_their_own(run_of_others, far, far_files):
    far()
    values = json.loads((run_of_others / "facts.json").read_text())
    values["files"]["../../escaped"] = 64 * "a"
    far_files("box/corpus/web/facts.json", json.dumps(values).encode())
    with pytest.raises(CorpusError, match=r"facts\.json to vouch for .*got \.\./\.\./escaped"):
        look(ADDRESS)


def test_a_place_is_a_path_from_the_recipe_or_an_address(tmp_path):
    assert elsewhere.place_of("s3://box/web/", folder=tmp_path) == "s3://box/web"
    assert (
        elsewhere.place_of("../run/corpus/web", folder=tmp_path) == tmp_path / "../run/corpus/web"
    )
