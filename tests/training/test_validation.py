import pytest

from growlm.training.step import batch_loss_sum
from growlm.training.validation import mixed_loss, validation_losses


def test_each_source_gets_the_mean_over_its_own_targets(fresh, batches):
    state = fresh()
    windows = {"docs": batches(1), "code": batches(2)}
    found = validation_losses(state.model, windows, micro_sequences=3)
    state.model.eval()
    for name, batch in windows.items():
        expected = float(batch_loss_sum(state.model, batch).detach()) / batch.targets
        assert found[name] == pytest.approx(expected, rel=1e-6)


def test_validation_hears_no_dropout_and_leaves_no_gradient(fresh, batches):
    state = fresh(dropout=0.5)
    once = validation_losses(state.model, {"docs": batches(1)}, micro_sequences=8)
    again = validation_losses(state.model, {"docs": batches(1)}, micro_sequences=8)
    assert once == again
    assert all(parameter.grad is None for parameter in state.model.parameters())


def test_the_mixed_loss_counts_only_weights_of_sources_that_were_scored():
    weights = {"docs": 3.0, "code": 1.0}
    assert mixed_loss({"docs": 2.0, "code": 4.0}, weights) == pytest.approx(2.5)
    assert mixed_loss({"docs": 2.0}, weights) == pytest.approx(2.0)
