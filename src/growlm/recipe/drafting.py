"""Drafts: a whole recipe with comments, from a size, some files and a number of tokens."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePath
from typing import NamedTuple

from growlm.base.errors import RecipeError, StorageError, nearest
from growlm.base.files import write_text
from growlm.base.units import format_count, parse_count
from growlm.recipe.read import parse

TOKENS_PER_PARAMETER = 20
"""About what Chinchilla trains on (arXiv:2203.15556, Table 3)."""

LEAST_WARMUPS = 10
"""The warm-up goes into a stage at least so often."""

PARENT_SHARE = 0.75
"""Share of all tokens that a base is trained on before it is grown."""

SEQUENCES = 8
"""A batch is a multiple of so many sequences, so that it can be shared out."""

BUILTIN = "builtin"
"""The word for the text that every Python carries."""


class Size(NamedTuple):
    """A size with what goes well with it."""

    layers: int
    heads: int
    width: int
    context: int
    vocab_size: int
    batch: int
    """Tokens a step, about."""
    peak_lr: float
    warmup_steps: int


# layers, heads, width, context, vocab_size, batch, peak_lr, warmup_steps
SIZES: Mapping[str, Size] = {
    "1M": Size(6, 4, 96, 128, 1_024, 4_096, 2.5e-3, 20),
    "12M": Size(6, 6, 384, 512, 4_096, 32_768, 1e-3, 200),
    "124M": Size(12, 12, 768, 1_024, 50_257, 500_000, 6e-4, 500),
    "350M": Size(24, 16, 1_024, 1_024, 50_257, 500_000, 3e-4, 1_000),
    "760M": Size(24, 16, 1_536, 1_024, 50_257, 500_000, 2.5e-4, 1_000),
}
"""Sizes by their rough parameters; batches and rates from 124M on are GPT-3's (arXiv:2005.14165,
Table 2.1), those below are the demo's kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a recipe is drafted from."""

    name: str
    size: str
    """One of SIZES: of the model at the end."""
    sources: tuple[str, ...]
    """Files, folders, globs and addresses; or ``builtin``."""
    tokens: int | None
    """Of all stages but the control; so many to a parameter when None."""
    context: int | None
    """In tokens; what goes well with the size when None."""
    grown: bool
    """Whether a base of half the layers is trained first and grown."""
    control: bool
    """Whether the grown shape is trained from scratch too, with the same compute."""


def text_of(draft: Draft) -> str:
    """Return a draft's recipe, as TOML with comments.

    Raises:
        RecipeError: There is no such size, no source, nothing to compare with, or too little to
            train on.
    """
    size = _checked(draft)
    parts = [
        _head(draft, size),
        *_sources(draft.sources),
        _validation(draft),
        *_stages(draft, size),
    ]
    return "\n".join([*parts, _tail(draft)])


def check_absent(path: Path) -> None:
    """Refuse to write over a file.

    Raises:
        StorageError: Something is there.
    """
    if path.exists():
        raise StorageError(f"no file at {path} yet", got="one", fix="another name for the recipe")


def write(path: Path, draft: Draft) -> None:
    """Write a draft's recipe to a file that is not there yet; relative sources stay where they are.

    Args:
        path: The recipe's file.
        draft: What it is drafted from; its sources as they are seen from here.

    Raises:
        StorageError: Something is there, or the disk refused.
        RecipeError: It cannot be drafted.
    """
    check_absent(path)
    sources = tuple(_seen_from(path.parent, each) for each in draft.sources)
    text = text_of(replace(draft, sources=sources))
    parse(text.encode(), name=str(path))
    write_text(path, text)


def _seen_from(folder: Path, source: str) -> str:
    """Return a path as a recipe in a folder must write it; addresses stay."""
    if source == BUILTIN or "://" in source or Path(source).is_absolute():
        return source
    return os.path.relpath(source, folder)


def _checked(draft: Draft) -> Size:
    if draft.size not in SIZES:
        fix = nearest(draft.size, SIZES)
        raise RecipeError(f"--size to be one of {', '.join(SIZES)}", got=draft.size, fix=fix)
    if not draft.sources:
        raise RecipeError("a source of text", got="none", fix=f"--source FILE, or {BUILTIN}")
    if draft.control and not draft.grown:
        raise RecipeError(
            "--control beside a grown stage", got="--alone", fix="leaving one of the two out"
        )
    return SIZES[draft.size]


def _head(draft: Draft, size: Size) -> str:
    return f"""\
# About {draft.size} parameters at the end. growlm check says what it will do and cost, growlm plan
# whether it fits a device, growlm run carries it out. Editors complete it by the schema that growlm
# schema prints.
name = {_quoted(draft.name)}
seed = 1
# Compiling pays off where training takes more than a few minutes.
compile = {str(size.width > 128).lower()}

# Trained on these sources; file = "tokenizer.json" takes one along instead.
[tokenizer]
vocab_size = {size.vocab_size}
"""


def _sources(sources: tuple[str, ...]) -> Iterator[str]:
    yield "# Weights say how the sources are mixed; they need not add up to 1."
    taken: set[str] = set()
    for source in sources:
        if source == BUILTIN:
            for kind in ("docs", "code"):
                yield f'[[source]]\nname = "{kind}"\nbuiltin = "{kind}"\nweight = 1.0\n'
            continue
        name = _name(source, taken)
        yield f'[[source]]\nname = "{name}"\nfiles = [{_quoted(source)}]\nweight = 1.0\n'


def _name(source: str, taken: set[str]) -> str:
    """Return the source's name: the last part of its path that is no pattern, and each once."""
    words = [part.split(".")[0].lower() for part in PurePath(source).parts if "*" not in part]
    plain = [re.sub("[^a-z0-9]", "", word) for word in words]
    first = next((each for each in reversed(plain) if each[:1].isalpha()), "text")
    names = (first if number == 1 else f"{first}{number}" for number in count(1))
    name = next(each for each in names if each not in taken)
    taken.add(name)
    return name


def _validation(draft: Draft) -> str:
    share = 0.03 if SIZES[draft.size].width < 768 else 0.005
    return f"""\
# A share of the documents that no stage trains on: validation and scores are of these.
[validation]
share = {share}
"""


def _stages(draft: Draft, size: Size) -> Iterator[str]:
    tokens = _budget(draft)
    if not draft.grown:
        yield _stage(draft, size, "model", [_shape(size, size.layers), _tokens(tokens)])
        return
    first = _first(draft)
    yield (
        "# Half the layers first, for most of the tokens: growing late saved the most in growlm's\n"
        "# studies, which are small. The rate stays up, for the child to begin at."
    )
    yield _stage(draft, size, "base", [_shape(size, size.layers // 2), _tokens(first)])
    yield (
        "# The rate falls in all of the child's tokens, without a new warm-up. growlm advise\n"
        "# says of a trained parent whether growing it pays off, and how."
    )
    grow = f'grow = {{ from = "base", layers = {size.layers}, depth = "insert" }}'
    yield _stage(draft, size, "grown", [grow, _tokens(tokens - first)])
    if draft.control:
        yield "# The same shape from scratch, with the compute of both: what growing must beat."
        yield _stage(draft, size, "scratch", ['control = { of = "grown" }'])


def _budget(draft: Draft) -> int:
    return draft.tokens or parse_count(draft.size) * TOKENS_PER_PARAMETER


def _first(draft: Draft) -> int:
    """Return the tokens of the first stage."""
    whole = _budget(draft)
    return round(PARENT_SHARE * whole) if draft.grown else whole


def _shape(size: Size, layers: int) -> str:
    return f"model = {{ layers = {layers}, heads = {size.heads}, width = {size.width} }}"


def _tokens(tokens: int) -> str:
    return f'tokens = "{format_count(tokens)}"'


def _stage(draft: Draft, size: Size, name: str, own: list[str]) -> str:
    context = draft.context or size.context
    least = SEQUENCES * context
    batch = max(1, round(size.batch / least)) * least
    warmup = min(size.warmup_steps, _first(draft) // batch // LEAST_WARMUPS)
    schedule = {
        "base": f'kind = "constant", warmup_steps = {warmup}',
        "grown": 'kind = "warmup-stable-decay", warmup_steps = 0, decay_share = 1.0',
    }.get(name, f'kind = "warmup-stable-decay", warmup_steps = {warmup}')
    lines = [
        "[[stage]]",
        f'name = "{name}"',
        *own,
        f"context = {context}",
        f"batch = {batch}",
        f"optimizer = {{ peak_lr = {size.peak_lr}, clip_norm = 1.0 }}",
        f"schedule = {{ {schedule} }}",
    ]
    return "\n".join(lines) + "\n"


def _tail(draft: Draft) -> str:
    return f"""\
# Bits per byte on held-out documents, at the training context and beyond.
[evaluate]
documents = 100

[log]
title = {_quoted(f"{draft.name}: training log")}
"""


def _quoted(text: str) -> str:
    """Return text as TOML's basic string, whose escapes JSON's are."""
    return json.dumps(text, ensure_ascii=False)
