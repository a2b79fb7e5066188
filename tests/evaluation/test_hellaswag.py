import pytest

from growlm.evaluation.hellaswag import cleaned, prepared

ROW = {
    "activity_label": "Roof shingle removal",
    "ctx_a": "A man is on a roof.",
    "ctx_b": "he, a Roofer",
    "endings": ["[step] sits.", "sings   [a] loud."],
    "label": "1",
}


def test_the_query_is_the_label_and_both_contexts_the_second_capitalised():
    assert prepared(ROW) == {
        "query": "Roof shingle removal: A man is on a roof. He, a roofer",
        "choices": [" sits.", "sings  loud."],
        "gold": "1",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a b ", "a b"),
        ("a [title] b", "a. b"),  # ". " and the blank behind the tag: two blanks, made one
        ("[substeps] a", " a"),
        ("a [x] [y] b", "a  b"),
        ("a    b", "a  b"),
        (7, 7),
    ],
)
def test_cleaning_keeps_the_harness_s_order_and_its_traces(text, expected):
    assert cleaned(text) == expected


def test_a_row_that_is_prepared_or_lacks_a_field_stays_as_it_is():
    ready = {"query": "q", "choices": ["a"], "gold": 0}
    assert prepared(ready) is ready
    broken = {key: value for key, value in ROW.items() if key != "ctx_b"}
    assert prepared(broken) is broken
