import pytest
import torch

from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.training.state import TrainState
from growlm.training.step import Batch

SETTINGS = AdamWSettings(peak_lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


@pytest.fixture
def fresh(tiny_config):
    """A function that returns the same fresh state whenever it is called."""

    def make(**changes):
        model = GPT(tiny_config(**changes))
        initialize(model, torch.Generator().manual_seed(1))
        return TrainState(model=model, optimizer=adamw(model, SETTINGS), step=0, cursor=0)

    return make


@pytest.fixture
def batches():
    """Batches of eight sequences, a pure function of the cursor."""

    def batch(cursor):
        stream = torch.Generator().manual_seed(cursor)
        ids_BT = torch.randint(0, 60, (8, 9), generator=stream)
        return Batch(ids=ids_BT, documents=None, counted=None)

    return batch
