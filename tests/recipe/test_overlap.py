import pytest
from pydantic import ValidationError

from growlm.recipe.overlap import Overlap


def overlap(**changes):
    against = ({"name": "lambada", "file": "l.jsonl"}, {"name": "piqa", "file": "p.jsonl"})
    return Overlap.model_validate({"against": against, **changes})


def test_the_nearest_word_about_a_source_and_a_benchmark_counts():
    section = overlap(action="excise", actions={"books": "drop", "web": {"piqa": "report"}})
    asked = [(source, name) for source in ("books", "web", "else") for name in ("lambada", "piqa")]
    assert [section.action_for(*each) for each in asked] == [
        "drop",
        "drop",
        "excise",
        "report",
        "excise",
        "excise",
    ]


def test_what_is_not_said_otherwise_is_masked():
    assert overlap().action_for("books", "lambada") == "mask"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"against": ()}, "at least 1 item"),
        ({"against": ({"name": "a", "file": "b"},) * 2}, "name each benchmark once"),
        ({"actions": {"web": {"piqqa": "drop"}}}, "benchmarks of overlap.against, lambada, piqa"),
        ({"actions": {"web": "mark"}}, "'report', 'mask', 'excise' or 'drop'"),
        ({"rules": "slow"}, "'fast' or 'exact'"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        overlap(**changes)
