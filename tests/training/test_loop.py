from dataclasses import replace

import pytest
import torch

from growlm.base.errors import TrainingError
from growlm.optim.schedule import Cosine
from growlm.training.loop import Faster, train
from growlm.training.state import TrainState, random_tensors, restore_random, seed_dropout
from growlm.training.step import StepSettings

SCHEDULE = Cosine(warmup_steps=2, steps=8, final_share=0.1)
STEP = StepSettings(micro_sequences=4, clip_norm=1.0, clip_value=None)


def run(state, batches, *, until, peak_lr=1e-2):
    records = []
    for record in train(state, batches, SCHEDULE, steps=8, peak_lr=peak_lr, settings=STEP):
        records.append(record)
        if record.step == until:
            break
    return records


def test_a_resumed_run_ends_with_the_same_bits(fresh, batches):
    seed_dropout(1, "base")
    whole = fresh(dropout=0.1)
    run(whole, batches, until=8)

    seed_dropout(1, "base")
    first = fresh(dropout=0.1)
    run(first, batches, until=3)
    weights = {name: tensor.detach().clone() for name, tensor in first.weights().items()}
    moments = {name: tensor.clone() for name, tensor in first.optimizer_tensors().items()}
    states = {name: tensor.clone() for name, tensor in random_tensors().items()}

    torch.rand(7)  # whatever happens between the two processes
    second = fresh(dropout=0.1)
    second.load(weights, moments)
    restore_random(states)
    second.step, second.cursor = first.step, first.cursor
    run(second, batches, until=8)
    for name, tensor in whole.weights().items():
        assert torch.equal(tensor, second.weights()[name]), name


def test_a_run_resumed_without_its_moments_ends_elsewhere(fresh, batches):
    whole, second = fresh(), fresh()
    run(whole, batches, until=8)
    first = fresh()
    run(first, batches, until=3)
    second.load({name: tensor.detach().clone() for name, tensor in first.weights().items()}, {})
    second.step, second.cursor = first.step, first.cursor
    run(second, batches, until=8)
    assert any(
        not torch.equal(tensor, second.weights()[name]) for name, tensor in whole.weights().items()
    )


def test_records_count_steps_tokens_and_follow_the_schedule(fresh, batches):
    state = fresh()
    records = run(state, batches, until=8)
    assert [record.step for record in records] == list(range(1, 9))
    assert [record.tokens for record in records] == [64 * step for step in range(1, 9)]
    assert [record.lr for record in records] == [1e-2 * SCHEDULE(step) for step in range(8)]
    assert state.cursor == 64


def test_tokens_are_those_that_were_served_whether_they_count_or_not(fresh, batches):
    def half(cursor):
        counted = (torch.arange(8) < 4).repeat(8, 1) & (cursor != 16)
        return replace(batches(cursor), counted=counted)

    records = run(fresh(), half, until=4)
    assert [record.tokens for record in records] == [64, 128, 192, 256]
    assert [record.loss == 0.0 for record in records] == [False, False, True, False]
    assert records[2].gradient_norm == 0.0


def test_a_finished_stage_takes_no_more_steps(fresh, batches):
    state = fresh()
    state.step = 8
    assert run(state, batches, until=8) == []


def test_losses_that_are_no_numbers_three_times_in_a_row_stop_the_run(fresh, batches):
    state: TrainState = fresh()
    with torch.no_grad():
        state.model.embedding.weight.fill_(torch.nan)
    before = {name: tensor.clone() for name, tensor in state.optimizer_tensors().items()}
    records = []
    with pytest.raises(TrainingError, match=r"got loss nan, .* at step 3, the third such step in"):
        records += run(state, batches, until=8)
    assert state.watch.skipped == {"not finite": [1, 2, 3]}
    assert state.optimizer_tensors().keys() == before.keys() == set()


def test_what_learns_faster_follows_its_own_factor_step_by_step(fresh, batches):
    seen = []

    def factor(step):
        seen.append(step)
        return 1.0 if step else 2.0

    plain, other = fresh(), fresh()
    parameter = other.weights()["layers.0.mlp.up.weight"]
    before = parameter.detach().clone()
    meant = torch.zeros(parameter.shape[0], 1, dtype=torch.bool)
    meant[0] = True
    faster = Faster(entries=[(parameter, meant)], factor=factor)
    run(plain, batches, until=1)
    records = train(other, batches, SCHEDULE, steps=8, peak_lr=1e-2, settings=STEP, faster=faster)
    next(records)
    moved = plain.weights()["layers.0.mlp.up.weight"] - before
    torch.testing.assert_close(parameter[0] - before[0], 2 * moved[0], rtol=1e-3, atol=1e-7)
    assert torch.equal(parameter[1:], plain.weights()["layers.0.mlp.up.weight"][1:])
    for name, tensor in plain.weights().items():
        assert name == "layers.0.mlp.up.weight" or torch.equal(tensor, other.weights()[name])
    next(records)
    assert seen == [0, 1]
