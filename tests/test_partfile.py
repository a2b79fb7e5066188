"""Parts of tensors, put together whatever they were cut by."""

import json

import pytest
import torch

from growlm.base.errors import CheckpointError
from growlm.partfile import FACT, FILE, Parts, is_part
from growlm.tensorfile import save_tensors

MATRIX = torch.arange(12.0).view(4, 3)
VECTOR = torch.arange(3.0)


@pytest.fixture
def parts(tmp_path):
    """A matrix in three parts, one of them without rows, a vector in two, and a scalar in one."""
    pieces = [
        {"weights.matrix": ([0, 0], MATRIX[:3]), "optimizer.step.matrix": ([], torch.tensor(7.0))},
        {"weights.matrix": ([3, 0], MATRIX[3:]), "weights.vector": ([2], VECTOR[2:])},
        {"weights.matrix": ([4, 0], MATRIX[4:]), "weights.vector": ([0], VECTOR[:2])},
    ]
    wholes = {"weights.matrix": [4, 3], "weights.vector": [3], "optimizer.step.matrix": []}
    paths = [tmp_path / FILE.format(rank=rank) for rank in range(3)]
    for path, held in zip(paths, pieces, strict=True):
        facts = {name: [begin, [*each.shape], wholes[name]] for name, (begin, each) in held.items()}
        tensors = {name: each for name, (_, each) in held.items()}
        save_tensors(path, tensors, facts={FACT: json.dumps(facts)})
    return paths


def test_tensors_of_a_kind_are_put_together_by_name(parts):
    weights = Parts(parts, "weights")
    assert sorted(weights) == ["matrix", "vector"]
    assert len(weights) == 2
    assert torch.equal(weights["matrix"], MATRIX)
    assert torch.equal(weights["vector"], VECTOR)
    assert "step.matrix" not in weights
    assert Parts(parts, "optimizer")["step.matrix"] == 7
    assert not Parts(parts, "ema")
    with pytest.raises(KeyError):
        weights["another"]


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 4), slice(3, 4), slice(1, None)])
def test_some_rows_are_read_alone(parts, rows):
    assert torch.equal(Parts(parts, "weights").rows("matrix", rows), MATRIX[rows])


def test_a_file_that_is_no_part_is_named(tmp_path):
    path = tmp_path / FILE.format(rank=0)
    save_tensors(path, {"weights.matrix": MATRIX})
    with pytest.raises(CheckpointError) as told:
        Parts([path], "weights")
    assert str(told.value) == (
        f"expected {path} to say what parts it holds; got nothing. Try another checkpoint."
    )
    assert is_part(path.name)
