"""Packing: requests with one beginning share a row, and rows make batches of a few lengths."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Int
from torch import Tensor

from growlm.evaluation.request import Request

ROW_TOKENS = 512
"""Tokens of a row with several requests, at most, unless one of them is more than half of it."""

SAVED_SHARE = 1 / 8
"""Share of a row's tokens that sharing must save: attention still looks at every pair."""

LENGTH_MULTIPLE = 16
"""Rows are padded to a multiple of this, so that batches have few lengths."""

MASK_PAIRS = 1 << 23
"""Pairs of tokens in a batch whose rows are shared, at most: each has a mask of its own."""

PADDING = -1
"""The branch of what only fills a row up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Requests that share their beginning, which is branch 0; their own inputs follow in turn."""

    members: tuple[int, ...]
    """The requests' numbers."""

    ids: tuple[int, ...]

    places: tuple[int, ...]
    """Where each token stands in its own request."""

    branches: tuple[int, ...]
    """Whose each token is: everybody's, or the first request's, which is 1, and so on."""

    columns: tuple[int, ...]
    """Where each target is predicted, request by request."""

    targets: tuple[int, ...]

    @property
    def shared(self) -> bool:
        """Whether there is more than one request in it."""
        return len(self.members) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one length, and what is to be predicted where."""

    ids: Int[Tensor, "B T"]
    places: Int[Tensor, "B T"]

    branches: Int[Tensor, "B T"] | None
    """Branch 0 is seen by all behind it, any other by itself alone; None where rows are plain."""

    rows: Int[Tensor, " N"]
    columns: Int[Tensor, " N"]
    targets: Int[Tensor, " N"]


def rows_of(requests: Sequence[Request], *, share: bool, limit: int) -> list[Row]:
    """Return the rows of requests, longest first and shared ones before all; ties by what they say.

    Requests share a row when they are asked of one context and the row saves enough tokens by it.
    Their order changes nothing.

    Args:
        requests: Any number.
        share: Whether rows may hold several.
        limit: Tokens of a shared row, at most.
    """
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        groups[request.context if share else (index,)].append(index)
    rows: list[Row] = []
    for members in groups.values():
        ranked = sorted(members, key=lambda index: _rank(requests[index]))
        rows += [row for part in _parts(ranked, requests, limit) for row in _rows(part, requests)]
    return sorted(rows, key=lambda row: (not row.shared, -len(row.ids), row.ids, row.targets))


def batches_of(
    rows: Sequence[Row], *, batch_tokens: int, longest: int | None
) -> Iterator[tuple[tuple[Row, ...], Batch]]:
    """Yield rows together with the batch they make.

    Args:
        rows: As ``rows_of`` returns them.
        batch_tokens: Tokens in a batch, padding included; a longer row goes alone.
        longest: Tokens a plain row may have with its padding, where there is a limit.
    """
    start = 0
    while start < len(rows):
        first = rows[start]
        length = -(-len(first.ids) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
        if longest is not None and not first.shared:
            length = max(min(length, longest), len(first.ids))
        most = max(1, batch_tokens // length)
        if first.shared:
            most = max(1, min(most, MASK_PAIRS // length**2))
        taken = tuple(
            takewhile(lambda row: row.shared == first.shared, rows[start : start + most])  # noqa: B023
        )
        yield taken, _batch(taken, length)
        start += len(taken)


def _rank(request: Request) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    return -len(request.inputs), request.inputs, request.targets


def _parts(ranked: Sequence[int], requests: Sequence[Request], limit: int) -> Iterator[list[int]]:
    """Yield the members of a group in parts, each of which fits a row."""
    part: list[int] = []
    tokens = 0
    for index in ranked:
        request = requests[index]
        own = len(request.inputs) - len(request.context)
        most = min(limit, max(ROW_TOKENS, 2 * len(requests[part[0]].inputs))) if part else 0
        if part and tokens + own > most:
            yield part
            part = []
        tokens = tokens + own if part else len(request.inputs)
        part.append(index)
    if part:
        yield part


def _rows(part: Sequence[int], requests: Sequence[Request]) -> list[Row]:
    """Return one row for all, or one for each where sharing would not pay."""
    inputs = [requests[index].inputs for index in part]
    common = _common(inputs) if len(part) > 1 else len(inputs[0])
    tokens = common + sum(len(each) - common for each in inputs)
    if len(part) > 1 and common * (len(part) - 1) < SAVED_SHARE * tokens:
        return [_row([index], requests, len(requests[index].inputs)) for index in part]
    return [_row(part, requests, common)]


def _common(inputs: Sequence[tuple[int, ...]]) -> int:
    """Return how many tokens all begin with."""
    return sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*inputs, strict=False)))


def _row(part: Sequence[int], requests: Sequence[Request], common: int) -> Row:
    ids, places = list(requests[part[0]].inputs[:common]), list(range(common))
    branches, columns, targets = [0] * common, list[int](), list[int]()
    for branch, request in enumerate((requests[index] for index in part), 1):
        end = len(request.inputs)
        shift = len(ids) - common
        first = end - len(request.targets)
        columns += [place if place < common else place + shift for place in range(first, end)]
        targets += request.targets
        ids += request.inputs[common:]
        places += range(common, end)
        branches += [branch] * (end - common)
    return Row(
        members=tuple(part),
        ids=tuple(ids),
        places=tuple(places),
        branches=tuple(branches),
        columns=tuple(columns),
        targets=tuple(targets),
    )


def _batch(rows: Sequence[Row], length: int) -> Batch:
    counts = torch.tensor([len(row.columns) for row in rows])
    return Batch(
        ids=_padded([row.ids for row in rows], length, 0),
        places=_padded([row.places for row in rows], length, 0),
        branches=(
            _padded([row.branches for row in rows], length, PADDING) if rows[0].shared else None
        ),
        rows=torch.arange(len(rows)).repeat_interleave(counts),
        columns=torch.tensor([column for row in rows for column in row.columns]),
        targets=torch.tensor([target for row in rows for target in row.targets]),
    )


def _padded(rows: Sequence[tuple[int, ...]], length: int, filling: int) -> Int[Tensor, "B T"]:
    return torch.tensor([[*row, *[filling] * (length - len(row))] for row in rows])
