"""Data sets of the Hugging Face Hub, row by row, at one commit: ``hf://datasets/OWNER/NAME@COMMIT``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs

from growlm.base.errors import CorpusError, GrowlmError
from growlm.corpus.optional import missing

SCHEME = "hf://datasets/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What an address of a data set says."""

    name: str
    """Owner and name on the Hub."""

    revision: str | None
    config: str | None
    """Which of its subsets; None takes the only one."""

    split: str


def is_dataset(address: str) -> bool:
    """Return whether an address names a data set of the Hub and no file in one.

    >>> is_dataset("hf://datasets/owner/books@main?split=train")
    True
    >>> is_dataset("hf://datasets/owner/books/data/part-0.parquet")
    False
    """
    if not address.startswith(SCHEME):
        return False
    bare = address.removeprefix(SCHEME).partition("?")[0]
    parts = PurePosixPath(bare).parts
    return len(parts) <= 2 or (len(parts) > 2 and "@" in parts[1] and _is_branch(parts[2:]))


def parse(address: str) -> Dataset:
    """Return what an address of a data set says.

    >>> parse("hf://datasets/owner/books@1a2b?config=en&split=test").split
    'test'

    Raises:
        CorpusError: It asks for something unknown.
    """
    bare, _, query = address.removeprefix(SCHEME).partition("?")
    name, _, revision = bare.partition("@")
    asked = {key: values[-1] for key, values in parse_qs(query).items()}
    unknown = sorted(set(asked) - {"config", "split"})
    if unknown or not name:
        raise CorpusError(
            f"an address such as {SCHEME}OWNER/NAME@COMMIT?config=CONFIG&split=SPLIT",
            got=f"'{address}'",
            fix="config and split, and nothing else, behind the question mark",
        )
    return Dataset(
        name=name,
        revision=revision or None,
        config=asked.get("config"),
        split=asked.get("split", "train"),
    )


def pinned(address: str) -> str:
    """Return the address with its branch, or none, replaced by the commit it stands for now.

    Raises:
        CorpusError: The Hub does not answer, or a package is missing.
    """
    asked = parse(address)
    if asked.revision is not None and _is_commit(asked.revision):
        return address
    _, mark, query = address.partition("?")
    return f"{SCHEME}{asked.name}@{_info(asked, address).sha}{mark}{query}"


def facts(address: str) -> dict[str, str | int]:
    """Return a data set's address at its commit, and the bytes of its files.

    Raises:
        CorpusError: The Hub does not answer, or a package is missing.
    """
    files = _info(parse(address), address).siblings or ()
    return {"path": address, "bytes": sum(file.size or 0 for file in files)}


def rows(address: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set, fetched while they are read.

    Raises:
        CorpusError: The Hub does not answer, or a package is missing.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports] - only data sets of the Hub need it
    except ImportError as error:
        raise missing("datasets", extra="hub", purpose=f"read {address}") from error
    library: Any = datasets
    asked = parse(address)
    try:
        yield from library.load_dataset(
            asked.name, asked.config, split=asked.split, revision=asked.revision, streaming=True
        )
    except GrowlmError:
        raise
    except Exception as error:  # the library raises what its readers raise
        raise _refused(error, address) from error


def _info(asked: Dataset, address: str) -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise missing("huggingface_hub", extra="hub", purpose=f"read {address}") from error
    try:
        return HfApi().dataset_info(asked.name, revision=asked.revision, files_metadata=True)
    except Exception as error:  # the library raises what its network raises
        raise _refused(error, address) from error


def _refused(error: Exception, address: str) -> CorpusError:
    said = str(error).partition("\n")[0][:200] or type(error).__name__
    return CorpusError(
        "a data set that the Hub gives",
        got=f"'{said}' for {address}",
        fix="another name, revision, config or split, or hf auth login",
    )


def _is_commit(revision: str) -> bool:
    """Return whether a revision is a whole commit, which cannot move.

    >>> _is_commit("main"), _is_commit(40 * "a")
    (False, True)
    """
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def _is_branch(parts: tuple[str, ...]) -> bool:
    """Return whether the rest of an address is the rest of a branch's name, and no file."""
    return not PurePosixPath(parts[-1]).suffix and not any("*" in part for part in parts)
