import json
from typing import Any

import pytest

from growlm.base.errors import CorpusError, StorageError
from growlm.corpus import source_facts
from growlm.corpus.source_facts import SourceFacts

COUNTS: dict[str, Any] = dict.fromkeys(SourceFacts.model_fields, 3) | {
    "source": "mine",
    "cleaned": {"nfc": 2},
    "without_tiktoken": None,
    "benchmarks": {"piqa": 64 * "a"},
    "files": {"heldout.jsonl": 64 * "b"},
}


def test_facts_are_read_as_they_were_written(tmp_path):
    found = SourceFacts(**COUNTS)
    found.write(tmp_path)
    assert source_facts.read(tmp_path) == found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps({**COUNTS, "later": 1}), "got 'later': Extra inputs are not permitted"),
        (json.dumps({**COUNTS, "trimmed": -1}), "got 'trimmed': Input should be greater"),
        (json.dumps({**COUNTS, "files": {"a": "b"}}), r"got 'files\.a': String should match"),
        (json.dumps(COUNTS)[:40], "got Invalid JSON: EOF"),
        ("[]", "got Input should be an object"),
    ],
    ids=["another version's", "below 0", "no hash", "cut", "no object"],
)
def test_other_facts_are_refused_with_what_to_remove(tmp_path, content, words):
    (tmp_path / "facts.json").write_text(content)
    with pytest.raises(CorpusError, match=rf"this growlm's counts; {words}.*Try removing") as told:
        source_facts.read(tmp_path)
    assert "\n" not in str(told.value)


def test_facts_that_are_not_there_are_told_in_one_line(tmp_path):
    with pytest.raises(StorageError, match=r"No such file.*facts\.json"):
        source_facts.read(tmp_path)
