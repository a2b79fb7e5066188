from collections import Counter

import pytest

from growlm.corpus.documents import documents
from growlm.corpus.overlap.benchmark import (
    PLAIN,
    Benchmark,
    Example,
    fields_of,
    read_benchmark,
)
from growlm.corpus.overlap.canary import Planted
from growlm.corpus.overlap.index import build
from growlm.corpus.overlap.scan import Run, scan
from growlm.corpus.overlap.score import Scorer, longest_chain, without_phrases


def scorer(index, found, **changes):
    kept, phrases = without_phrases(index, found, clusters={})
    given = {
        "phrases": frozenset(each.text for each in phrases),
        "undetermined": index.undetermined(),
    }
    return Scorer(index, kept, **{**given, **changes})


def hits(index, found):
    return list(scorer(index, found).hits(0))


def run(text, document):
    return Run(text=text, document=document, characters=document)


def test_a_score_is_the_share_of_letters_that_one_document_covers(scanned, prose):
    words = prose(1).split()
    parts = [" ".join(words[:20]), " ".join(words[10:50]), " ".join(words[45:])]
    index, found = scanned([prose(1)], [f"{parts[0]} - {parts[2]}", parts[1]])
    (hit,) = hits(index, found)
    letters = len(prose(1).replace(" ", ""))
    one = sum(map(len, [*words[:20], *words[45:]])) / letters
    other = sum(map(len, words[10:50])) / letters
    assert {place.document: place.score for place in hit.places} == pytest.approx(
        {"d0": one, "d1": other}
    )
    assert hit.score == pytest.approx(max(one, other))
    assert hit.score_union == 1.0
    assert hit.longest == pytest.approx(other)
    assert hit.places[0].document == ("d0" if one > other else "d1")


def test_labels_are_cut_at_a_fifth_and_four_fifths(scanned, prose):
    words = prose(1, 100).split()
    documents = [" ".join(words[:count]) for count in (10, 30, 90)]
    for document, label in zip(documents, ("clean", "partial", "dirty"), strict=True):
        index, found = scanned([" ".join(words), prose(2)], [document])
        assert [hit.label for hit in hits(index, found)] == [label]
        rows = scorer(index, found).rows(0)
        assert rows["clean"] == ((0, 1) if label == "clean" else (1,))
        assert 0 in rows[label]
        assert sum(map(len, rows.values())) == 2


def test_an_answer_is_covered_when_one_run_holds_all_of_it(scanned, prose):
    question, answer = prose(1, 30), "silver thunder"
    whole = f"{question} {answer}"
    for document, covered in ((whole, True), (question, False), (whole[:-3], False)):
        index, found = scanned([(question, answer)], [document])
        assert hits(index, found)[0].answer_covered is covered
    index, found = scanned([whole], [whole])
    assert hits(index, found)[0].answer_covered is None


def test_short_texts_are_counted_apart(scanned, prose):
    index, found = scanned(
        ["open the jar now", "shut the jar now", "ok", prose(1)], ["Open the jar now!"]
    )
    assert [(hit.index, hit.label, hit.score) for hit in hits(index, found)] == [
        (0, "short_hit", 1.0)
    ]
    rows = scorer(index, found).rows(0)
    assert {name: found for name, found in rows.items() if found} == {
        "clean": (3,),
        "short_hit": (0,),
        "short_miss": (1,),
        "untestable": (2,),
    }


def test_a_phrase_of_many_documents_is_left_out_and_told(scanned, prose):
    phrase = prose(7, 7)
    documents = [f"{prose(100 + n, 3 + n)} 0 {phrase} 0 {prose(200 + n)}" for n in range(11)]
    index, found = scanned([f"{prose(1)} {phrase} {prose(2)}"], documents)
    assert hits(index, found) == []
    assert len(scorer(index, found).rows(0)["boilerplate"]) == 1
    assert {each.document for each in without_phrases(index, found, clusters={})[1]} == {
        f"d{n}" for n in range(11)
    }
    index, found = scanned([f"{prose(1)} {phrase} {prose(2)}"], documents[:10])
    assert len(hits(index, found)[0].places) == 10


def test_a_phrase_of_100_letters_is_never_left_out(scanned, prose):
    phrase = prose(7, 20)
    index, found = scanned(
        [f"{prose(1)} {phrase}"], [f"{prose(n)} 0 {phrase}" for n in range(100, 112)]
    )
    assert len(hits(index, found)[0].places) == 12


def test_near_duplicates_count_as_one_document(scanned, prose):
    phrase = prose(7, 7)
    index, found = scanned(
        [f"{prose(1)} {phrase}"], [f"{phrase} 0 {prose(n)}" for n in range(100, 112)]
    )
    assert without_phrases(index, found, clusters={})[1]
    same = {f"d{n}": "d0" for n in range(12)}
    assert without_phrases(index, found, clusters=same)[1] == []


def test_a_template_is_undetermined_not_clean(scanned, prose):
    rows = [f"{prose(0, 20)} {prose(n, 4)}" for n in range(1, 70)]
    index, found = scanned(rows, [prose(500)])
    assert len(scorer(index, found).rows(0)["undetermined"]) == 69


@pytest.mark.parametrize(
    ("runs", "longest"),
    [
        ([], 0),
        ([run((0, 40), (100, 140))], 40),
        ([run((0, 40), (100, 140)), run((45, 70), (147, 172))], 65),
        ([run((0, 40), (100, 140)), run((53, 78), (153, 178))], 40),  # 13 letters apart
        ([run((0, 40), (100, 140)), run((40, 60), (149, 169))], 40),  # 9 more on one side
        ([run((0, 40), (100, 140)), run((41, 60), (90, 109))], 40),  # in another order
        ([run((at, at + 20), (at, at + 20)) for at in range(0, 132, 22)], 100),  # five gaps
    ],
)
def test_a_chain_takes_small_gaps_and_not_too_many(runs, longest):
    assert longest_chain(runs) == longest


def test_a_context_has_a_score_of_its_own(prose):
    example = Example(index=0, text=prose(1), answer=None, context=prose(2))
    index = build([Benchmark(name="b", path="b", sha256="", fields=PLAIN, examples=(example,))])
    found = list(scan(index, [Planted(name="d", text=prose(2))], rules="fast", tally=Counter()))
    (hit,) = hits(index, found)
    assert (hit.score, hit.context_score, hit.label, hit.places) == (0.0, 1.0, "clean", ())


def test_the_rows_of_lambada_that_stand_in_a_novel_are_found(shared_data, files_source):
    path = shared_data / "eval/lambada_openai_test.jsonl"
    index = build([read_benchmark("lambada", path, fields=fields_of("lambada"))])
    novel = documents(files_source("text/novels/Doyle_Hound_1902.txt.gz"), folder=shared_data)
    pages = [Planted(name=each.path, text=each.text) for each in novel]
    found = list(scan(index, pages, rules="fast", tally=Counter()))
    assert {hit.index: (hit.label, hit.answer_covered) for hit in hits(index, found)} == {
        1934: ("dirty", True),
        2814: ("partial", False),
        3453: ("dirty", True),
        3934: ("partial", False),
    }
