"""The tokenizer: byte-level BPE by Hugging Face's library, trained here or brought along."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from growlm.base.errors import CorpusError, nearest
from growlm.base.files import sha256_bytes, storage

TRAINING_CHARACTERS = 1 << 20
"""Handed to the trainer at once, at least."""

PIECE_CHARACTERS = 1 << 14
"""Of a text that the trainer takes whole, for it needs hundreds of bytes for each."""

_BEFORE_BLANKS = re.compile(r"\S(?=[ \t\r\n])")


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

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return where in a text each of its ids lies, in characters."""
        return self.backend.encode(text, add_special_tokens=False).offsets

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
        texts: Read once, in pieces and batches.
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
    backend = whole(json, name=name)
    vocab = backend.get_vocab(with_added_tokens=True)
    if end_of_text not in vocab:
        raise _no_end_of_text(backend, end_of_text, name=name)
    return Tokenizer(
        json=json,
        vocab_size=max(vocab.values()) + 1,
        end_of_text=vocab[end_of_text],
        backend=backend,
    )


def whole(json: str, *, name: str = "tokenizer.json") -> tokenizers.Tokenizer:
    """Return the library's own object, set to give the ids of the whole text and nothing else.

    Raises:
        CorpusError: It is no tokenizer.
    """
    backend = parsed(json, name=name)
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True  # a text that spells the end of text does not end there
    return backend


def parsed(json: str, *, name: str = "tokenizer.json") -> tokenizers.Tokenizer:
    """Return the library's own object for a ``tokenizer.json``, as it is.

    Raises:
        CorpusError: It is no tokenizer.
    """
    try:
        return tokenizers.Tokenizer.from_str(json)
    except Exception as error:  # the library raises nothing narrower
        raise _no_tokenizer(name, error) from error


def added_pieces(parent_json: str, child_json: str) -> tuple[tuple[int, ...], ...]:
    """Return, for each id that a child's tokenizer adds, the parent's ids that spell its token.

    The first entry is for the first id behind the parent's. An id that is skipped has no pieces,
    nor has a token that the parent cannot spell.

    Args:
        parent_json: The parent's ``tokenizer.json``.
        child_json: The child's.

    Raises:
        CorpusError: One is no tokenizer, or the child's is no extension of the parent's: a token
            has another id, or none, or a new one stands among the old ones.
    """
    parent, child = (parsed(each) for each in (parent_json, child_json))
    old, new = (each.get_vocab(with_added_tokens=True) for each in (parent, child))
    start = max(old.values()) + 1
    _check_extension(old, new, start=start)
    parent.encode_special_tokens = True
    written = {token.content for token in child.get_added_tokens_decoder().values()}
    spelt = {
        number: _pieces(parent, token, whole=token in written)
        for token, number in new.items()
        if number >= start
    }
    return tuple(spelt.get(number, ()) for number in range(start, max(new.values()) + 1))


def _check_extension(old: Mapping[str, int], new: Mapping[str, int], *, start: int) -> None:
    ids = {**new, **old}
    odd = [
        token
        for token, number in ids.items()
        if new.get(token) != number or (token not in old and number < start)
    ]
    if odd:
        first = min(odd, key=ids.__getitem__)
        before, after = (known.get(first) for known in (old, new))
        raise CorpusError(
            "a tokenizer that gives every token of the parent's its id, and others from "
            f"{start:,} on",
            got=f"'{first}', {_place(after)} instead of {_place(before)}",
            fix="the parent's tokenizer.json with the new tokens behind its own",
        )


def _place(number: int | None) -> str:
    return "no id" if number is None else f"id {number}"


def _pieces(parent: tokenizers.Tokenizer, token: str, *, whole: bool) -> tuple[int, ...]:
    """Return the parent's ids of a token: of its text, or of what a merged one is made of."""
    if whole:
        return tuple(parent.encode(token, add_special_tokens=False).ids)
    return tuple(piece.id for piece in parent.model.tokenize(token))


def with_tokens(json: str, tokens: Sequence[str]) -> str:
    """Return a tokenizer with special tokens added behind its ids, in their order.

    A special token stands for itself alone: no text encodes to it here, as to the end of text.

    Args:
        json: The ``tokenizer.json`` to add to.
        tokens: What the new ones are written as.

    Raises:
        CorpusError: It is no tokenizer, or has such a token already, or skips ids of its own.
    """
    backend = parsed(json)
    known = backend.get_vocab(with_added_tokens=True)
    start = max(known.values()) + 1
    for place, token in enumerate(tokens):
        if not token or token in known or token in tokens[:place]:
            raise _not_new(token, known)
    backend.add_special_tokens(
        [tokenizers.AddedToken(token, special=True, normalized=False) for token in tokens]
    )
    found = [backend.token_to_id(token) for token in tokens]
    if found != list(range(start, start + len(tokens))):
        raise CorpusError(
            f"a tokenizer that uses every id below {start:,}, so that new ones follow",
            got=f"{len(known):,} tokens",
            fix="adding the tokens to tokenizer.json by hand",
        )
    return backend.to_str(pretty=True)


def _not_new(token: str, known: Mapping[str, int]) -> CorpusError:
    taken = f", which has id {known[token]}" if token in known else ""
    return CorpusError(
        "new tokens that are not empty, not known yet and named once",
        got=f"'{token}'{taken}",
        fix="another token, or leaving it out",
    )


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
    batch: list[str] = []
    characters = 0
    for piece in chain.from_iterable(map(_in_parts, texts)):
        batch.append(piece)
        characters += len(piece)
        if characters >= TRAINING_CHARACTERS:
            yield batch
            batch, characters = [], 0
    yield batch


def _in_parts(text: str) -> Iterator[str]:
    """Yield a text in pieces, cut before blanks: no word of GPT-2's split goes on behind one."""
    start = 0
    while start < len(text):
        cut = _BEFORE_BLANKS.search(text, start + PIECE_CHARACTERS)
        stop = cut.end() if cut else len(text)
        yield text[start:stop]
        start = stop
