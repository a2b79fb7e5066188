"""A folder's tokenizer: its JSON, the files beside it, and which token ends a text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from growlm.base.errors import CheckpointError
from growlm.base.files import storage
from growlm.corpus.tokenizer import Tokenizer, from_json, parsed
from growlm.huggingface.reading import CONFIG, Folder

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"

DECODER = "added_tokens_decoder"
"""The key of ``tokenizer_config.json`` under which added tokens are listed, by their id."""

CARRIED = (
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS,
    ADDED_TOKENS,
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
"""Files that tell how a tokenizer is used and where its texts end; they are kept byte by byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A folder's tokenizer and what lies beside it."""

    tokenizer: Tokenizer
    end_of_text: str
    """The token that closes a document."""
    files: Mapping[str, bytes]
    """The files that are carried along, by name."""


def read_tokens(folder: Folder, *, end_of_text: str | None) -> Tokens:
    """Return a folder's tokenizer and the files beside it.

    Args:
        folder: Where it lies.
        end_of_text: The token that closes a document; what the folder itself names when None.

    Raises:
        CheckpointError: There is none, it names no end of text, or has more ids than the model.
        CorpusError: It is no tokenizer, or lacks the end of text.
        StorageError: It cannot be read.
    """
    path = folder.path / TOKENIZER
    text = _text(path)
    files = _carried(folder.path)
    ending = end_of_text or _named(files).get("eos_token") or _numbered_end(folder, text)
    if ending is None:
        raise CheckpointError(
            "a folder that says which token ends a text",
            got=f"none in {TOKENIZER_CONFIG}, {SPECIAL_TOKENS} or {CONFIG}",
            fix=f'"eos_token" in {TOKENIZER_CONFIG}, or growlm import --end-of-text TOKEN',
        )
    tokenizer = from_json(text, end_of_text=ending, name=str(path))
    if tokenizer.vocab_size > folder.config.vocab_size:
        raise CheckpointError(
            f"a tokenizer of at most {folder.config.vocab_size:,} ids, the model's rows",
            got=f"{tokenizer.vocab_size:,}",
            fix="the tokenizer that the model was trained with",
        )
    return Tokens(tokenizer=tokenizer, end_of_text=ending, files=files)


def with_more(files: Mapping[str, bytes], *, before: str, after: str) -> dict[str, bytes]:
    """Return the files beside a tokenizer that has more special tokens now.

    A list of them in ``tokenizer_config.json`` has the last word with transformers: it would not
    know a token that ``tokenizer.json`` alone has. ``added_tokens.json`` is that list's older form.

    Args:
        files: The files, by name.
        before: The ``tokenizer.json`` that they lay beside.
        after: The one with more tokens.

    Raises:
        CheckpointError: One that lists tokens is not JSON.
    """
    known, every = (_added(each) for each in (before, after))
    more = {number: token for number, token in every.items() if number not in known}
    told = dict(files)
    if ADDED_TOKENS in files:
        listed = {token["content"]: number for number, token in more.items()}
        told[ADDED_TOKENS] = _written({**_object(ADDED_TOKENS, files[ADDED_TOKENS]), **listed})
    config = _object(TOKENIZER_CONFIG, files.get(TOKENIZER_CONFIG, b"{}"))
    if isinstance(config.get(DECODER), dict):
        listed = {str(number): token for number, token in more.items()}
        told[TOKENIZER_CONFIG] = _written({**config, DECODER: {**config[DECODER], **listed}})
    return told


def special_ids(tokenizer: Tokenizer, files: Mapping[str, bytes]) -> dict[str, int | None]:
    """Return the ids that a config should name, null for those that there are not.

    Left out, they would be what the family's own tokenizer had there.

    Args:
        tokenizer: Its end of text is the end of a sequence.
        files: The files beside it; their tokens for its beginning and for padding are looked up.
    """
    named = _named(files)
    return {
        "bos_token_id": tokenizer.backend.token_to_id(named.get("bos_token", "")),
        "eos_token_id": tokenizer.end_of_text,
        "pad_token_id": tokenizer.backend.token_to_id(named.get("pad_token", "")),
    }


def _text(path: Path) -> str:
    if not path.is_file():
        others = [name for name in CARRIED if (path.parent / name).is_file()]
        raise CheckpointError(
            f"{TOKENIZER} in {path.parent}",
            got=f"only {', '.join(others)}" if others else "none",
            fix="AutoTokenizer.from_pretrained(...).save_pretrained(...), which writes it",
        )
    with storage(path):
        content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{path} to be UTF-8", got=f"'{error}'", fix="the file as it was written"
        ) from error


def _carried(path: Path) -> dict[str, bytes]:
    with storage(path):
        return {name: (path / name).read_bytes() for name in CARRIED if (path / name).is_file()}


def _named(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the special tokens that the files beside a tokenizer name, by their part."""
    named: dict[str, str] = {}
    for name in (SPECIAL_TOKENS, TOKENIZER_CONFIG):  # the last one has the last word
        for part, value in _object(name, files.get(name, b"{}")).items():
            token = cast(dict[str, Any], value).get("content") if isinstance(value, dict) else value
            if part.endswith("_token") and isinstance(token, str):
                named[part] = token
    return named


def _added(text: str) -> dict[int, dict[str, Any]]:
    """Return the added tokens of a ``tokenizer.json``, by their id."""
    listed = cast(list[dict[str, Any]], json.loads(text).get("added_tokens") or [])
    return {each["id"]: {key: each[key] for key in each if key != "id"} for each in listed}


def _written(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def _object(name: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        value = str(error)
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{name} to hold a JSON object", got=f"'{value}'"[:60], fix="the file as it was written"
        )
    return cast(dict[str, Any], value)


def _numbered_end(folder: Folder, text: str) -> str | None:
    """Return the token whose id the model's config gives for the end, the first of several."""
    given: Any = folder.values.get("eos_token_id")
    several = cast(list[Any], given if isinstance(given, list) else [given])
    first = several[0] if several else None
    if not isinstance(first, int) or isinstance(first, bool):
        return None
    return parsed(text).id_to_token(first)
