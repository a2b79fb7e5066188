"""``[overlap]`` in a recipe: what stands in benchmarks is found, and masked, cut out or dropped."""

import json

import numpy as np
import pytest

from growlm.corpus.shards import TokenStream
from growlm.corpus.tokenizer import load

PASSAGE = (
    "The lantern over the harbor wall went out twice before midnight, and each time the old "
    "keeper climbed the ninety steps, lit it again, and came down without a word to the boats"
)
SECTION = """[overlap]
against = [{ name = "lambada", file = "data/lambada.jsonl" }]

[mixture]"""


@pytest.fixture
def screened(recipe, edit):
    """Return a recipe with a passage of its benchmark in five tales, and half a line at the end."""
    path = recipe.parent / "data/tales.jsonl"
    lines = path.read_text().splitlines()
    for number in range(0, 50, 10):
        text = " ".join([json.loads(lines[number])["text"]] * 10)
        lines[number] = json.dumps({"text": f"{text} {PASSAGE.upper()}. {text}"})
    path.write_text("\n".join(lines) + '\n{"text": "and')
    edit(
        recipe,
        f'files = ["data/{path.name}"]',
        f'files = ["data/{path.name}"]\nmax_lost_share = 0.1',
    )
    rows = [{"text": "a row that stands nowhere in any of the tales, not even in parts of it"}]
    rows.append({"text": PASSAGE})
    benchmark = recipe.parent / "data/lambada.jsonl"
    benchmark.write_text("".join(json.dumps(row) + "\n" for row in rows))
    edit(recipe, "[mixture]", SECTION)
    return recipe


def facts(run):
    return json.loads((run / "corpus/tales/facts.json").read_text())


def examples(run):
    path = run / "corpus/tales/examples.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def in_training(run):
    """Return the lines of tales with the passage that are not held out."""
    held = (run / "corpus/tales/heldout.jsonl").read_text().count("LANTERN OVER")
    return 5 - held


def test_what_stands_in_a_benchmark_is_masked_and_what_was_lost_is_told(growlm, screened):
    run = screened.parent / "run"
    done = growlm("prepare", screened, "--out", run)
    assert done.returncode == 0, done.stderr
    assert "1 examples stand in the sources, 1 of them by a fifth or more" in done.stderr
    stream = TokenStream(run / "corpus/tales/train")
    tokenizer = load(run / "corpus/tokenizer.json", end_of_text="<|endoftext|>")
    found = examples(run)
    assert len(found) == in_training(run) >= 3
    targets = stream.targets(np.array([0]), stream.tokens)[0]
    for each in found:
        assert (each["benchmark"], each["index"], each["action"]) == ("lambada", 1, "mask")
        ((first, last),) = each["tokens"]
        ids = stream.gather(np.array([first]), last - first)[0].tolist()
        assert tokenizer.decode(ids).strip(" .") == PASSAGE.upper()
        assert not targets[first:last].any()
    assert (~targets).sum() == sum(b - a for each in found for a, b in each["tokens"])
    assert facts(run)["masked_tokens"] == stream.masked_tokens == (~targets).sum()
    tales, notes = json.loads((run / "corpus/overlap/overlap.json").read_text())["sources"]
    assert (tales["problems"], notes["problems"]) == ({"bad_json": 1}, {})
    assert [(each["path"], each["row"]) for each in tales["places"]] == [("data/tales.jsonl", 120)]
    page = (run / "corpus/overlap/overlap.md").read_text()
    assert "| tales | bad_json | 1 | data/tales.jsonl, row 120 |" in page


def test_check_shows_the_masked_tokens_of_packed_sources(growlm, screened, setting):
    words = (screened, "--out", screened.parent / "run")
    assert " masked " not in growlm("check", *words).stdout
    assert growlm("prepare", *words).returncode == 0
    count = facts(screened.parent / "run")["masked_tokens"]
    found = json.loads(growlm("check", *words, "--json").stdout)
    assert [source["masked_tokens"] for source in found["sources"]] == [count, 0]
    table = growlm("check", *words).stdout
    assert " masked " in table
    assert f" {count:,} tokens " in table
    plain = growlm("check", *words, *setting('overlap.action="report"'))
    assert plain.returncode == 0, plain.stderr
    assert " masked " not in plain.stdout


def test_every_training_document_says_where_it_comes_from(growlm, screened, setting):
    run = screened.parent / "run"
    choice = setting('overlap.action="excise"')
    assert growlm("prepare", screened, "--out", run, *choice).returncode == 0
    lines = (run / "corpus/tales/documents.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    stream = TokenStream(run / "corpus/tales/train")
    assert [each["tokens"] for each in found] == stream.document_lengths().tolist()
    whole = [each for each in found if "begin" not in each]
    texts = (screened.parent / "data/tales.jsonl").read_text().splitlines()
    tokenizer = load(run / "corpus/tokenizer.json", end_of_text="<|endoftext|>")
    ends = np.cumsum([0, *(each["tokens"] for each in found)])
    for each, begin in zip(found, ends[:-1], strict=True):
        ids = stream.gather(np.array([begin]), each["tokens"] - 1)[0].tolist()
        text = json.loads(texts[each["row"]])["text"]
        at = each.get("begin", 0)
        assert text[at:].startswith(tokenizer.decode(ids))
        assert each["path"] == "data/tales.jsonl"
    assert 0 < len(whole) < len(found)


def test_another_action_packs_anew_without_another_scan(growlm, screened, setting):
    run = screened.parent / "run"
    words = ("prepare", screened, "--out", run)
    assert growlm(*words).returncode == 0
    before = (run / "corpus/overlap/overlap.json").stat().st_mtime_ns
    masked = TokenStream(run / "corpus/tales/train")
    done = growlm(*words, *setting('overlap.action="report"'))
    assert done.returncode == 0, done.stderr
    plain = TokenStream(run / "corpus/tales/train")
    assert plain.manifest.source_id == masked.manifest.source_id
    assert (plain.masked_tokens, facts(run)["masked_tokens"]) == (0, 0)
    assert {each["action"] for each in examples(run)} == {"report"}
    assert (run / "corpus/overlap/overlap.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("action", "count"), [("excise", "overlap_cut"), ("drop", "overlap_dropped")]
)
def test_what_is_cut_or_dropped_stands_in_no_training_token(
    *, growlm, screened, setting, action, count
):
    run = screened.parent / "run"
    choice = setting(f'overlap.actions={{tales = {{lambada = "{action}"}}}}')
    done = growlm("prepare", screened, "--out", run, *choice)
    assert done.returncode == 0, done.stderr
    stream = TokenStream(run / "corpus/tales/train")
    tokenizer = load(run / "corpus/tokenizer.json", end_of_text="<|endoftext|>")
    text = tokenizer.decode(stream.gather(np.array([0]), stream.tokens)[0].tolist())
    assert "LANTERN" not in text
    assert facts(run)[count] == in_training(run)
    assert examples(run) == []


def test_a_benchmark_that_is_not_there_is_refused_before_anything_is_read(refusal, screened, edit):
    edit(screened, "data/lambada.jsonl", "data/lambda.jsonl")
    for command in ("prepare", "check"):
        line = refusal(command, screened, "--out", screened.parent / "run", "--quiet")
        assert "lambda.jsonl" in line
    assert not (screened.parent / "run/corpus/tokenizer.json").exists()


def test_an_action_about_no_source_is_refused(refusal, screened, setting):
    choice = setting('overlap.actions={taels = "drop"}')
    line = refusal("check", screened, *choice, code=2)
    assert "overlap.actions about sources of text, tales, notes; got 'taels'. Try tales." in line
