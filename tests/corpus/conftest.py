"""What the tests of the corpus share: a small tokenizer, files on the disk, and real data."""

from pathlib import Path

import pytest

from growlm.corpus.manifest import TokenizerFacts
from growlm.corpus.tokenizer import Tokenizer, train
from growlm.recipe.sections import Source

END_OF_TEXT = "<|endoftext|>"


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    texts = [f"the number {n} comes after {n - 1}, which we knew\n" for n in range(400)]
    return train(texts, vocab_size=320, end_of_text=END_OF_TEXT)


@pytest.fixture(scope="session")
def golden_facts() -> TokenizerFacts:
    return TokenizerFacts(sha256="ab" * 32, vocab=65_100, eos=0, impl="hf", version="0.23")


@pytest.fixture
def files_source():
    def make(*files: str, text_field: str = "text") -> Source:
        return Source(name="mine", files=files, text_field=text_field, weight=1.0)

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real texts and tokenizers are not beside the repository")
    return folder


@pytest.fixture
def far_files():
    """Return a function that puts a file into a store far away: its path there and its bytes."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield lambda path, content: store.pipe_file(f"/{path}", content)
    store.store.clear()


@pytest.fixture
def unpatient(monkeypatch):
    """Have nothing wait before a failed read is tried again."""
    monkeypatch.setattr("growlm.corpus.remote.PAUSES_SECONDS", (0.0, 0.0))
