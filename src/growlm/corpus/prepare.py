"""From a recipe's sources to a tokenizer, training shards, and held-out texts."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from growlm.base.errors import CorpusError
from growlm.base.files import sha256_file, storage, whole_folder, write_text
from growlm.corpus import tokenizer as bpe
from growlm.corpus.documents import BAD_UTF8, Document, Reading, documents, readings
from growlm.corpus.encoding import Encoder, FastPathError, encoder
from growlm.corpus.manifest import NAME as MANIFEST, TokenizerFacts
from growlm.corpus.overlap.actions import touched_tokens
from growlm.corpus.overlap.rulings import Piece
from growlm.corpus.selecting import DROPPED, EVERYTHING, Part, Selection, parts
from growlm.corpus.source_facts import SourceFacts
from growlm.corpus.spans import Span
from growlm.corpus.tokenizer import Tokenizer
from growlm.corpus.writing import Ids, Writer, writer
from growlm.recipe.sections import Source

TRAIN, VALIDATION, HELDOUT = "train", "validation", "heldout.jsonl"

PROBLEMS = "problems.jsonl"
"""What was lost or spoilt, one record a line, each with its place."""

EXAMPLES = "examples.jsonl"
"""Examples of benchmarks that stand in the training tokens, each with those tokens."""

DOCUMENTS = "documents.jsonl"
"""Where each training document comes from, in the order of the stream."""

FILES = (f"{TRAIN}/{MANIFEST}", f"{VALIDATION}/{MANIFEST}", HELDOUT, PROBLEMS, EXAMPLES, DOCUMENTS)
"""What a source's facts vouch for, by path; the manifests vouch for the shards."""

BATCH_CHARACTERS = 1 << 18
"""Text encoded at once."""


def train_tokenizer(
    sources: Sequence[Source],
    *,
    selections: Mapping[str, Selection],
    folder: Path,
    out: Path,
    vocab_size: int,
    end_of_text: str,
    train_documents: int,
    share: float,
) -> Tokenizer:
    """Train a byte-level BPE on training documents, write it, and return it.

    Args:
        sources: The recipe's sections.
        selections: What of a source is left out, by its name.
        folder: What their relative paths start from.
        out: The ``tokenizer.json`` to write.
        vocab_size: Ids to learn, the 256 bytes and the end of text included.
        end_of_text: The token that closes a document.
        train_documents: Documents read from each source, at most.
        share: Share of the documents that is held out, and that it does not see.

    Raises:
        CorpusError: A source cannot be read.
        StorageError: The file cannot be written.
    """
    texts = (
        document.text
        for source in sources
        for document in islice(
            _training(source, selections.get(source.name, EVERYTHING), folder, share=share),
            train_documents,
        )
    )
    trained = bpe.train(texts, vocab_size=vocab_size, end_of_text=end_of_text)
    write_text(out, trained.to_json())
    return trained


def pack(
    source: Source,
    *,
    selection: Selection = EVERYTHING,
    folder: Path,
    out: Path,
    tokenizer: Tokenizer,
    share: float,
    shard_tokens: int,
) -> SourceFacts:
    """Read a source once and write its shards and its held-out texts, all of it or nothing.

    ``out`` holds the shards ``train`` and ``validation``, ``heldout.jsonl`` with uid, path and text
    of each held-out document, in the order of the validation shards, ``problems.jsonl`` with
    kind, path, row and words of each record that was lost or spoilt, and ``examples.jsonl`` with
    each example of a benchmark that stands in the training tokens, and in which, and
    ``documents.jsonl`` with the origin of each training document, in the order of the stream, and
    ``facts.json``, which is returned.

    Args:
        source: The recipe's section.
        selection: What of it is left out.
        folder: What its relative paths start from.
        out: Where nothing is yet.
        tokenizer: Text to ids.
        share: Share of the documents to hold out.
        shard_tokens: Tokens after which a new shard begins.

    Raises:
        CorpusError: The source cannot be read, or one side of the split is empty.
        StorageError: ``out`` is there already, or cannot be written.
    """
    with encoder(tokenizer) as encode:
        work = partial(
            _pack,
            source,
            selection=selection,
            folder=folder,
            out=out,
            tokenizer=tokenizer,
            share=share,
            shard_tokens=shard_tokens,
            encode=encode,
        )
        try:
            return work()
        except FastPathError as error:  # documents that were not compared may be wrong, too
            encode.distrust(error)
            return work()


def _pack(
    source: Source,
    *,
    selection: Selection,
    folder: Path,
    out: Path,
    tokenizer: Tokenizer,
    share: float,
    shard_tokens: int,
    encode: Encoder,
) -> SourceFacts:
    facts = tokenizer_facts(tokenizer)
    tally: Counter[str] = Counter()
    with whole_folder(out) as place:
        with ExitStack() as stack:
            train, validation = (
                stack.enter_context(
                    writer(
                        place / half, source=source.name, tokenizer=facts, shard_tokens=shard_tokens
                    )
                )
                for half in (TRAIN, VALIDATION)
            )
            texts, problems, examples, origins = (
                stack.enter_context((place / name).open("w", encoding="utf-8"))
                for name in (HELDOUT, PROBLEMS, EXAMPLES, DOCUMENTS)
            )
            found = _kept(_noted(readings(source, folder=folder), problems), tally)
            for batch in _batches(parts(found, selection, share=share, tally=tally)):
                for part, ids in _encoded(batch, encode, end_of_text=facts.eos):
                    document = part.document
                    if part.held_out:
                        tally += _added("heldout", document, ids, validation)
                        values = {"uid": document.uid, "path": document.path, "text": document.text}
                        _write_line(texts, values)
                        continue
                    masked: list[Span] = []
                    if part.piece is not None:
                        offsets = tokenizer.offsets(document.text)
                        masked = touched_tokens(offsets, part.piece.masked)
                        _write_examples(examples, part.piece, offsets, begin=train.tokens)
                    _write_line(origins, _origin(part, len(ids)))
                    tally += _added("train", document, ids, train, masked=masked)
            _check_halves(source, tally, share=share)
        packed = _facts(source, tally, encode, selection=selection, place=place)
        packed.write(place)
    return packed


def tokenizer_facts(tokenizer: Tokenizer) -> TokenizerFacts:
    """Return what shards say of the tokenizer that wrote them."""
    return TokenizerFacts(
        sha256=tokenizer.sha256,
        vocab=tokenizer.vocab_size,
        eos=tokenizer.end_of_text,
        impl="hf",
        version=version("tokenizers"),
    )


def heldout_texts(path: Path, limit: int) -> list[str]:
    """Return the first held-out texts of a packed source, in the order of its shards.

    Args:
        path: A ``heldout.jsonl``.
        limit: Texts, at most.

    Raises:
        StorageError: It cannot be read.
    """
    with storage(path), path.open("rb") as file:
        return [json.loads(line)["text"] for line in islice(file, limit)]


def _training(
    source: Source, selection: Selection, folder: Path, *, share: float
) -> Iterator[Document]:
    for part in parts(documents(source, folder=folder), selection, share=share, tally=Counter()):
        if not part.held_out:
            yield part.document


def _noted(found: Iterable[Reading], file: IO[str]) -> Iterator[Reading]:
    """Yield what was read, and write down what was lost or spoilt."""
    for reading in found:
        if reading.problem is not None:
            _write_line(file, asdict(reading.problem))
        yield reading


def _kept(found: Iterable[Reading], tally: Counter[str]) -> Iterator[Document]:
    """Yield the documents, and count what reading them met."""
    for reading in found:
        tally[BAD_UTF8] += reading.bad_utf8
        tally.update(f"cleaned {step}" for step in reading.changed)
        if reading.document is not None:
            yield reading.document
        else:
            tally[reading.lost.kind if reading.lost else str(reading.dropped)] += 1


def _batches(found: Iterable[Part]) -> Iterator[list[Part]]:
    batch: list[Part] = []
    characters = 0
    for part in found:
        batch.append(part)
        characters += len(part.document.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _encoded(
    batch: Sequence[Part], encode: Encoder, *, end_of_text: int
) -> Iterator[tuple[Part, Ids]]:
    encodings = encode.encode([part.document for part in batch])
    for part, ids in zip(batch, encodings, strict=True):
        yield part, np.append(np.asarray(ids, dtype=np.int64), end_of_text)


def _added(
    half: str, document: Document, ids: Ids, shards: Writer, *, masked: Sequence[Span] = ()
) -> Counter[str]:
    shards.add(ids, masked=masked)
    size = len(document.text.encode())
    counts = {f"{half}_documents": 1, f"{half}_tokens": len(ids), f"{half}_bytes": size}
    return Counter({**counts, "masked_tokens": sum(last - first for first, last in masked)})


def _origin(part: Part, tokens: int) -> dict[str, Any]:
    """Return where a training document comes from."""
    document = part.document
    values: dict[str, Any] = {
        "uid": document.uid,
        "path": document.path,
        "row": document.row,
        "tokens": tokens,
    }
    if document.origin_id is not None:
        values["id"] = document.origin_id
    if part.piece is not None and part.piece.begin:
        values["begin"] = part.piece.begin
    return values


def _write_examples(file: IO[str], piece: Piece, offsets: Sequence[Span], *, begin: int) -> None:
    """Note the examples that stand in a piece, and which tokens of the stream they are."""
    for ruling in piece.rulings:
        standing = ruling.standing
        touched = touched_tokens(offsets, standing.characters)
        values = {
            "benchmark": standing.benchmark,
            "index": standing.index,
            "score": standing.score,
            "answer_covered": standing.answer_covered,
            "document": standing.document,
            "action": ruling.action,
            "tokens": [[begin + first, begin + last] for first, last in touched],
        }
        _write_line(file, values)


def _write_line(file: IO[str], values: Mapping[str, Any]) -> None:
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _check_halves(source: Source, tally: Counter[str], *, share: float) -> None:
    train, heldout = tally["train_documents"], tally["heldout_documents"]
    if not train and not heldout:
        raise CorpusError(
            f"source '{source.name}' to hold text",
            got=_nothing(tally),
            fix="other files",
        )
    if not heldout:
        raise CorpusError(
            f"at least one held-out document of source '{source.name}'",
            got=f"none of {train:,} with validation.share = {share:g}",
            fix="a larger validation.share, or a source of more documents",
        )
    if not train:
        raise CorpusError(
            f"at least one training document of source '{source.name}'",
            got=f"all {heldout:,} held out with validation.share = {share:g}",
            fix="a smaller validation.share, or a source of more documents",
        )


def _nothing(tally: Counter[str]) -> str:
    """Return what became of the texts of a source that gave no document.

    >>> _nothing(Counter(empty=2, too_short=1))
    '2 empty documents, 1 too short'
    """
    names = {
        "empty": "empty documents",
        "too_short": "too short",
        "other_language": "in another language",
        "duplicates": "that stand elsewhere",
        DROPPED: "in which benchmarks stand",
    }
    told = [f"{tally[key]:,} {words}" for key, words in names.items() if tally[key]]
    return ", ".join(told) or "0 empty documents"


def _facts(
    source: Source,
    tally: Counter[str],
    encode: Encoder,
    *,
    selection: Selection,
    place: Path,
) -> SourceFacts:
    told: dict[str, Any] = {
        "source": source.name,
        "fast_documents": encode.fast_documents,
        "compared_documents": encode.compared_documents,
        "fast_faults": encode.fast_faults,
        "cleaned": {step: tally[f"cleaned {step}"] for step in source.clean},
        "without_tiktoken": encode.reason,
        "benchmarks": dict(selection.benchmarks),
        "files": {name: sha256_file(place / name) for name in FILES},
    }
    counted = {name: tally[name] for name in SourceFacts.model_fields if name not in told}
    return SourceFacts(**counted, **told)
