from collections import defaultdict

import numpy as np
import pytest

from growlm.base.errors import CheckpointError
from growlm.corpus import ledger
from growlm.corpus.ledger import Exposed, Ledger, Segment, Status
from growlm.corpus.mixture import Sampler
from growlm.corpus.schedules import Layout, Phase, Weighting
from growlm.corpus.stretches import Stretch

SAMPLER = Sampler(
    seed=3,
    sources=(Layout(name="books", tokens=700), Layout(name="web", tokens=450)),
    slot=16,
    block=8,
    jitter=True,
    weightings=(Weighting(start_draw=0, weights=(2.0, 1.0)),),
    phases=(Phase(start_draw=0, context=8),),
)
STRETCH = Stretch(first_sample=32, end_sample=32 + 4 * 60, first_step=1, samples_per_step=4)


def row(index, *tokens, action="report", benchmark="piqa"):
    return {
        "benchmark": benchmark,
        "index": index,
        "score": 0.9,
        "answer_covered": index % 2 == 0,
        "document": f"{index}.txt",
        "action": action,
        "tokens": [list(span) for span in tokens],
    }


def replayed(source, spans):
    """Return what every step trained on of some tokens, by going through all of its samples."""
    wanted = {token for first, end in spans for token in range(first, end)}
    found = defaultdict(float)
    for number in range(STRETCH.first_sample, STRETCH.end_sample):
        sample = SAMPLER.samples(number, 1)
        if sample.source[0] != source:
            continue
        start = int(SAMPLER.starts(sample)[0])
        targets = set(range(start + 1, start + 1 + 8))
        if targets & wanted:
            step = 1 + (number - STRETCH.first_sample) // 4
            found[step, int(sample.epoch[0])] += len(targets & wanted) / len(wanted)
    return dict(sorted(found.items()))


def test_a_stages_examples_are_those_that_a_replay_of_its_samples_meets():
    spans = {
        "books": [[(100, 140)], [(5, 7), (300, 321)], [(640, 660)]],
        "web": [[(17, 18)], [(200, 260)]],
    }
    standing = {
        source: [row(index, *some) for index, some in enumerate(each)]
        for source, each in spans.items()
    }
    found = ledger.examples(standing, sampler=SAMPLER, stretch=STRETCH)
    everything = [(number, some) for number, each in enumerate(spans.values()) for some in each]
    assert len(found) == len(everything)
    for each, (source, some) in zip(found, everything, strict=True):
        expected = replayed(source, some)
        assert list(zip(each.steps, each.epochs, strict=True)) == list(expected)
        assert each.shares == pytest.approx(tuple(expected.values()))
        assert each.tokens == sum(end - first for first, end in some)
    assert max(each.exposures for each in found) > 1


def exposed(index, *, steps=(2, 5), shares=(1.0, 0.5), masked=False, benchmark="piqa"):
    return Exposed(
        benchmark=benchmark,
        index=index,
        source="books",
        document="one.txt",
        score=0.9,
        answer_covered=index == 0,
        masked=masked,
        tokens=10,
        steps=steps,
        epochs=(0,) * len(steps),
        shares=shares,
    )


def segment(*examples: Exposed, stage: str = "base", status: Status = "scanned") -> Segment:
    benchmarks = {"piqa": "ab" * 32} if status in {"scanned", "partly scanned"} else {}
    return Segment(
        stage=stage,
        status=status,
        steps=9,
        benchmarks=benchmarks,
        unsearched=(),
        examples=examples,
    )


def test_a_ledger_in_mid_stage_knows_what_has_been_and_not_what_will_be():
    before, own = segment(exposed(0)), segment(exposed(1), stage="grown")
    found = ledger.at_step((before, own), 4)
    assert found.segments[0] == before
    (mine,) = found.segments[1].examples
    assert (found.segments[1].steps, mine.steps, mine.shares) == (4, (2,), (1.0,))


def test_a_step_that_was_not_taken_exposed_nothing():
    before, own = segment(exposed(0)), segment(exposed(1), stage="grown")
    found = ledger.at_step((before, own), 9, untrained={2})
    (mine,) = found.segments[1].examples
    assert (mine.steps, mine.epochs, mine.shares) == ((5,), (0,), (0.5,))
    assert found.segments[0] == before
    assert found.segments[1].steps == 9


def test_totals_add_up_over_stages_and_keep_what_was_only_read_apart():
    masked = exposed(2, masked=True)
    found = ledger.of(
        (
            segment(exposed(0), masked, exposed(3, steps=(), shares=())),
            segment(exposed(0), exposed(1, shares=(0.5, 0.0)), stage="grown"),
        )
    )
    (total,) = found.totals()
    assert (total.examples, total.answered, total.masked) == (2, 1, 1)
    assert (total.exposures, total.most) == (3.5, 3.0)


@pytest.mark.parametrize(
    ("statuses", "known"),
    [
        (("scanned", "scanned"), "known"),
        (("scanned", "not scanned"), "partial"),
        (("unknown", "scanned"), "partial"),
        (("unknown",), "unknown"),
        (("partly scanned",), "partial"),
        (("scanned", "partly scanned"), "partial"),
        (("not scanned",), "unknown"),
    ],
)
def test_a_lineage_is_known_when_every_stage_was_searched(statuses, known):
    assert ledger.of([segment(status=status) for status in statuses]).known == known


@pytest.mark.parametrize(
    ("searched", "status", "unsearched"),
    [
        ({"a": {"piqa": "x"}, "b": {"piqa": "x"}}, "scanned", ()),
        ({"a": {"piqa": "x"}, "b": {}}, "partly scanned", ("b",)),
        ({"a": {"piqa": "x"}, "b": {"piqa": "x", "lambada": "y"}}, "partly scanned", ("a",)),
        ({"a": {"piqa": "x"}, "b": {"piqa": "another file"}}, "partly scanned", ("b",)),
        ({"a": {}, "b": {}}, "not scanned", ("a", "b")),
    ],
    ids=["both", "one", "one for less", "one for another file", "none"],
)
def test_sources_are_searched_together_when_each_was_for_the_same_files(
    *, searched, status, unsearched
):
    found = ledger.search_of(searched)
    assert (found.status, found.unsearched) == (status, unsearched)
    assert found.benchmarks.get("piqa", "x") == "x"


def test_a_child_has_its_parents_stages_and_those_of_an_unknown_one_are_unknown():
    parent = ledger.of((segment(exposed(0)),))
    assert ledger.inherited(parent, ["base"]) == parent.segments
    unknown = ledger.inherited(None, ["pythia", "more"])
    assert [(each.stage, each.status) for each in unknown] == [
        ("pythia", "unknown"),
        ("more", "unknown"),
    ]
    assert ledger.unscanned("base", steps=3).status == "not scanned"


def test_a_ledger_comes_back_from_json_and_another_is_refused():
    found = ledger.of((segment(exposed(0)),))
    content = found.model_dump(mode="json")
    assert ledger.parsed(content, name="exposure.json") == found
    with pytest.raises(CheckpointError, match=r"exposure\.json to be an exposure ledger"):
        ledger.parsed({**content, "format": 2}, name="exposure.json")


def test_without_examples_nothing_is_looked_up():
    assert ledger.examples({"books": []}, sampler=SAMPLER, stretch=STRETCH) == ()
    assert isinstance(ledger.of(()), Ledger)
    assert np.isfinite(len(ledger.of(()).totals()))


def stage(status: Status, *examples, benchmarks=("piqa",), sha256="a" * 64):
    return Segment(
        stage="s",
        status=status,
        steps=9,
        benchmarks=dict.fromkeys(benchmarks, sha256),
        unsearched=(),
        examples=examples,
    )


@pytest.mark.parametrize(
    ("segments", "known"),
    [
        ([stage("scanned"), stage("scanned")], "known"),
        ([stage("scanned"), stage("scanned", benchmarks=("boolq",))], "partial"),
        ([stage("scanned"), stage("scanned", sha256="b" * 64)], "partial"),
        ([stage("partly scanned")], "partial"),
        ([stage("scanned", benchmarks=("boolq",))], "unknown"),
        ([stage("unknown", benchmarks=()), stage("not scanned", benchmarks=())], "unknown"),
    ],
)
def test_what_is_known_of_one_benchmark_is_what_was_searched_for_its_own_file(segments, known):
    assert ledger.of(segments).known_of("piqa", "a" * 64) == known


def test_any_file_of_a_benchmark_is_taken_where_none_is_meant():
    assert ledger.of([stage("scanned"), stage("scanned", sha256="b" * 64)]).known_of("piqa") == (
        "known"
    )


def test_exposures_of_a_benchmark_add_up_over_documents_and_stages_but_for_masks_and_scraps():
    scrap = exposed(4).model_copy(update={"score": 0.1})
    unserved = exposed(5, steps=(), shares=())
    found = ledger.of(
        [
            stage("scanned", exposed(0), exposed(0), exposed(1, benchmark="boolq"), scrap),
            stage("scanned", exposed(0), exposed(3, masked=True), exposed(2), unserved),
        ]
    )
    assert found.exposures_of("piqa", least=0.2) == {0: 4.5, 2: 1.5}
    assert found.exposures_of("piqa", least=0.0) == {0: 4.5, 2: 1.5, 4: 1.5}
