import sys
from types import ModuleType
from typing import get_args

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.documents import documents, readings
from growlm.corpus.steps import STEPS, cleaned, gutenberg, language_of, nfc, undecodable, versions
from growlm.recipe.sections import CleaningStep, Source

BOOK = """\
The Project Gutenberg EBook of A Tale, by Nobody

This eBook is for the use of anyone anywhere.

*** START OF THIS PROJECT GUTENBERG EBOOK A TALE ***

Produced by Some One and the
Distributed Proofreaders

A TALE

It was the end of a long day.

*** END OF THIS PROJECT GUTENBERG EBOOK A TALE ***

License: as above.
"""


def test_a_recipe_can_ask_for_every_step():
    assert sorted(STEPS) == sorted(get_args(CleaningStep))


def test_the_head_and_the_foot_of_a_book_of_project_gutenberg_go():
    assert gutenberg(BOOK) == "A TALE\n\nIt was the end of a long day."


@pytest.mark.parametrize(
    ("head", "foot"),
    [
        (
            "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n",
            "End of the Project Gutenberg Etext of A Tale\n",
        ),
        (
            "***START OF THE PROJECT GUTENBERG EBOOK A TALE***\n",
            "End of Project Gutenberg's A Tale",
        ),
        ("", "*** END OF THE PROJECT GUTENBERG EBOOK A TALE ***"),
        ("*** START OF THE PROJECT GUTENBERG EBOOK A TALE ***\n", ""),
    ],
)
def test_older_marks_are_known_and_one_of_them_is_enough(head, foot):
    assert gutenberg(f"{head}\nOnce upon a time.\n\n{foot}") == "Once upon a time."


def test_a_text_that_only_speaks_of_gutenberg_stays():
    text = "I printed it.\n\nProject Gutenberg began in 1971.\n  The end of it.\n"
    assert gutenberg(text) == text


def test_letters_and_their_marks_are_composed():
    assert nfc("cafe\u0301") == "caf\u00e9"


def test_mojibake_is_mended_and_quotes_and_ligatures_stay():
    pytest.importorskip("ftfy")
    assert STEPS["ftfy"]("It\u00e2\u20ac\u2122s \u201cfine\u201d, \ufb01ne") == (
        "It\u2019s \u201cfine\u201d, \ufb01ne"
    )


@pytest.mark.parametrize(("bad", "kept"), [(1, True), (2, False)])
def test_what_was_mostly_no_utf8_is_dropped(bad, kept):
    text = "\ufffd" * bad + "x" * (100 - bad)
    assert undecodable(text) == (text if kept else "")


def test_the_steps_are_taken_in_order_and_those_that_changed_a_text_are_named():
    assert cleaned("cafe\u0301  \n\n\n\n\nb", ("nfc", "spaces", "gutenberg")) == (
        "caf\u00e9\n\n\nb",
        ("nfc", "spaces"),
    )
    assert cleaned(" plain ", ("nfc", "gutenberg")) == (" plain ", ())


@pytest.mark.parametrize(
    ("package", "call"),
    [("ftfy", lambda: STEPS["ftfy"]("x")), ("py3langid", lambda: language_of("x"))],
)
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CorpusError, match=rf"{package}, to .*pip install 'growlm\[clean\]'"):
        call()


def test_documents_in_other_languages_are_dropped_and_named(monkeypatch, tmp_path):
    stand_in = ModuleType("py3langid")
    stand_in.__dict__["classify"] = lambda text: ("de" if "und" in text else "en", -1.0)
    monkeypatch.setitem(sys.modules, "py3langid", stand_in)
    for name, text in (("a", "this and that"), ("b", "dies und das")):
        (tmp_path / f"{name}.txt").write_text(text)
    source = Source(name="mine", files=(".",), weight=1.0, language="en")
    assert [document.path for document in documents(source, folder=tmp_path)] == ["a.txt"]
    assert [got.dropped for got in readings(source, folder=tmp_path)] == [None, "other_language"]


def test_what_the_steps_depend_on_is_known_by_its_version():
    assert versions((), language=False) == {}
    assert list(versions(("nfc", "spaces"), language=False)) == ["unicode"]
    assert list(versions(("ftfy",), language=True)) == ["ftfy", "py3langid"]
