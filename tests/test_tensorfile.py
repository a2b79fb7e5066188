"""Files of tensors: ours against the library's, and the damaged ones."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors.torch import load, load_file, save_file

from growlm.base.errors import CheckpointError, StorageError
from growlm.tensorfile import entries, load_tensor, load_tensors, save_tensors, stream_tensors

SHAPES = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    max_size=4,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    save_tensors(path, {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4).bfloat16()})
    return path


@given(shapes=SHAPES)
@settings(deadline=None, max_examples=50)
def test_what_is_streamed_is_what_the_library_reads(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[int, ...]]
) -> None:
    path = tmp_path_factory.mktemp("streamed") / "some.safetensors"
    tensors = {
        name: torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        for seed, (name, shape) in enumerate(shapes.items())
    }
    digest = stream_tensors(path, shapes, lambda name: [tensors[name]])
    assert digest == sha256(path.read_bytes()).hexdigest()
    found = load(path.read_bytes())
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_a_streamed_tensor_is_asked_for_once_and_widened(tmp_path: Path) -> None:
    asked: list[str] = []

    def pieces_of(name: str) -> Iterator[torch.Tensor]:
        asked.append(name)
        yield torch.full((2, 2), 0.1, dtype=torch.bfloat16)

    path = tmp_path / "some.safetensors"
    stream_tensors(path, {"b": (2, 2), "a": (2, 2)}, pieces_of)
    assert asked == ["b", "a"]
    found = load_file(path)
    assert {each.dtype for each in found.values()} == {torch.float32}
    assert torch.equal(found["a"], next(pieces_of("a")).float())


def test_the_data_of_a_streamed_file_is_aligned(tmp_path: Path) -> None:
    for length in range(9):
        path = tmp_path / "some.safetensors"
        stream_tensors(path, {"n" * (length + 1): (1,)}, lambda _: [torch.ones(1)])
        assert (path.stat().st_size - 4) % 8 == 0


def test_a_transposed_tensor_is_streamed_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    tensor = torch.arange(6.0).reshape(2, 3).T
    stream_tensors(path, {"a": (3, 2)}, lambda _: [tensor])
    assert torch.equal(load_file(path)["a"], tensor)


def test_pieces_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    tensor = torch.arange(12.0).reshape(6, 2)
    stream_tensors(path, {"a": (6, 2)}, lambda _: iter(tensor.split([1, 3, 0, 2])))
    assert torch.equal(load_file(path)["a"], tensor)


def test_pieces_that_are_not_the_shape_are_refused(tmp_path: Path) -> None:
    for wrong in ([torch.ones(1, 2)], [torch.ones(3, 2)]):
        with pytest.raises(ValueError, match=r"a was to have the shape \(2, 2\); its pieces"):
            stream_tensors(tmp_path / "some", {"a": (2, 2)}, {"a": wrong}.__getitem__)


def test_rows_of_a_tensor_are_read_alone(file: Path) -> None:
    assert torch.equal(load_tensor(file, "a", slice(1, 2)), torch.tensor([[3.0, 4.0, 5.0]]))
    assert load_tensor(file, "a", slice(2, 2)).shape == (0, 3)


def test_saved_tensors_come_back(file: Path) -> None:
    found = load_tensors(file)
    assert torch.equal(found["a"], torch.arange(6.0).reshape(2, 3))
    assert found["b"].dtype == torch.bfloat16
    assert torch.equal(load_tensor(file, "b"), found["b"])


def test_a_file_says_types_and_shapes_without_being_read(file: Path) -> None:
    assert {name: (each.dtype, each.shape) for name, each in entries(file).items()} == {
        "a": ("F32", (2, 3)),
        "b": ("BF16", (4,)),
    }


@pytest.mark.parametrize("keep", [0, 7, 30, -1])
def test_a_file_that_was_cut_short_is_refused(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    for read in (load_tensors, entries, lambda path: load_tensor(path, "a")):
        with pytest.raises(CheckpointError, match=r"whole safetensors file; got '.+'\. Try anoth"):
            read(file)


def test_a_tensor_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"whole safetensors file; got '.*tensor c"):
        load_tensor(file, "c")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a file that is there"):
        load_tensors(tmp_path / "none")
    with pytest.raises(StorageError, match="a file that is there"):
        entries(tmp_path / "none")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for write in (
        lambda path: save_tensors(path, {"a": torch.ones(1)}),
        lambda path: stream_tensors(path, {"a": (1,)}, lambda _: [torch.ones(1)]),
    ):
        with pytest.raises(StorageError, match="a file that is there"):
            write(tmp_path / "none" / "file")


def test_the_two_writers_agree(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0))}
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    stream_tensors(tmp_path / "ours", {"a": (3, 4)}, lambda name: [tensors[name]])
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
