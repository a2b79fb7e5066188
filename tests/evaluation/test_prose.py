import pytest

from growlm.evaluation.prose import Sentence, join, prose_runs

DOCSTRINGS = """\
email.charset.Charset
Map character sets to their email properties.

This class provides information about the requirements imposed on email
for a specific character set.  It also provides convenience routines, e.g.
The default is "us-ascii".

It works like this:

    >>> charset = Charset()
    >>> charset.header_encoding
    1

Certain character sets must be encoded.  Others
need not be.

* A bullet is no prose.

email.charset.add_charset
Add character set properties to the global registry.
"""


def texts(document: str) -> list[list[str]]:
    return [[sentence.text for sentence in run] for run in prose_runs(document)]


def test_docstrings_become_runs_of_sentences_between_headings_code_and_lists():
    assert texts(DOCSTRINGS) == [
        [
            "Map character sets to their email properties.",
            "This class provides information about the requirements imposed on email for a "
            "specific character set.",
            'It also provides convenience routines, e.g. The default is "us-ascii".',
        ],
        ["Certain character sets must be encoded.", "Others need not be."],
        ["Add character set properties to the global registry."],
    ]


def test_a_joined_run_keeps_its_paragraphs():
    (run,) = prose_runs("One came\nfirst.  Two\ncame next.\n\n  Three came last.\n")
    assert join(run) == "One came first. Two came next.\n\nThree came last."
    assert run[2] == Sentence(text="Three came last.", opens_paragraph=True)


@pytest.mark.parametrize(
    "block",
    [
        ">>> print(This)\nThis is output.",
        "... This is a continued prompt.",
        "* This is a bullet point.",
        "- This is a dash point.",
        "1. This is a numbered point.",
        "(a) This is a lettered point.",
        "# This is a comment.",
        ".. note:: This is markup.",
        ":param name: This is a field.",
        "| This | is | a | table. |",
        "Name      Meaning of the name.",
        "Name\tMeaning of the name.",
        "name -- This is what it means.",
        "Heading of two words\n====================",
        "A term and\n    This is its definition.",
        "One line.\n  Another line.\n    A third line.",
        "x = compute(y)",
        "Set x = 3 and y = 4 here.",
        "It is like C:\\Program here.",
        "This paragraph ends in a colon:",
        "this begins in the middle of a sentence.",
        "A 1 + 2 * 3 is 7.",
        "",
        "\n \n\n",
    ],
)
def test_what_is_no_prose_gives_no_sentence_and_ends_the_run(block: str):
    assert texts(block) == []
    around = f"This came before.\n\n{block}\n\nThis came after."
    if block.strip():
        assert texts(around) == [["This came before."], ["This came after."]]


@pytest.mark.parametrize(
    "sentence",
    [
        'The "eval()" function takes a string, and so does the "exec()" function.',
        "'link' allows you to make links (see the manual).",
        "*This* is stressed; that isn't.",
        "(This stands in brackets.)",
        "For this see e.g. Knuth, and in general all that D. E. Knuth wrote, vs. Others.",
        "It was in A.D. Four hundred.",
        "Don\u2019t panic, say the \u201cold hands.\u201d",
        "It costs one (or two).",
        "\u00c9tude is a word like any other.",
        "Is this one?",
    ],
)
def test_one_sentence_stays_one(sentence: str):
    assert texts(sentence) == [[sentence]]


def test_sentences_part_after_every_full_stop():
    document = 'Is it? It is! "So it is." (Indeed.) He said "no." Nobody heard.'
    assert texts(document) == [
        ["Is it?", "It is!", '"So it is."', "(Indeed.)", 'He said "no."', "Nobody heard."]
    ]


def test_an_indented_block_of_prose_is_prose_and_so_is_a_first_line_set_in():
    assert texts("   These lines are\n   set in.") == [["These lines are set in."]]
    assert texts("   The first line is\nset in.") == [["The first line is set in."]]
