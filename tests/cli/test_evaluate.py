"""``growlm evaluate`` on tasks and texts: sheets, caches, ranks, and what it refuses."""

import gzip
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growlm import checkpoint
from growlm.checkpoint import Contents
from growlm.corpus.tokenizer import train
from growlm.evaluation.results import ExampleScore
from growlm.pipeline.harness import HarnessTask

END = "<|end|>"
TASKS = "lambada_openai,piqa,hellaswag"
TEXT = "the cat sat on a mat and saw two dogs run over a hill by the sea at noon"
WORDS = TEXT.split()


def sentence(number: int, words: int) -> str:
    return " ".join(WORDS[(number * 7 + step * step) % len(WORDS)] for step in range(words))


def rows(name: str) -> list[dict[str, Any]]:
    made = {
        "lambada_openai_test": lambda n: {"text": sentence(n, 9)},
        "piqa_validation": lambda n: {
            "goal": sentence(n, 3),
            "sol1": sentence(n + 1, 4),
            "sol2": sentence(n + 2, 2),
            "label": n % 2,
        },
        "hellaswag_validation": lambda n: {
            "query": sentence(n, 5),
            "choices": [sentence(n + k, 1 + k) for k in range(4)],
            "gold": n % 4,
        },
    }
    return [made[name](number) for number in range(12)]


def write(path: Path, values: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in values))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_config, tiny_model):
    """Return a folder: models of learned and of ALiBi's places, data of three tasks, and texts."""
    folder = tmp_path_factory.mktemp("evaluate")
    tokenizer = train([sentence(n, 12) for n in range(40)], vocab_size=300, end_of_text=END)
    size = tokenizer.vocab_size
    for positions in ("alibi", "learned"):
        config = tiny_config(
            positions=positions, context=32, vocab_size=size, padded_vocab_size=384
        )
        contents = Contents(
            config=config,
            stage="base",
            step=1,
            lineage=(),
            data=None,
            training={},
            end_of_text=END,
            tokenizer=tokenizer.json,
            certificate=None,
            weights=tiny_model(config).state_dict(),
            optimizer={},
            random={},
        )
        checkpoint.save(folder / positions, contents)
    (folder / "data").mkdir()
    for name in ("lambada_openai_test", "piqa_validation", "hellaswag_validation"):
        write(folder / f"data/{name}.jsonl", rows(name))
    write(folder / "empty.jsonl", [{"text": ""}, {"text": ""}])
    texts = [sentence(n, 30 + n) for n in range(5)]
    write(folder / "prose.jsonl", [{"text": text} for text in texts])
    (folder / "prose.txt.gz").write_bytes(gzip.compress(texts[0].encode()))
    pq.write_table(pa.table({"body": texts}), folder / "prose.parquet")
    return folder


@pytest.fixture
def scored(home, tmp_path, growlm):
    """Return a function: words after a model's path -> what came of it, as JSON."""

    def run(*words: Any, model: str = "alibi", out: Path = tmp_path, by: Any = growlm, **how: Any):
        done = by("evaluate", home / model, *words, "--out", out, "--json", **how)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [each for each in found if "event" not in each]

    return run


def tasks(home: Path, *words: Any) -> tuple[Any, ...]:
    return ("--tasks", TASKS, "--data", home / "data", *words)


def scores(sheet: str) -> list[str]:
    return sorted(Path(sheet).read_text().splitlines()[1:])


def test_tasks_of_local_files_have_scores_with_their_errors(home, scored):
    lambada, piqa, hellaswag = scored(*tasks(home))
    assert (lambada["task"], lambada["examples"], lambada["context"]) == ("lambada_openai", 12, 32)
    assert set(lambada["perplexity"]) == {"value", "stderr"}
    assert {"acc", "acc_norm"} <= set(piqa) & set(hellaswag)
    assert "perplexity" not in piqa
    for each in (lambada, piqa, hellaswag):
        assert len(scores(each["sheet"])) == 12
        assert each["weights_sha256"] == checkpoint.read_meta(home / "alibi").weights_sha256
        assert each["version"] == "1.0"


def test_a_report_that_is_none_is_refused(home, refusal, tmp_path):
    report = tmp_path / "overlap.json"
    report.write_text("{}")
    words = ("--tasks", "piqa", "--data", home / "data", "--out", tmp_path / "out")
    assert "overlap.json" in refusal("evaluate", home / "alibi", *words, "--searched", report)


def test_the_batch_size_changes_only_rounding(home, scored):
    for one, other in zip(scored(*tasks(home)), scored(*tasks(home, "--batch", 40)), strict=True):
        assert one["sheet"] != other["sheet"]
        assert one["acc"] == other["acc"]
        if "perplexity" in one:
            assert one["perplexity"]["value"] == pytest.approx(
                other["perplexity"]["value"], rel=1e-5
            )


def test_bf16_is_named_and_close(home, scored):
    (wide,), (narrow,) = (
        scored("--text", home / "prose.jsonl", "--dtype", dtype) for dtype in ("fp32", "bf16")
    )
    assert (wide["dtype"], narrow["dtype"]) == ("fp32", "bf16")
    one, other = (each["bits_per_byte"]["value"] for each in (wide, narrow))
    # bf16 keeps 8 bits of a number: log-likelihoods of a tiny model stray by about a hundredth.
    assert one != other
    assert one == pytest.approx(other, rel=0.02)


def test_what_is_scored_is_not_scored_again(home, scored, monkeypatch):
    before = scored(*tasks(home))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr("growlm.evaluation.sitting.score", refuse)
    assert scored(*tasks(home)) == before


def test_an_interrupted_evaluation_goes_on_where_it_stopped(home, scored, monkeypatch):
    monkeypatch.setattr("growlm.pipeline.turns.CHUNK_CHARACTERS", 100)
    before = scored(*tasks(home))
    whole = {each["sheet"]: Path(each["sheet"]).read_text() for each in before}
    for path, text in whole.items():
        Path(path).write_text(text[: len(text) * 2 // 3])  # in the middle of a line
    assert scored(*tasks(home)) == before
    for path, text in whole.items():
        assert scores(path) == sorted(text.splitlines()[1:])  # to the last bit


def test_other_data_under_the_same_name_are_scored_anew(home, scored, tmp_path):
    (before,) = scored("--tasks", "piqa", "--data", home / "data")
    write(tmp_path / "piqa_validation.jsonl", rows("piqa_validation")[::-1])
    (after,) = scored("--tasks", "piqa", "--data", tmp_path)
    assert before["sheet"] != after["sheet"]


def test_a_limit_takes_the_first_rows(home, scored):
    (found,) = scored("--tasks", "piqa", "--data", home / "data", "--limit", 5)
    assert (found["examples"], found["rows"], found["limit"]) == (5, 5, 5)


@pytest.mark.parametrize("name", ["prose.jsonl", "prose.parquet"])
def test_texts_have_bits_per_byte_and_an_interval(home, scored, name):
    words = ["--text-field", "body"] if name.endswith("parquet") else []
    (found,) = scored("--text", home / name, *words)
    bits = found["bits_per_byte"]
    assert bits["low"] <= bits["value"] <= bits["high"]
    assert (found["task"], found["documents"], found["capped"]) == ("prose", 5, False)


def test_a_cap_on_documents_and_an_overlap_are_named_in_the_table(home, growlm, tmp_path):
    done = growlm(
        *("evaluate", home / "alibi", "--text", home / "prose.jsonl", "--documents", 2),
        *("--context", "1x,2x", "--overlap", 16, "--out", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "first 2" in done.stdout
    assert "32, overlap 16" in done.stdout
    assert "64, overlap 16" in done.stdout


def test_a_plain_text_is_one_document(home, scored):
    (found,) = scored("--text", home / "prose.txt.gz")
    assert (found["task"], found["documents"]) == ("prose", 1)


def test_an_empty_document_is_told_and_adds_nothing(home, scored, growlm, tmp_path):
    path = write(tmp_path / "some.jsonl", [{"text": "a cat"}, {"text": ""}])
    done = growlm("evaluate", home / "alibi", "--text", path, "--out", tmp_path)
    assert "1 of 2 documents are empty" in done.stderr
    (found,) = scored("--text", path)
    assert (found["documents"], found["empty"], found["bytes"]) == (2, 1, 5)


def test_a_text_that_spells_the_end_of_text_is_told(home, growlm, tmp_path):
    path = write(tmp_path / "some.jsonl", [{"text": f"a cat{END} a dog"}])
    done = growlm("evaluate", home / "alibi", "--text", path, "--out", tmp_path)
    assert f"spell '{END}' 1 times" in done.stderr


def test_two_ranks_score_what_one_scores(home, scored, forked, monkeypatch):
    monkeypatch.setattr("growlm.pipeline.turns.CHUNK_CHARACTERS", 200)
    alone = scored(*tasks(home))
    two = scored(*tasks(home), out=home / "two", by=forked, in_ranks=[2, 0], chunk_characters=[200])
    for one, other in zip(alone, two, strict=True):
        assert scores(one["sheet"]) == scores(other["sheet"])


def test_a_hugging_face_folder_scores_what_its_checkpoint_scores(home, scored, growlm, tmp_path):
    folder = tmp_path / "exported"
    done = growlm("export", home / "learned", folder)
    assert done.returncode == 0, done.stderr
    ours, theirs = (scored(*tasks(home), model=each) for each in ("learned", folder))
    for one, other in zip(ours, theirs, strict=True):
        assert scores(one["sheet"]) == scores(other["sheet"])
    lineages = {each["known"] for line in theirs for each in line["contamination"]}
    assert lineages == {"unknown"}  # nobody knows what a folder from elsewhere was trained on


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tasks", "piqua", "--data", "data"), "got 'piqua'. Try piqa"),
        (("--tasks", "piqa", "--data", "none"), "a folder with the data of piqa"),
        (("--tasks", "piqa", "--text", "prose.jsonl"), "one of --run, --tasks and --text"),
        (("--limit", "3"), "--limit with --tasks"),
        (("--data", "data"), "--data with --tasks"),
        (("--text", "prose.jsonl", "--context", "0"), "got '0'. Try --context 1x,2x,4x"),
        (("--text", "prose.jsonl", "--overlap", "32"), "an overlap of 0 to 31 tokens"),
        (("--text", "empty.jsonl"), "documents with text in .*; got 2 that are empty"),
        (("--text", "none"), "a file of JSON lines, .*; got .*none, which is not there"),
        (("--text", "data"), "a file of JSON lines, .*; got .*data, which is a folder"),
        (
            ("--text", "prose.jsonl", "--text-field", "txt"),
            "a field 'txt' in .* line 1; .*Try --text-field text",
        ),
        (("--text", "prose.parquet"), "a field 'text' in .* row 1"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(home, refusal, words, said):
    there = [home / word if (home / word).exists() or word == "none" else word for word in words]
    line = refusal("evaluate", home / "alibi", *there, "--out", home / "x", code=code_of(said))
    assert re.search(said, line), line


def code_of(said: str) -> int:
    return 2 if said.startswith(("one of --run", "--")) else 1


def test_a_context_beyond_learned_positions_is_refused(home, refusal, tmp_path):
    words = ("--text", home / "prose.jsonl", "--context", "2x", "--out", tmp_path)
    line = refusal("evaluate", home / "learned", *words)
    assert "at most 32 tokens: that many positions were learned; got 64" in line


def test_a_row_without_a_field_is_named_with_its_line(home, refusal, tmp_path):
    found = rows("piqa_validation")
    del found[3]["sol2"]
    write(tmp_path / "piqa_validation.jsonl", found)
    words = ("--tasks", "piqa", "--data", tmp_path, "--out", tmp_path)
    line = refusal("evaluate", home / "alibi", *words)
    assert "a field 'sol2' in" in line
    assert "line 4" in line


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="lm-eval is installed")
def test_without_data_the_harness_is_asked_for(home, refusal):
    assert "growlm[eval]" in refusal("evaluate", home / "alibi", "--tasks", "piqa")


def test_tasks_of_the_harness_are_scored_once(scored, monkeypatch):
    made = [ExampleScore(index=n, values={"acc": float(n % 2), "f1": 0.5}) for n in range(4)]
    task = HarnessTask(name="mini", version="3", asked="a" * 64, sha256="b" * 64, rows=4, task=None)
    calls: list[HarnessTask] = []

    def harness_scores(asked: HarnessTask, _sitting: Any, _world: Any) -> list[ExampleScore]:
        calls.append(asked)
        return made

    monkeypatch.setattr("growlm.pipeline.papers.load_harness_task", lambda *_, **__: task)
    monkeypatch.setattr("growlm.pipeline.examining.harness_scores", harness_scores)
    before = scored("--tasks", "mini")
    assert scored("--tasks", "mini") == before
    assert calls == [task]
    assert (before[0]["acc"]["value"], before[0]["f1"]["value"], before[0]["version"]) == (
        0.5,
        0.5,
        "3",
    )
