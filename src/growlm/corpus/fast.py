"""The fast path: the ids of a byte-level BPE by tiktoken, where that gives the reference's."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from growlm.corpus.arrays import NDArray
from growlm.corpus.tokenizer import Tokenizer

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = GPT4.replace("{1,3}", "")

_BLANKS = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
r"""What ``\s`` matches in both libraries; Python's own also takes U+001C to U+001F."""

_NO_LINE_ENDS = _BLANKS.replace(r"\t-\r", r"\t\x0b\x0c")

SPLITS: Mapping[str, str] = {GPT2: _BLANKS, GPT4: _NO_LINE_ENDS, QWEN2: _NO_LINE_ENDS}
"""Splits into words that are known, each with the blanks that end a run before a word: it cuts
off the last blank of such a run."""

LOOKING_AHEAD = r"\s+(?!\S)|"
"""The part of a split that only a backtracking engine can match; cuts stand in for it."""

CUT = "\U0010f000"
"""Where a word ends; behind it in Unicode come the marks of added tokens."""
MOST_ADDED = 0xFF0
_MARKS = f"{CUT}-{chr(ord(CUT) + MOST_ADDED)}"
_MARKED = re.compile(f"[{_MARKS}]")

NO_ID = -1

_IMPOSSIBLE = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))
"""Bytes that no UTF-8 has; some tokenizers have no token for them."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FastEncoder:
    """Text to the reference's ids, one text at a time.

    Added tokens become marks, characters for private use that tiktoken is told to keep apart.
    The split is left without its look ahead, so that an engine without backtracking does it, and
    a mark cuts the text before the last blank of a run of blanks instead.
    """

    reference: Tokenizer = field(repr=False)

    encoding: Any = field(repr=False)
    """tiktoken's object."""

    ids: Ids = field(repr=False)
    """The reference's id for each of tiktoken's."""

    marks: frozenset[str] = field(repr=False)
    """The characters that tiktoken takes for marks."""

    cuts: re.Pattern[str] = field(repr=False)
    """A blank behind which the text is cut."""

    raw: "Added"
    """Tokens that are looked for in the text as it is."""

    normalized: "Added"
    """Tokens that are looked for in the normalised text."""

    def __call__(self, text: str) -> Sequence[int] | Ids:
        """Return the ids of a text, with no token added."""
        if not text.isascii() and _MARKED.search(text):
            return self.reference.encode([text])[0]
        text = self.normalized(self._composed(self.raw(text)))
        text = self.cuts.sub(rf"\g<0>{CUT}", text)
        found = self.encoding.encode_to_numpy(
            text, allowed_special=self.marks, disallowed_special=()
        )
        ids = self.ids[found]
        return ids[ids != NO_ID]

    def _composed(self, text: str) -> str:
        """Return a text normalised as the reference does; Python only says if there is need."""
        normalizer = self.reference.backend.normalizer
        if normalizer is None or unicodedata.is_normalized("NFC", text):
            return text
        return normalizer.normalize_str(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Tokens that are found in a text before it is split into words, the longest first."""

    pattern: re.Pattern[str] | None
    """None where none has a mark."""

    marks: Mapping[str, str]
    """What each becomes; special tokens, which are text here, stay."""

    def __call__(self, text: str) -> str:
        """Return a text with marks in place of the tokens."""
        if self.pattern is None:
            return text
        return self.pattern.sub(lambda match: self.marks[match[0]], text)


def fast_encoder(tokenizer: Tokenizer) -> FastEncoder | str:
    """Return the fast path of a tokenizer, or why there is none.

    tiktoken merges two neighbours that make a known token, the reference two that a merge names.
    That is the same if each token is made by one merge, of tokens made before, and the reference
    encodes the text of each token as that token: when its merge is due, its text stands as the two
    that the merge names, wherever nothing was merged across its ends. The split into words, the
    normaliser and the added tokens must be of kinds that are known.

    Args:
        tokenizer: The reference.
    """
    values = json.loads(tokenizer.backend.to_str())
    for reason in chain(_obstacles(values), _obstacles_of_added(values["added_tokens"])):
        return reason
    model = values["model"]
    tokens = [*alphabet(), *(left + right for left, right in model["merges"])]
    ids = [model["vocab"].get(token, NO_ID) for token in tokens]
    for reason in chain(_obstacles_of_merges(model), _unlike(tokens, ids, tokenizer)):
        return reason
    try:
        return _built(values, tokens, ids, tokenizer)
    except ImportError:
        return "tiktoken is not installed"


def alphabet() -> dict[str, int]:
    """Return the 256 bytes by the characters that stand for them in a ``tokenizer.json``.

    >>> alphabet()["a"], alphabet()["\u0120"]
    (97, 32)
    """
    shown = [byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" ")]
    others = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + n): b for n, b in enumerate(others)}


def _obstacles(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what keeps a ``tokenizer.json`` from the fast path, its tokens aside."""
    model, normalizer = values["model"], _only(values["normalizer"], "normalizers")
    if model["type"] != "BPE":
        yield f"the tokenizer's model is {model['type']}"
        return
    odd = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    yield from (f"the tokenizer has {name}" for name in (*odd, "byte_fallback") if model[name])
    if normalizer is not None and normalizer["type"] != "NFC":
        yield f"the tokenizer's normalizer is {normalizer['type']}"
    if _split(values["pre_tokenizer"]) not in SPLITS:
        yield "the tokenizer splits text into words in a way that is not known here"


def _obstacles_of_added(added: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    plain = [token for token in added if not token["special"]]
    for token in plain:
        if token["single_word"] or token["lstrip"] or token["rstrip"]:
            yield f"the tokenizer's added token '{token['content']}' looks at what is around it"
        if token["normalized"] and not unicodedata.is_normalized("NFC", token["content"]):
            yield f"the tokenizer's added token '{token['content']}' is not in NFC"
    if len(plain) > MOST_ADDED:
        yield f"the tokenizer has more than {MOST_ADDED:,} added tokens"


def _obstacles_of_merges(model: Mapping[str, Any]) -> Iterator[str]:
    made = alphabet().keys() & model["vocab"].keys()
    missing = {byte for shown, byte in alphabet().items() if shown not in made} - _IMPOSSIBLE
    yield from (f"the tokenizer lacks the byte {byte:#04x}" for byte in sorted(missing))
    for left, right in model["merges"]:
        if left not in made or right not in made:
            yield f"the tokenizer merges '{left}' and '{right}' before it makes them"
        if left + right in made:
            yield f"two of the tokenizer's merges make '{left + right}'"
        made.add(left + right)
    if model["ignore_merges"]:
        yield from (
            f"none of the tokenizer's merges makes '{token}'"
            for token in model["vocab"].keys() - made
        )


def _unlike(tokens: Sequence[str], ids: Sequence[int], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the tokens whose text the reference encodes as something else."""
    model = tokenizer.backend.model
    for token, number in zip(tokens, ids, strict=True):
        if number != NO_ID and [piece.id for piece in model.tokenize(token)] != [number]:
            yield f"the tokenizer's merges do not lead to '{token}'"


def _only(part: Mapping[str, Any] | None, inside: str) -> Mapping[str, Any] | None:
    """Return a part of a ``tokenizer.json``, out of a sequence that holds nothing else."""
    if part is not None and part["type"] == "Sequence" and len(part[inside]) <= 1:
        return next(iter(part[inside]), None)
    return part


def _split(part: Mapping[str, Any] | None) -> str | None:
    """Return how a pre-tokenizer splits text into words, where it does nothing else."""
    bytes_alone = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    part = _only(part, "pretokenizers")
    if part is None:
        return None
    if {**bytes_alone, "use_regex": True}.items() <= part.items():
        return GPT2
    match part.get("pretokenizers"):
        case [{"type": "Split", "behavior": "Isolated", "invert": False} as split, level] if (
            bytes_alone.items() <= level.items()
        ):
            return split["pattern"].get("Regex")
        case _:
            return None


def _built(
    values: Mapping[str, Any], tokens: Sequence[str], ids: Sequence[int], tokenizer: Tokenizer
) -> FastEncoder:
    import tiktoken

    letters, split, added = alphabet(), str(_split(values["pre_tokenizer"])), values["added_tokens"]
    plain = {token["content"]: token["id"] for token in added if not token["special"]}
    marks = {content: chr(ord(CUT) + 1 + place) for place, content in enumerate(plain)}
    apart = {mark: len(tokens) + place for place, mark in enumerate([CUT, *marks.values()])}
    raw, normalized = (
        _added([token["content"] for token in added if token["normalized"] is kind], marks)
        for kind in (False, True)
    )
    return FastEncoder(
        reference=tokenizer,
        encoding=tiktoken.Encoding(
            tokenizer.sha256,
            pat_str=split.replace(LOOKING_AHEAD, ""),
            mergeable_ranks={
                bytes(letters[letter] for letter in token): rank
                for rank, token in enumerate(tokens)
            },
            special_tokens=apart,
        ),
        ids=np.array([*ids, NO_ID, *plain.values()], dtype=np.int64),
        marks=frozenset(apart),
        cuts=re.compile(f"[{_BLANKS}](?=[{SPLITS[split]}][^{_BLANKS}{_MARKS}])"),
        raw=raw,
        normalized=normalized,
    )


def _added(contents: Sequence[str], marks: Mapping[str, str]) -> Added:
    if not marks.keys() & set(contents):
        return Added(pattern=None, marks={})
    longest_first = sorted(filter(None, contents), key=len, reverse=True)
    return Added(
        pattern=re.compile("|".join(map(re.escape, longest_first))),
        marks={content: marks.get(content, content) for content in longest_first},
    )
