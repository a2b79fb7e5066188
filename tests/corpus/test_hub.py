import sys
from types import ModuleType, SimpleNamespace

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus import hub
from growlm.corpus.documents import documents, listing

COMMIT = 40 * "a"


@pytest.fixture
def the_hub(monkeypatch):
    """Stand for the Hub's two packages; what was asked of them is kept."""
    asked = []

    def load_dataset(*names, **options):
        asked.append((names, options))
        return iter([{"text": "one", "id": 5}, {"text": "two", "id": 6}])

    class HfApi:
        def dataset_info(self, name, *, revision, files_metadata):
            asked.append((name, revision, files_metadata))
            if name == "owner/none":
                raise RuntimeError("404\nnothing here")
            siblings = [SimpleNamespace(size=30), SimpleNamespace(size=None)]
            return SimpleNamespace(sha=COMMIT, siblings=siblings)

    for name, content in (
        ("datasets", {"load_dataset": load_dataset}),
        ("huggingface_hub", {"HfApi": HfApi}),
    ):
        stand_in = ModuleType(name)
        stand_in.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, stand_in)
    return asked


def test_a_data_set_is_streamed_at_the_commit_that_its_branch_stood_for(
    the_hub, files_source, tmp_path
):
    source = files_source("hf://datasets/owner/books@main?config=en&split=test")
    first, second = documents(source, folder=tmp_path)
    assert first.path == f"hf://datasets/owner/books@{COMMIT}?config=en&split=test"
    assert (first.text, second.text, second.row) == ("one", "two", 1)
    assert the_hub == [
        ("owner/books", "main", True),
        (
            ("owner/books", "en"),
            {"split": "test", "revision": COMMIT, "streaming": True},
        ),
    ]


@pytest.mark.usefixtures("the_hub")
def test_the_listing_names_the_commit(files_source, tmp_path):
    (fact,) = listing(files_source("hf://datasets/owner/books"), folder=tmp_path)
    assert fact == {"path": f"hf://datasets/owner/books@{COMMIT}", "bytes": 30}


def test_a_commit_stays_as_it_is(the_hub):
    address = f"hf://datasets/owner/books@{COMMIT}?split=train"
    assert hub.pinned(address) == address
    assert the_hub == []


@pytest.mark.usefixtures("the_hub")
def test_what_the_hub_refuses_is_told_in_one_line():
    with pytest.raises(CorpusError, match=r"the Hub gives; got '404' for hf://datasets/owner/none"):
        hub.pinned("hf://datasets/owner/none")


@pytest.mark.parametrize("query", ["?part=train", "?split=train&streaming=no"])
def test_an_unknown_question_is_refused(query):
    with pytest.raises(CorpusError, match="config and split, and nothing else"):
        hub.parse(f"hf://datasets/owner/books{query}")


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("hf://datasets/owner/books", True),
        ("hf://datasets/squad@main", True),
        ("hf://datasets/owner/books@refs/convert?split=train", True),
        ("hf://datasets/owner/books@main/data/part.parquet", False),
        ("hf://datasets/owner/books/data/*.parquet", False),
        ("s3://owner/books", False),
    ],
)
def test_a_data_set_is_told_from_a_file_in_one(address, is_one):
    assert hub.is_dataset(address) is is_one


@pytest.mark.parametrize("package", ["datasets", "huggingface_hub"])
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"{package}, to read .*pip install 'growlm\[hub\]'"
    with pytest.raises(CorpusError, match=wanted):
        list(hub.rows("hf://datasets/a/b")) if package == "datasets" else hub.facts(
            "hf://datasets/a/b"
        )
