"""What packing a source came to: its counts, what it was searched for, and the files it wrote."""

from pathlib import Path

from pydantic import NonNegativeInt, ValidationError

from growlm.base.errors import CorpusError
from growlm.base.files import storage, write_text
from growlm.corpus.manifest import Facts, Sha256

NAME = "facts.json"
"""The file in a source's folder that vouches for all others."""


class SourceFacts(Facts, frozen=True):
    """What packing a source came to; bytes are those of the text in UTF-8."""

    source: str
    train_documents: NonNegativeInt
    heldout_documents: NonNegativeInt
    train_tokens: NonNegativeInt
    heldout_tokens: NonNegativeInt
    train_bytes: NonNegativeInt
    heldout_bytes: NonNegativeInt

    bad_utf8: NonNegativeInt
    """Documents with bytes that were not UTF-8."""

    empty: NonNegativeInt
    """Texts of which cleaning left nothing."""

    too_short: NonNegativeInt
    """Texts of fewer characters than the source's ``min_characters``."""

    other_language: NonNegativeInt
    """Texts in another language than the source's."""

    bad_json: NonNegativeInt
    """Lines that are no JSON."""

    no_field: NonNegativeInt
    """Records without their text, or without the id that was asked for."""

    broken_file: NonNegativeInt
    """Files that end early, or are not what their first bytes say."""

    duplicates: NonNegativeInt
    """Documents left out because they stand elsewhere."""

    trimmed: NonNegativeInt
    """Books that lost what stands in others."""

    overlap_dropped: NonNegativeInt
    """Documents left out because examples of benchmarks stand in them."""

    overlap_cut: NonNegativeInt
    """Documents that lost such examples, with what was around them."""

    masked_tokens: NonNegativeInt
    """Training tokens that are read and not learned, because they are such examples."""

    fast_documents: NonNegativeInt
    """Documents that tiktoken encoded."""

    compared_documents: NonNegativeInt
    """Documents that tiktoken and the reference both encoded, with the same ids."""

    fast_faults: NonNegativeInt
    """Documents at which tiktoken failed or gave other ids; the first one ends its use."""

    cleaned: dict[str, NonNegativeInt]
    """Texts that each cleaning step of the source changed."""

    without_tiktoken: str | None
    """Why the reference encoded all documents, or all from some document on."""

    benchmarks: dict[str, Sha256]
    """SHA-256 of the file of each benchmark that it was searched for, by name."""

    files: dict[str, Sha256]
    """SHA-256 of the manifests of its shards, and of the files beside them, by path."""

    def write(self, folder: Path) -> None:
        """Write them into a source's folder, whole or not at all."""
        write_text(folder / NAME, self.model_dump_json(indent=2) + "\n")


def read(folder: Path) -> SourceFacts:
    """Return what packing a source came to, from its folder.

    Raises:
        CorpusError: Another version wrote it, or it was changed.
        StorageError: It cannot be read.
    """
    path = folder / NAME
    with storage(path):
        content = path.read_bytes()
    fix = f"removing {folder}: the source is then prepared again"
    return parsed(content, name=str(path), fix=fix)


def parsed(content: bytes, *, name: str, fix: str) -> SourceFacts:
    """Return the facts that a file holds.

    Args:
        content: Its bytes.
        name: How messages call it.
        fix: What to try when it holds something else.

    Raises:
        CorpusError: As said.
    """
    try:
        return SourceFacts.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        got = f"'{key}': {first['msg']}" if key else first["msg"]
        raise CorpusError(f"{name} to hold this growlm's counts", got=got, fix=fix) from error
