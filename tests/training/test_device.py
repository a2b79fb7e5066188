import os

import pytest
import torch

from growlm.training.device import (
    CUBLAS_WORKSPACE,
    choose_device,
    describe,
    deterministic_algorithms,
    why_not_compiled,
)


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert why_not_compiled(torch.device("cpu")) == "no C++ compiler was found"


def test_the_device_is_described_in_words():
    assert "torch" in describe(torch.device("cpu"))
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def loose():
    """Let torch choose its algorithms, as it does where no test runs."""
    torch.use_deterministic_algorithms(mode=False)
    yield
    torch.use_deterministic_algorithms(mode=True)


@pytest.mark.usefixtures("loose")
def test_torch_is_held_to_deterministic_algorithms_where_that_is_asked_for(monkeypatch):
    monkeypatch.delenv(CUBLAS_WORKSPACE, raising=False)
    with deterministic_algorithms(asked=False):
        assert not torch.are_deterministic_algorithms_enabled()
        assert CUBLAS_WORKSPACE not in os.environ
    monkeypatch.setenv(CUBLAS_WORKSPACE, ":16:8")
    for setting in (":16:8", ":4096:8"):
        with deterministic_algorithms(asked=True):
            assert torch.are_deterministic_algorithms_enabled()
            assert os.environ[CUBLAS_WORKSPACE] == setting
        assert not torch.are_deterministic_algorithms_enabled()
        monkeypatch.delenv(CUBLAS_WORKSPACE)
