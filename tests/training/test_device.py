import os

import pytest
import torch

from growlm.base.errors import TrainingError
from growlm.model.flex import flex_places
from growlm.training.device import (
    CUBLAS_WORKSPACE,
    PARITY,
    check_kernel,
    choose_device,
    choose_kernel,
    describe,
    deterministic_algorithms,
    parity,
    why_not_compiled,
)


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert why_not_compiled(torch.device("cpu")) == "no C++ compiler was found"


def test_the_device_is_described_in_words():
    assert "torch" in describe(torch.device("cpu"))
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def on(tiny_config):
    def chosen(device, *, deterministic=False, **changes):
        config, place = tiny_config(**changes), torch.device(device)
        return choose_kernel(config, place, documents=False, deterministic=deterministic)

    return chosen


def test_a_cpu_never_mixes_by_flex_attention(on):
    assert on("cpu") == ("sdpa", "FlexAttention has no gradients on a CPU")


def test_a_gpu_uses_flex_attention_where_there_is_a_bias_and_no_dropout(monkeypatch, on):
    monkeypatch.setattr("growlm.training.device.find_spec", lambda _: None)
    assert on("cuda") == ("triton", "flash-attn-4 is not installed")
    assert on("cuda", positions="rotary")[0] == "sdpa"
    assert on("cuda", attention_dropout=0.1) == ("sdpa", "FlexAttention knows no dropout")


@pytest.mark.parametrize(("capability", "kernel"), [((9, 0), "triton"), ((10, 0), "flash")])
def test_flash_attention_is_not_taken_where_its_bits_may_differ(
    monkeypatch, on, capability, kernel
):
    monkeypatch.setattr("growlm.training.device.find_spec", lambda name: name)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    assert on("cuda")[0] == "flash"
    assert on("cuda", deterministic=True)[0] == kernel


@pytest.mark.parametrize("kernel", ["triton", "flash"])
def test_a_kernel_that_cannot_be_had_is_refused_with_the_reason(tiny_config, kernel):
    with pytest.raises(TrainingError) as told:
        check_kernel(kernel, tiny_config(), torch.device("cpu"))
    assert str(told.value) == (
        f"expected attention = '{kernel}' to be possible; got FlexAttention has no gradients on a "
        "CPU. Try attention = 'auto'."
    )
    check_kernel("sdpa", tiny_config(), torch.device("cpu"))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("changes", [{"heads": 12, "kv_heads": 12}, {"head_width": 96}])
def test_flex_attention_computes_what_a_bias_does(tiny_config, changes):
    config, cpu = tiny_config(**changes), torch.device("cpu")
    assert parity(config, "triton", cpu, torch.float32) < 1e-6


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_parity_would_notice_a_forgotten_bias(tiny_config, monkeypatch):
    monkeypatch.setattr(
        "growlm.model.attention.flex_places",
        lambda _slopes, *rest, **more: flex_places(None, *rest, **more),
    )
    assert parity(tiny_config(), "triton", torch.device("cpu"), torch.float32) > 0.1


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


@pytest.mark.gpu
@pytest.mark.compiled
@pytest.mark.parametrize(("heads", "head_width"), [(8, 64), (12, 128), (16, 96)])
def test_on_a_gpu_flex_attention_gives_what_fp64_does(tiny_config, heads, head_width):
    width = heads * head_width
    config = tiny_config(heads=heads, kv_heads=heads, width=width, head_width=head_width)
    error = parity(config, "triton", torch.device("cuda"), torch.bfloat16)
    assert error < PARITY
