"""Links between a family's tensors and ours, one by one, so that models can be streamed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growlm.base.errors import CheckpointError
from growlm.model.config import GPTConfig
from growlm.model.families.family import Family
from growlm.model.gpt import weight_shapes
from growlm.model.spaces import split_name
from growlm.model.weights import VOCABULARY, Read, blocks

SHOWN = 3
"""Names that a message lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One of a family's tensors, and which of ours lie in it."""

    theirs: str
    ours: tuple[str, ...]
    shape: tuple[int, ...]
    """Theirs."""
    blocks: int
    """Rows are dealt out to ours in turn, this many times: once, or head by head."""
    transposed: bool
    padding: int
    """Rows of padding that ours has and theirs has not."""


def links(family: Family, config: GPTConfig) -> tuple[Link, ...]:
    """Return every tensor of a model in a family's layout, in the order of our weights."""
    shapes = weight_shapes(config)
    homes = {ours[0]: theirs for theirs, ours in family.modules.items()}
    return tuple(
        _link(family, config, shapes, name=name, theirs=homes[module])
        for name in shapes
        if (module := split_name(name)[1].rpartition(".")[0]) in homes
    )


def _link(
    family: Family,
    config: GPTConfig,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    name: str,
    theirs: str,
) -> Link:
    """Return the link that a weight of ours begins, given the module of theirs that holds it."""
    layer, inner = split_name(name)
    module, _, kind = inner.rpartition(".")
    ours = family.modules[theirs]
    names = tuple(name.replace(module, each) for each in ours)
    transposed = kind == "weight" and theirs.endswith(family.transposed)
    padding = config.padded_vocab_size - config.vocab_size if name in VOCABULARY else 0
    rows = sum(shapes[each][0] for each in names) - padding
    shape = (rows, *shapes[name][1:])
    return Link(
        theirs=f"{theirs.format(layer)}.{kind}",
        ours=names,
        shape=shape[::-1] if transposed else shape,
        blocks=config.heads if family.by_head and len(ours) > 1 else 1,
        transposed=transposed,
        padding=padding,
    )


def check_shape(link: Link, shape: tuple[int, ...]) -> None:
    """Refuse a tensor that has not the shape that the config gives it.

    Raises:
        CheckpointError: It has another.
    """
    if shape != link.shape:
        raise CheckpointError(
            f"'{link.theirs}' of shape {list(link.shape)}, as the config has it",
            got=f"{list(shape)}",
            fix="the config.json that belongs to the weights",
        )


def split(link: Link, theirs: Tensor) -> dict[str, Tensor]:
    """Return our tensors that lie in one of theirs, which may share its storage.

    Rows of padding are zero, and never scored.

    Raises:
        CheckpointError: It has another shape.
    """
    check_shape(link, tuple(theirs.shape))
    rows = theirs.T if link.transposed else theirs
    parts: Sequence[Tensor] = [rows]
    if len(link.ours) > 1:
        dealt = rows.reshape(link.blocks, len(link.ours), -1, *rows.shape[1:])
        parts = [part.flatten(0, 1) for part in dealt.unbind(1)]
    return {name: _padded(part, link.padding) for name, part in zip(link.ours, parts, strict=True)}


def joined(link: Link, ours: Read) -> Iterator[Tensor]:
    """Yield one of their tensors, made of ours, in pieces that follow each other; most have one."""
    (name, *others) = link.ours
    if name not in VOCABULARY:
        yield join(link, {each: ours(each) for each in (name, *others)})
        return
    for rows in blocks(link.shape[0]):  # without the padding
        yield ours(name, rows)


def join(link: Link, ours: Mapping[str, Tensor]) -> Tensor:
    """Return one of their tensors, made of ours, which may share their storage."""
    parts = [ours[name] for name in link.ours]
    rows = parts[0][: parts[0].shape[0] - link.padding]
    if len(parts) > 1:
        dealt = [part.reshape(link.blocks, -1, *part.shape[1:]) for part in parts]
        rows = torch.stack(dealt, dim=1).flatten(0, 2)
    rows = rows.T if link.transposed else rows
    return rows.contiguous()


def _padded(rows: Tensor, padding: int) -> Tensor:
    if not padding:
        return rows.contiguous()
    return torch.cat([rows, rows.new_zeros(padding, *rows.shape[1:])])


def to_ours(family: Family, config: GPTConfig, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our weights of a whole model in a family's layout; they share no storage with it."""
    return {
        name: tensor.clone()
        for link in links(family, config)
        for name, tensor in split(link, theirs[link.theirs]).items()
    }


def to_theirs(family: Family, config: GPTConfig, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a family's tensors of a whole model of ours; they share no storage with it."""
    return {link.theirs: join(link, ours).clone() for link in links(family, config)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A folder's tensors, by what they are."""

    links: tuple[tuple[Link, str], ...]
    """Each link, and the name under which its tensor stands there."""
    twin: str | None
    """The head's own tensor where it is tied and yet was written."""


def found(family: Family, config: GPTConfig, names: Collection[str]) -> Found:
    """Return which of the tensors that are there is which.

    A model that was saved without its head has names without the family's prefix.

    Raises:
        CheckpointError: One is missing, or there is one too many.
    """
    bare = not any(name.startswith(family.prefix) for name in names)
    wanted = {
        (link.theirs.removeprefix(family.prefix) if bare else link.theirs): link
        for link in links(family, config)
    }
    missing = [name for name in wanted if name not in names]
    extra = [name for name in names if name not in wanted and not name.endswith(family.buffers)]
    if missing:
        raise _missing(family, config, missing, extra)
    head = _head(family)
    if config.tied and head in extra:
        extra.remove(head)
    if extra:
        raise CheckpointError(
            f"tensors that {family.name} has and no other",
            got=f"{_listed(extra)} too",
            fix="a model of this family without parts of another",
        )
    return Found(
        links=tuple((link, name) for name, link in wanted.items()),
        twin=head if config.tied and head in names else None,
    )


def _head(family: Family) -> str:
    (module,) = (theirs for theirs, ours in family.modules.items() if ours == ("head",))
    return f"{module}.weight"


def _missing(
    family: Family, config: GPTConfig, missing: Sequence[str], extra: Sequence[str]
) -> CheckpointError:
    untied = not config.tied and missing == [_head(family)]
    reason = ", though tie_word_embeddings is false" if untied else ""
    return CheckpointError(
        f"every tensor of {family.name}",
        got=f"none called {_listed(missing)}{reason}" + f", but {_listed(extra)}" * bool(extra),
        fix="the layout that transformers' save_pretrained writes"
        if extra
        else "the whole folder, and the config.json that belongs to it",
    )


def _listed(names: Sequence[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names[:SHOWN])
    more = len(names) - SHOWN
    return f"{quoted} and {more} more" if more > 0 else quoted


def by_ours(every: Sequence[Link]) -> Iterator[tuple[str, Link]]:
    """Yield each of our weights with the link that gives it."""
    for link in every:
        for name in link.ours:
            yield name, link
