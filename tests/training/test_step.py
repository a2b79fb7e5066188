import pytest
import torch
from torch.nn import functional as F

from growlm.training.step import Batch, StepSettings, batch_loss_sum, train_step


def settings(micro_sequences=8, *, clip_norm=None, clip_value=None):
    return StepSettings(micro_sequences=micro_sequences, clip_norm=clip_norm, clip_value=clip_value)


def test_one_batch_is_its_micro_batches(fresh, batches):
    whole, parts = fresh(), fresh()
    first = train_step(whole.model, whole.optimizer, batches(0), settings(8))
    second = train_step(parts.model, parts.optimizer, batches(0), settings(2))
    torch.testing.assert_close(first.loss, second.loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(first.gradient_norm, second.gradient_norm, rtol=1e-5, atol=0)


@pytest.fixture
def masked(batches):
    """A batch whose every sequence is a document of five tokens, and the beginning of another."""
    return Batch(ids=batches(0).ids, documents=(torch.arange(8) >= 5).long().repeat(8, 1))


def test_a_masked_batch_is_its_micro_batches_too(fresh, masked):
    whole, parts = fresh(), fresh()
    first = train_step(whole.model, whole.optimizer, masked, settings(8))
    second = train_step(parts.model, parts.optimizer, masked, settings(3))
    torch.testing.assert_close(first.loss, second.loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(first.gradient_norm, second.gradient_norm, rtol=1e-5, atol=0)


def test_the_loss_of_a_masked_batch_is_that_of_its_documents(fresh, batches, masked):
    state, ids = fresh(), masked.ids
    apart = [Batch(ids=part, documents=None) for part in (ids[:, :6], ids[:, 5:])]
    expected = sum(batch_loss_sum(state.model, each) for each in apart)
    found = batch_loss_sum(state.model, masked)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert abs(found - batch_loss_sum(state.model, batches(0))) > 1e-3


def test_a_batch_keeps_its_documents_on_another_device(masked):
    moved = masked.to(torch.device("meta"))
    assert {moved.ids.device.type, moved.documents.device.type} == {"meta"}
    assert Batch(ids=masked.ids, documents=None).to(torch.device("meta")).documents is None


def test_the_loss_is_the_mean_over_all_targets(fresh, batches):
    state, batch = fresh(), batches(0)
    inputs, targets = batch.ids[:, :-1], batch.ids[:, 1:]
    plain = F.cross_entropy(state.model.logits(inputs).flatten(0, 1), targets.flatten())
    found = batch_loss_sum(state.model, batch) / batch.targets
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
