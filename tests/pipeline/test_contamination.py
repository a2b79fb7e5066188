"""Scores beside overlap: a leak is found and counted, and where there is none nothing is."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from growlm import checkpoint
from growlm.base.errors import EvaluationError, StorageError
from growlm.corpus.overlap.reading import read_report
from growlm.corpus.tokenizer import from_json, train as train_tokenizer
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.scorer import Request, score
from growlm.model.gpt import with_weights
from growlm.pipeline import contamination
from growlm.pipeline.contamination import (
    Graded,
    all_views,
    lineage_sources,
    report_of,
    searched_for,
)
from growlm.pipeline.events import Stop
from growlm.pipeline.open import run_of
from growlm.pipeline.run import prepare, train
from growlm.report.contamination_tables import section

contamination_views: Any = contamination.contamination_views

ITEMS, COPIES = 36, 4

STAGE = """
[[stage]]
name = "{name}"
{origin}
weights = {weights}
context = 32
tokens = {tokens}
batch = 256
optimizer = {{ peak_lr = 2e-2, clip_norm = 1.0 }}
schedule = {{ kind = "cosine", warmup_steps = 4 }}
"""
SOURCE = """
[[source]]
name = "{name}"
files = ["{name}.jsonl"]
weight = 0.0
"""
RECIPE = """
name = "leak"
compile = false
[tokenizer]
file = "tokenizer.json"
[overlap]
against = [{ name = "quiz", file = "quiz.jsonl" }]
action = "report"
[validation]
share = 0.1
tokens = 128
[mixture]
block = 16
"""


def halves():
    """Return two lists of words that no text prefers, before the leak."""
    for letters in ("bdfklm", "nprstv"):
        ends = ("ar", "el", "in", "os", "ut", "om")
        syllables = [letter + end for letter, end in zip(letters, ends, strict=True)]
        yield [first + second for first in syllables for second in syllables]


def shuffled(stream, words, count=None):
    return " ".join(stream.permutation(words)[:count])


def lines(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def stages():
    yield "base", "model = { layers = 1, heads = 2, width = 32 }", "{ plain = 1.0 }", 4096
    for name in ("leaked", "unleaked"):
        grow = 'grow = { from = "base", layers = 2 }'
        yield name, grow, f"{{ {name} = 1.0 }}", 8192


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A base and two children; one source of theirs has half of the quiz four times.

    The tokenizer learns from neither: one that saw the leak would favour its words.
    """
    folder = tmp_path_factory.mktemp("leak")
    stream = np.random.default_rng(5)
    some, others = halves()
    quiz = [shuffled(stream, words, 24) for words in (some, others) for _ in range(ITEMS)]
    plain, pages = ([shuffled(stream, some + others) for _ in range(60)] for _ in range(2))
    leaks = [quiz[row] for row in range(ITEMS) for _ in range(COPIES)]
    hosts = [f"{pages[at % 50]} {leak}" for at, leak in enumerate(leaks)]
    lines(folder / "quiz.jsonl", quiz)
    lines(folder / "plain.jsonl", plain)
    lines(folder / "unleaked.jsonl", pages)
    lines(folder / "leaked.jsonl", [*hosts, *pages[50:]])
    learned = train_tokenizer(plain, vocab_size=480, end_of_text="<|endoftext|>")
    (folder / "tokenizer.json").write_text(learned.json, encoding="utf-8")
    recipe = folder / "leak.toml"
    parts = [RECIPE, *(SOURCE.format(name=name) for name in ("plain", "leaked", "unleaked"))]
    parts += [
        STAGE.format(name=name, origin=origin, weights=weights, tokens=tokens)
        for name, origin, weights, tokens in stages()
    ]
    recipe.write_text("".join(parts))
    with run_of(recipe, [], out=folder / "run", stop=Stop(), version="1") as made:
        for _ in prepare(made):
            pass
        for stage in made.plan.stages:
            for _ in train(made, stage):
                pass
    return made


def scores(path, quiz):
    meta = checkpoint.read_meta(path)
    model = with_weights(meta.gpt_config(), checkpoint.load_weights(path))
    tokenizer = from_json(checkpoint.load_tokenizer(path), end_of_text=meta.end_of_text)
    ids = tokenizer.encode([json.loads(line)["text"] for line in quiz.read_text().splitlines()])
    requests = [Request(inputs=tuple(each[:-1]), targets=tuple(each[5:])) for each in ids]
    found = score(model, requests, batch_tokens=2048)
    examples = (
        ExampleScore(index=n, values={"log_likelihood_nats": each.log_likelihood_nats})
        for n, each in enumerate(found)
    )
    return TaskScore(task="quiz", examples=tuple(examples))


@pytest.fixture(scope="module")
def graded(job):
    """Return the last checkpoint of each stage with its scores, by the stage's name."""
    quiz = job.plan.recipe_folder / "quiz.jsonl"
    return {
        stage.name: Graded(
            stage=stage.name,
            checkpoint="final",
            path=job.folder.final(stage.name),
            scores=(scores(job.folder.final(stage.name), quiz),),
            sources=lineage_sources(job.plan, stage),
            digests={},
        )
        for stage in job.plan.stages
    }


@pytest.fixture(scope="module")
def report(job):
    return read_report(job.folder.overlap / "overlap.json")


def test_a_leak_is_found_counted_and_taken_off(graded, report):
    (found,) = contamination_views(graded["leaked"], report, parent=graded["base"])
    assert (found.metric, found.known, found.parent, found.parent_known) == (
        ("log_likelihood_nats", "known", "base", "known")
    )
    assert found.labels == {"clean": ITEMS, "dirty": ITEMS}
    assert found.verdict == "evidence"
    assert found.subset("clean").mean.value < found.everything.value
    assert found.difference.exposed.count + found.difference.unexposed.count == 2 * ITEMS
    assert found.difference.verdict == "evidence"
    never, *served = found.doses
    assert never.mean.count >= ITEMS
    assert max(dose.exposures for dose in served) > 2
    assert all(dose.gain_per_exposure > 0 for dose in served if dose.exposures > 2)
    assert "evidence" in section([found])


def test_the_same_without_the_leak_finds_nothing(graded, report):
    (found,) = contamination_views(graded["unleaked"], report, parent=graded["base"])
    assert found.verdict == "no overlap"
    assert found.difference is None
    assert [(dose.exposures, dose.mean.count) for dose in found.doses] == [(0.0, 2 * ITEMS)]


def test_nor_would_it_be_suspected_if_it_had_read_what_the_other_did(graded, report):
    other, own = graded["leaked"], graded["unleaked"]
    suspect = replace(own, path=other.path, sources=other.sources)
    (found,) = contamination_views(suspect, report, parent=graded["base"])
    assert found.verdict == "none"
    assert found.difference.verdict == "none"


def test_all_checkpoints_stand_beside_their_parents(graded, report):
    parents = {"leaked": "base", "unleaked": "base"}
    found = all_views(tuple(graded.values()), report, parents=parents)
    assert [(each.stage, each.parent) for each in found] == [
        ("base", None),
        ("leaked", "base"),
        ("unleaked", "base"),
    ]


def test_a_checkpoint_without_a_ledger_has_an_unknown_lineage(graded, report, tmp_path):
    path = tmp_path / "imported"
    shutil.copytree(graded["leaked"].path, path)
    (path / "exposure.json").unlink()
    with pytest.raises(StorageError, match="a file that is there"):
        contamination_views(replace(graded["leaked"], path=path), report)
    meta = json.loads((path / "checkpoint.json").read_text())
    del meta["files"]["exposure.json"], meta["sha256"]
    found = checkpoint.Meta.model_validate(meta)
    meta["sha256"] = checkpoint.identity(found)
    (path / "checkpoint.json").write_text(json.dumps(meta))
    stranger = replace(graded["leaked"], path=path, sources=None)
    (view,) = contamination_views(stranger, report, parent=graded["base"])
    assert (view.known, view.doses, view.difference) == ("unknown", (), None)
    assert "(unknown lineage)" in section([view])


def test_where_nothing_was_searched_there_is_a_score_alone(graded, report, tmp_path):
    assert report_of(tmp_path / "overlap.json") is None
    elsewhere = replace(graded["leaked"], sources={"elsewhere"})
    for child, found in ((graded["leaked"], None), (elsewhere, report)):
        (view,) = contamination_views(child, found)
        assert (view.verdict, view.subsets) == ("not searched", ())
        assert view.everything.count == 2 * ITEMS


def test_scores_of_another_file_than_was_searched_for_are_refused(graded, report):
    other = replace(graded["leaked"], digests={"quiz": "0" * 64})
    with pytest.raises(EvaluationError, match="quiz to be scored on the file that was searched"):
        contamination_views(other, report)
    (benchmark,) = report.benchmarks
    same = replace(graded["leaked"], digests={"quiz": benchmark.sha256})
    assert contamination_views(same, report)[0].verdict == "evidence"


def test_a_task_is_the_benchmark_of_its_name_of_the_harness_or_of_its_beginning(report):
    (quiz,) = report.benchmarks
    changes = ({"name": "lambada"}, {"name": "mine", "path": "lm-eval:piqa"})
    more = report.model_copy(
        update={"benchmarks": (quiz, *(quiz.model_copy(update=each) for each in changes))}
    )
    found = [searched_for(task, more) for task in ("quiz", "piqa", "lambada_openai", "boolq")]
    assert [each and each.name for each in found] == ["quiz", "mine", "lambada", None]
    assert searched_for("quiz", None) is None
