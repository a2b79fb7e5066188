"""The tokenizer: byte-level BPE by Hugging Face's library, trained here or brought along."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from growlm.base.errors import CorpusError, nearest
from growlm.base.files import sha256_bytes, storage

TRAINING_BATCH = 256
"""Texts handed to the trainer at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """Text to ids and back; no text encodes to ``end_of_text``, which closes documents."""

    json: str = field(repr=False)
    """Its ``tokenizer.json``, as trained or as read."""

    vocab_size: int
    """Ids it can give, that is, its largest id + 1."""

    end_of_text: int
    """The id that closes a document."""

    backend: tokenizers.Tokenizer = field(repr=False, compare=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of its JSON."""
        return sha256_bytes(self.json.encode())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, with no token added."""
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, special tokens included."""
        return self.backend.decode(list(ids), skip_special_tokens=False)

    def to_json(self) -> str:
        """Return its ``tokenizer.json``."""
        return self.json


def train(texts: Iterable[str], *, vocab_size: int, end_of_text: str) -> Tokenizer:
    """Return a byte-level BPE learned from texts; the same texts give the same tokenizer.

    No normaliser, GPT-2's split into words, all 256 bytes, so that decoding an encoded text gives
    that text. ``end_of_text`` is id 0. Texts too few for ``vocab_size`` give fewer ids.

    Args:
        texts: Read once, in batches.
        vocab_size: Ids to learn, the 256 bytes and the end of text included.
        end_of_text: The token that closes a document.
    """
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[end_of_text],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_batches(texts), trainer=trainer)
    return from_json(bpe.to_str(), end_of_text=end_of_text)


def load(path: Path, *, end_of_text: str) -> Tokenizer:
    """Return the tokenizer in a file.

    Raises:
        StorageError: The file cannot be read.
        CorpusError: It is no tokenizer, or lacks the end of text.
    """
    with storage(path):
        content = path.read_bytes()
    try:
        json = content.decode()
    except UnicodeDecodeError as error:
        raise _no_tokenizer(str(path), error) from error
    return from_json(json, end_of_text=end_of_text, name=str(path))


def from_json(json: str, *, end_of_text: str, name: str = "tokenizer.json") -> Tokenizer:
    """Return the tokenizer that a ``tokenizer.json`` describes.

    Its truncation and padding are left aside: they would change documents.

    Args:
        json: The content.
        end_of_text: The token that closes a document.
        name: How messages call it.

    Raises:
        CorpusError: It is no tokenizer, or lacks the end of text.
    """
    backend = parsed(json, name=name)
    vocab = backend.get_vocab(with_added_tokens=True)
    if end_of_text not in vocab:
        raise _no_end_of_text(backend, end_of_text, name=name)
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True  # a text that spells the end of text does not end there
    return Tokenizer(
        json=json,
        vocab_size=max(vocab.values()) + 1,
        end_of_text=vocab[end_of_text],
        backend=backend,
    )


def parsed(json: str, *, name: str = "tokenizer.json") -> tokenizers.Tokenizer:
    """Return the library's own object for a ``tokenizer.json``, as it is.

    Raises:
        CorpusError: It is no tokenizer.
    """
    try:
        return tokenizers.Tokenizer.from_str(json)
    except Exception as error:  # the library raises nothing narrower
        raise _no_tokenizer(name, error) from error


def _no_tokenizer(name: str, error: Exception) -> CorpusError:
    return CorpusError(
        f"{name} to be a tokenizer of Hugging Face's tokenizers",
        got=f"'{str(error)[:100]}'",
        fix="a file that Tokenizer.save wrote",
    )


def _no_end_of_text(backend: tokenizers.Tokenizer, wanted: str, *, name: str) -> CorpusError:
    special = [str(token.content) for token in backend.get_added_tokens_decoder().values()]
    return CorpusError(
        f"{name} to have the token '{wanted}' for the end of a text",
        got=f"{len(special)} special tokens without it",
        fix=f"end_of_text = {nearest(wanted, special)}" if special else "another tokenizer",
    )


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    for first in rest:
        yield [*chain([first], islice(rest, TRAINING_BATCH - 1))]
