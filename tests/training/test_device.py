import torch

from growlm.training.device import choose_device, describe, why_not_compiled


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert why_not_compiled(torch.device("cpu")) == "no C++ compiler was found"


def test_the_device_is_described_in_words():
    assert "torch" in describe(torch.device("cpu"))
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
