"""What a folder of shards says of itself; written last, so that without it nothing is there."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt, ValidationError

from growlm.base.errors import CorpusError
from growlm.base.files import digest_of, storage, write_text
from growlm.base.version import VERSION
from growlm.corpus.clean import CLEAN_VERSION

NAME = "manifest.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Crc32 = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
DtypeName = Literal["u16", "i32"]

SMALLEST_WIDE_VOCAB = 65_500
"""From this many ids on, tokens take four bytes."""


class Facts(BaseModel, frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True):
    """Part of a manifest: frozen, strict about types, closed to unknown keys."""


class TokenizerFacts(Facts, frozen=True):
    """The tokenizer that wrote the tokens."""

    sha256: Sha256
    """Of its ``tokenizer.json``."""

    vocab: PositiveInt
    """Ids it can give."""

    eos: NonNegativeInt
    """The id that closes every document."""

    impl: Literal["hf"]
    """The library that encoded."""

    version: str
    """Version of that library."""


class ShardFacts(Facts, frozen=True):
    """One pair of files."""

    name: Annotated[str, Field(pattern=r"^[0-9]{5,}$")]
    """Their name without ``.bin`` and ``.idx``."""

    n_tok: PositiveInt
    """Tokens, the ends of documents included."""

    n_doc: PositiveInt
    """Documents."""

    bytes: PositiveInt
    """Size of the ``.bin`` file."""

    sha256: Sha256
    """Of the ``.bin`` file."""

    idx_sha256: Sha256
    """Of the ``.idx`` file."""

    crc32_4MiB: tuple[Crc32, ...]  # noqa: N815 - the format's own name
    """CRC-32 of each 4 MiB of the ``.bin`` file, the last block shorter."""

    mask_sha256: Sha256 | None = None
    """Of the ``.mask`` file; None where every token is a target, and there is none."""


class Manifest(Facts, frozen=True):
    """A folder of shards: one source's token stream."""

    format: Literal[1]
    """Version of the layout."""

    source: str
    """The source's name."""

    tokenizer: TokenizerFacts
    """What wrote the tokens."""

    dtype: DtypeName
    """Bytes of a token: two unsigned, or four signed."""

    shards: tuple[ShardFacts, ...]
    """In the order of the stream."""

    n_tok: PositiveInt
    """Tokens in all shards."""

    n_doc: PositiveInt
    """Documents in all shards."""

    clean_version: PositiveInt
    """Version of the cleaning rules."""

    growlm_version: str
    """Version of the program that wrote it."""

    source_id: Sha256
    """SHA-256 of what makes the token stream; two folders with the same one are the same data."""

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest of a folder.

        Raises:
            StorageError: The folder cannot be read.
            CorpusError: It has no manifest, or one that does not hold together.
        """
        path = folder / NAME
        if not path.exists():
            raise CorpusError(
                f"shards in {folder}",
                got=f"no {NAME}: they were never finished, or it is another folder",
                fix="preparing the source again",
            )
        with storage(path):
            content = path.read_bytes()
        return cls.parsed(content, name=str(path))

    @classmethod
    def parsed(cls, content: bytes, *, name: str) -> "Manifest":
        """Return the manifest that a file holds.

        Args:
            content: Its bytes.
            name: How messages call it.

        Raises:
            CorpusError: It does not hold together.
        """
        try:
            manifest = cls.model_validate_json(content)
        except ValidationError as error:
            raise _broken(name, str(error.errors()[0]["msg"])) from error
        if not manifest.is_consistent():
            raise _broken(name, "totals or a source_id that do not follow from its shards")
        return manifest

    @property
    def is_masked(self) -> bool:
        """Whether any of its tokens is no target."""
        return any(shard.mask_sha256 is not None for shard in self.shards)

    @property
    def mask_id(self) -> str:
        """SHA-256 of what is masked; the token stream is the same whatever that is."""
        return digest_of([[shard.name, shard.mask_sha256] for shard in self.shards])

    def is_consistent(self) -> bool:
        """Return whether its totals and its identity follow from its shards."""
        identity = source_id(self.shards, tokenizer=self.tokenizer, dtype=self.dtype)
        tokens = sum(shard.n_tok for shard in self.shards)
        documents = sum(shard.n_doc for shard in self.shards)
        return (self.n_tok, self.n_doc, self.source_id) == (tokens, documents, identity)

    def write(self, folder: Path) -> None:
        """Write it into a folder whose shards are complete."""
        write_text(folder / NAME, self.model_dump_json(indent=2) + "\n")


def describe(shards: tuple[ShardFacts, ...], *, source: str, tokenizer: TokenizerFacts) -> Manifest:
    """Return the manifest of finished shards."""
    dtype = dtype_for(tokenizer.vocab)
    return Manifest(
        format=1,
        source=source,
        tokenizer=tokenizer,
        dtype=dtype,
        shards=shards,
        n_tok=sum(shard.n_tok for shard in shards),
        n_doc=sum(shard.n_doc for shard in shards),
        clean_version=CLEAN_VERSION,
        growlm_version=VERSION,
        source_id=source_id(shards, tokenizer=tokenizer, dtype=dtype),
    )


def source_id(
    shards: tuple[ShardFacts, ...], *, tokenizer: TokenizerFacts, dtype: DtypeName
) -> str:
    """Return the SHA-256 of canonical JSON of what makes the token stream, and nothing else."""
    named = {"name", "n_tok", "n_doc", "sha256", "idx_sha256"}
    return digest_of(
        {
            "format": 1,
            "tokenizer": tokenizer.model_dump(include={"sha256", "eos"}),
            "dtype": dtype,
            "shards": [shard.model_dump(include=named) for shard in shards],
        }
    )


def dtype_for(vocab: int) -> DtypeName:
    """Return how tokens of a vocabulary are stored."""
    return "u16" if vocab < SMALLEST_WIDE_VOCAB else "i32"


def _broken(name: str, got: str) -> CorpusError:
    return CorpusError(f"{name} to be a manifest", got=got, fix="preparing the source again")
