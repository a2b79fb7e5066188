import pytest
import torch

from growlm.model.attention import Places
from growlm.model.flex import flex_mixed, flex_places

CPU = torch.device("cpu")
UNFUSED = "ignore:flex_attention called without torch.compile"


def test_a_mask_is_made_once_for_each_number_of_tokens(tiny_config):
    places = Places(tiny_config())
    places.kernel = "triton"
    first, second = (places(24, torch.float32)[0] for _ in range(2))
    assert first is second
    assert places(16, torch.float32)[0] is not first


def test_documents_have_a_mask_of_their_own_each_time(tiny_config):
    places = Places(tiny_config())
    places.kernel = "triton"
    documents = torch.tensor([[0, 0, 1, 1]])
    assert places(4, torch.float32, documents)[0] is not places(4, torch.float32, documents)[0]


def test_without_bias_or_documents_nothing_is_said_of_places(tiny_config):
    places = Places(tiny_config(positions="rotary"))
    places.kernel = "triton"
    assert places(4, torch.float32)[0] is None


@pytest.mark.filterwarnings(UNFUSED)
def test_grouped_heads_within_documents_are_what_a_matrix_makes_of_them():
    stream = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, 30, 8, generator=stream) for heads in (4, 2, 2))
    documents = torch.tensor([[0] * 12 + [1] * 18, [0] * 30])
    slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625])
    places = flex_places(slopes, 30, documents, kernel="triton", device=CPU)
    apart = torch.arange(30)[None, :] - torch.arange(30)[:, None]
    hidden = (apart > 0) | (documents[:, None, :, None] != documents[:, None, None, :])
    bias = (slopes[:, None, None] * apart).expand(2, 4, 30, 30).masked_fill(hidden, -torch.inf)
    wanted = torch.softmax(
        query @ key.repeat_interleave(2, 1).mT / 8**0.5 + bias, dim=-1
    ) @ value.repeat_interleave(2, 1)
    torch.testing.assert_close(flex_mixed(query, key, value, places), wanted)
