import pytest
import torch
from torch.nn import functional as F

from growlm.training.step import StepSettings, batch_loss_sum, train_step


def settings(micro_sequences=8, *, clip_norm=None, clip_value=None):
    return StepSettings(micro_sequences=micro_sequences, clip_norm=clip_norm, clip_value=clip_value)


def test_one_batch_is_its_micro_batches(fresh, batches):
    whole, parts = fresh(), fresh()
    first = train_step(whole.model, whole.optimizer, batches(0), settings(8))
    second = train_step(parts.model, parts.optimizer, batches(0), settings(2))
    torch.testing.assert_close(first.loss, second.loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(first.gradient_norm, second.gradient_norm, rtol=1e-5, atol=0)


def test_the_loss_is_the_mean_over_all_targets(fresh, batches):
    state, ids = fresh(), batches(0)
    plain = F.cross_entropy(state.model.logits(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    found = batch_loss_sum(state.model, ids) / ids[:, 1:].numel()
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=0)


@pytest.mark.parametrize("limit", [1e-3, 1e3])
def test_the_norm_is_reported_before_clipping(fresh, batches, limit):
    state = fresh()
    free = train_step(fresh().model, fresh().optimizer, batches(0), settings())
    found = train_step(state.model, state.optimizer, batches(0), settings(clip_norm=limit))
    torch.testing.assert_close(found.gradient_norm, free.gradient_norm, rtol=1e-5, atol=0)


def test_clipping_changes_what_the_moments_hold(fresh, batches):
    free, clipped, valued = fresh(), fresh(), fresh()
    train_step(free.model, free.optimizer, batches(0), settings())
    train_step(clipped.model, clipped.optimizer, batches(0), settings(clip_norm=1e-3))
    train_step(valued.model, valued.optimizer, batches(0), settings(clip_value=1e-6))

    def moments(state):
        return [t for name, t in state.optimizer_tensors().items() if name.startswith("exp_avg.")]

    norm = torch.stack([moment.norm() for moment in moments(clipped)]).norm()
    torch.testing.assert_close(norm, torch.tensor(1e-4), rtol=1e-2, atol=0)
    assert max(float(moment.abs().max()) for moment in moments(valued)) <= 1.01e-7
    assert max(float(moment.abs().max()) for moment in moments(free)) > 1e-5
