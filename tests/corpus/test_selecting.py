from collections import Counter

import pytest

from growlm.corpus.documents import Document
from growlm.corpus.duplicates import Skipped
from growlm.corpus.overlap.rulings import Ruling, Standing
from growlm.corpus.selecting import EVERYTHING, Selection, parts
from growlm.corpus.split import held_out

SHARE = 0.3
FOUND = [
    Document(source="web", path=f"{number}.txt", row=0, group=str(number), text="word " * 400)
    for number in range(20)
]


def ruled(document, action):
    standing = Standing(
        document=document.name,
        benchmark="piqa",
        index=0,
        score=1.0,
        answer_covered=False,
        characters=((1000, 1010),),
    )
    return {document.name: (Ruling(standing=standing, action=action),)}


def of(side):
    return next(each for each in FOUND if held_out(each, share=SHARE) == (side == "held out"))


def all_parts(selection):
    tally = Counter()
    return list(parts(FOUND, selection, share=SHARE, tally=tally)), +tally


def test_with_nothing_left_out_every_document_is_one_part():
    found, tally = all_parts(EVERYTHING)
    assert [part.document for part in found] == FOUND
    assert [part.held_out for part in found] == [held_out(each, share=SHARE) for each in FOUND]
    assert not tally
    assert {part.piece for part in found} == {None}


@pytest.mark.parametrize(
    ("action", "texts", "tally"),
    [
        ("drop", [], {"overlap_dropped": 1}),
        ("excise", [800, 790], {"overlap_cut": 1}),
        ("mask", [2000], {}),
        ("report", [2000], {}),
    ],
)
def test_a_ruling_takes_away_what_its_action_says(action, texts, tally):
    document = of("training")
    found, counted = all_parts(Selection(rulings=ruled(document, action)))
    mine = [part for part in found if part.document.name == document.name]
    assert [len(part.document.text) for part in mine] == texts
    assert counted == tally
    assert len(found) - len(mine) == len(FOUND) - 1
    for part in mine:
        assert part.piece is not None
        assert part.document.text == part.piece.text
        assert not part.held_out


def test_a_held_out_document_stays_whole_whatever_stands_in_it():
    document = of("held out")
    found, counted = all_parts(Selection(rulings=ruled(document, "drop")))
    assert [part.document for part in found] == FOUND
    assert not counted


def test_what_stands_elsewhere_goes_before_anything_is_ruled():
    document = of("training")
    selection = Selection(
        duplicates=Skipped(dropped=frozenset([document.uid]), trimmed={}),
        rulings=ruled(document, "drop"),
    )
    found, counted = all_parts(selection)
    assert document not in [part.document for part in found]
    assert counted == {"duplicates": 1}
