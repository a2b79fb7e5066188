"""Held-out windows: as many as asked for, spread over everything that is held out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from growlm.corpus.shards import TokenStream
from growlm.pipeline.data import held_out_windows
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.open import recorded_plan

Windows = Callable[[int], dict[str, Tensor]]


@pytest.fixture
def folder(finished: Path) -> RunFolder:
    return RunFolder(path=finished / "run")


@pytest.fixture
def windows(folder: RunFolder) -> Windows:
    """Return a function: tokens per source -> the windows of the base."""
    stage = recorded_plan(folder).stage("base")
    device = torch.device("cpu")

    def found(tokens: int) -> dict[str, Tensor]:
        batches = held_out_windows(folder, stage, tokens=tokens, device=device)
        return {name: batch.ids for name, batch in batches.items()}

    return found


def places(folder: RunFolder, source: str, found: Tensor) -> list[int]:
    """Return where in a source's held-out tokens each window begins."""
    stream = TokenStream(folder.corpus / source / "validation")
    whole = stream.gather(np.array([0]), stream.tokens)[0].tolist()
    rows = found.tolist()
    starts = range(0, stream.tokens - len(rows[0]) + 1, len(rows[0]) - 1)
    return [next(at for at in starts if whole[at : at + len(row)] == row) for row in rows]


def test_few_windows_are_spread_over_all_that_is_held_out(
    folder: RunFolder, windows: Windows
) -> None:
    for source, found in windows(64).items():
        assert found.shape == (4, 17)
        starts = places(folder, source, found)
        end = TokenStream(folder.corpus / source / "validation").tokens
        gaps = np.diff([*starts, end])
        assert min(gaps) >= end / 4 - 2 * 16


def test_with_enough_tokens_every_window_is_there_once(folder: RunFolder, windows: Windows) -> None:
    for source, found in windows(10**6).items():
        end = TokenStream(folder.corpus / source / "validation").tokens
        assert found.shape[0] == (end - 1) // 16
        flat = torch.cat([found[:, :-1].flatten(), found[-1:, -1]])
        stream = TokenStream(folder.corpus / source / "validation")
        whole = torch.from_numpy(stream.gather(np.array([0]), len(flat)))[0]
        assert torch.equal(flat, whole)
