from typing import Any

import pytest

from growlm.corpus.overlap.rulings import (
    Piece,
    Ruling,
    Standing,
    pieces,
    read,
    rulings,
    standings,
    write,
)
from growlm.corpus.overlap.score import Hit, Place

TEXT = "".join(chr(97 + number % 26) for number in range(2000))


def standing(**changes: Any) -> Standing:
    values: dict[str, Any] = {
        "document": "one.txt",
        "benchmark": "lambada",
        "index": 3,
        "score": 0.9,
        "answer_covered": True,
        "characters": ((900, 950),),
    }
    return Standing(**{**values, **changes})


def ruling(action: Any, **changes: Any) -> Ruling:
    return Ruling(standing=standing(**changes), action=action)


def test_every_place_of_a_hit_is_a_standing_and_comes_back_from_the_disk(tmp_path):
    places = tuple(
        Place(document=name, score=score, longest=score, characters=spans, answer_covered=False)
        for name, score, spans in (("a", 0.9, ((1, 5), (7, 9))), ("b:2", 0.1, ((0, 3),)))
    )
    hit = Hit(
        index=7,
        label="dirty",
        score=0.9,
        score_union=0.9,
        longest=0.9,
        longest_skip=0.9,
        answer_covered=None,
        context_score=None,
        places=places,
    )
    found = list(standings("piqa", [hit]))
    assert [(each.document, each.score) for each in found] == [("a", 0.9), ("b:2", 0.1)]
    assert {(each.benchmark, each.index) for each in found} == {("piqa", 7)}
    write(tmp_path / "web.jsonl", found)
    assert read(tmp_path / "web.jsonl") == found


def test_only_examples_of_which_a_fifth_stands_there_are_acted_on():
    found = [standing(), standing(index=4, score=0.19), standing(document="two.txt", score=0.2)]
    ruled = rulings(found, lambda benchmark: "drop" if benchmark == "lambada" else "report")
    assert {name: [each.action for each in some] for name, some in ruled.items()} == {
        "one.txt": ["drop", "report"],
        "two.txt": ["drop"],
    }


def test_a_dropped_document_leaves_nothing_whatever_else_is_asked_of_it():
    assert pieces(TEXT, [ruling("mask"), ruling("drop", characters=((0, 5),))]) == []


@pytest.mark.parametrize("action", ["report", "mask"])
def test_a_document_that_is_not_cut_stays_whole(action):
    asked = ruling(action)
    (piece,) = pieces(TEXT, [asked])
    assert piece == Piece(begin=0, text=TEXT, rulings=(asked,))
    assert piece.masked == ([(900, 950)] if action == "mask" else [])


def test_a_document_in_which_nothing_stands_stays_as_it_is():
    assert pieces(TEXT, []) == [Piece(begin=0, text=TEXT, rulings=())]


def test_a_cut_leaves_pieces_that_know_what_else_stands_in_them():
    cut = ruling("excise")
    masked = ruling("mask", index=5, characters=((100, 120), (690, 720), (1500, 1510)))
    first, second = pieces(TEXT, [cut, masked])
    # Two hundred characters on each side go as well.
    assert (first.begin, first.text) == (0, TEXT[:700])
    assert (second.begin, second.text) == (1150, TEXT[1150:])
    assert first.masked == [(100, 120), (690, 700)]
    assert second.masked == [(350, 360)]
    assert second.text[350:360] == TEXT[1500:1510]


def test_what_was_cut_out_stands_in_no_piece():
    for piece in pieces(TEXT, [ruling("excise"), ruling("mask", characters=((910, 940),))]):
        assert piece.rulings == ()
