"""Steps that are not taken: which they are, that they move nothing, and that a resume agrees."""

import json
import math

import pytest
import torch

from growlm.base.errors import TrainingError
from growlm.optim.schedule import Cosine
from growlm.training.loop import train
from growlm.training.spikes import SpikeRule, Watch
from growlm.training.step import Batch, StepSettings, train_step

SCHEDULE = Cosine(warmup_steps=0, steps=12, final_share=1.0)
STEP = StepSettings(micro_sequences=4, clip_norm=1.0, clip_value=None)
RULE = SpikeRule(size=4, deviations=6.0)
STEPS = 12


def told(watch: Watch, values):
    """Return what a watch says of losses, whose gradients have norm 1, from step 1 on."""
    return [
        watch.judge(step, loss=float(loss), norm=1.0) for step, loss in enumerate(values, start=1)
    ]


def test_a_loss_stands_out_beyond_six_standard_deviations_over_the_mean():
    latest = [1.0, 2.0, 3.0, 4.0]
    edge = 2.5 + 6 * math.sqrt(5 / 3)
    assert not RULE.stands_out(edge - 1e-9, latest)
    assert RULE.stands_out(edge + 1e-9, latest)
    assert not RULE.stands_out(-edge, latest), "a loss that falls is welcome"


@pytest.mark.parametrize(("size", "least"), [(4, 2), (9, 4), (128, 64)])
def test_nothing_stands_out_before_there_is_half_of_the_latest(size, least):
    rule = SpikeRule(size=size, deviations=1.0)
    assert not rule.stands_out(1e9, [float(each % 2) for each in range(least - 1)])
    assert rule.stands_out(1e9, [float(each % 2) for each in range(least)])


def test_a_gradient_stands_out_as_a_loss_does():
    watch = Watch(rule=RULE)
    norms = [1.0, 1.1, 0.9, 50.0, 1.0]
    found = [watch.judge(step, loss=2.0 - step, norm=norm) for step, norm in enumerate(norms, 1)]
    assert found == [None, None, None, "spike", None]


def test_without_a_rule_only_what_is_not_finite_is_not_taken_and_nothing_is_kept():
    watch = Watch()
    assert told(watch, [1, 1.1, math.nan, 1e9, math.inf]) == [
        *(None, None, "not finite", None, "not finite")
    ]
    assert watch.facts() == {"skipped": {"not finite": [3, 5]}}
    assert Watch().facts() == {}


def test_a_loss_that_rose_for_good_is_accepted_after_a_while():
    watch = Watch(rule=SpikeRule(size=8, deviations=3.0))
    found = told(watch, [1, 1.1, 0.9, 1, 1.1, 0.9, 1, 1.1, *[5, 5.1, 4.9] * 4])
    assert found[8] == "spike"
    assert found[-4:] == [None] * 4


def test_what_is_not_finite_is_not_compared_with():
    watch = Watch(rule=RULE)
    told(watch, [1, 2, math.nan, 3])
    assert watch.losses == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_third_step_in_a_row_that_is_not_finite_ends_it(bad):
    watch = Watch()
    told(watch, [1, bad, bad, 1, bad, bad])
    with pytest.raises(TrainingError) as caught:
        watch.judge(7, loss=1.0, norm=bad)
    assert str(caught.value) == (
        f"expected a finite loss and gradient; got loss 1, gradient norm {bad} at step 7, the "
        "third such step in a row. Try a lower peak_lr or a longer warm-up; earlier checkpoints "
        "are kept."
    )


def test_a_watch_that_was_recalled_goes_on_as_the_one_that_was_kept():
    losses = [1, 1.1, 0.9, math.nan, 40, 1, math.nan, 1.2]
    whole, first, second = Watch(rule=RULE), Watch(rule=RULE), Watch(rule=RULE)
    told(whole, losses)
    told(first, losses[:5])
    second.recall(first.facts())
    for step, loss in enumerate(losses[5:], start=6):
        second.judge(step, loss=float(loss), norm=1.0)
    assert second == whole
    assert whole.untrained == {4, 5, 7}


def test_weights_go_back_before_the_first_of_too_many_of_the_latest_steps_that_were_not_taken():
    watch = Watch(rule=SpikeRule(size=4, deviations=6.0, roll_back_after=2))
    found = []
    for step, loss in enumerate([1, math.nan, 1.3, 1.1, 0.9, math.nan, 1, 30], start=1):
        watch.judge(step, loss=float(loss), norm=1.0)
        found.append(watch.roll_back_before(step))
    assert found == [*[None] * 7, 6]
    assert Watch().roll_back_before(8) is None


def test_three_failures_in_a_row_end_nothing_where_the_weights_go_back():
    for after, ends in ((3, False), (4, True)):
        watch = Watch(rule=SpikeRule(size=8, deviations=6.0, roll_back_after=after))
        told(watch, [1, math.nan, math.nan])
        if ends:
            with pytest.raises(TrainingError):
                watch.judge(4, loss=math.nan, norm=1.0)
        else:
            assert watch.judge(4, loss=math.nan, norm=1.0) == "not finite"
            assert watch.roll_back_before(4) == 2


def test_a_watch_that_went_back_knows_what_was_undone_and_nothing_of_what_it_saw():
    watch, kept = Watch(rule=RULE), Watch(rule=RULE)
    told(kept, [1, math.nan, 1.1])
    told(watch, [1, math.nan, 1.1, 0.9, math.nan, 70])
    watch.roll_back(kept.facts(), first=4, last=6)
    assert watch.losses == [1.0, 1.1]
    assert watch.skipped == {"not finite": [2], "rolled back": [4, 5, 6]}
    assert watch.untrained == {2, 4, 5, 6}


def test_a_step_that_is_not_taken_leaves_weights_and_moments_bit_for_bit(fresh, batches):
    state = fresh()
    for number in range(2):
        train_step(state.model, state.optimizer, batches(number), STEP)
    before = bits(state)
    found = train_step(
        state.model, state.optimizer, batches(2), STEP, judge=lambda _loss, _norm: "spike"
    )
    assert found.skipped == "spike"
    assert float(found.gradient_norm) > 0
    assert bits(state) == before
    taken = train_step(state.model, state.optimizer, batches(2), STEP)
    assert (taken.skipped, taken.loss) == (None, found.loss)
    assert bits(state) != before


def bits(state):
    tensors = {**state.weights(), **state.optimizer_tensors()}
    return {name: tensor.detach().numpy().tobytes() for name, tensor in tensors.items()}


@pytest.fixture
def watched(fresh):
    """A function that returns a fresh state, for which the id 60 is no number, under a rule."""

    def make():
        state = fresh(tied=False)
        state.watch = Watch(rule=RULE)
        with torch.no_grad():
            state.model.embedding.weight[60] = torch.nan
        return state

    return make


def batch(cursor):
    """Return a batch of four ids; that of step 6 is no number, and step 10 reads other ids."""
    stream = torch.Generator().manual_seed(cursor)
    ids_BT = torch.randint(0, 4, (8, 9), generator=stream)
    step = cursor // 8 + 1
    if step == 6:
        ids_BT[3, 2] = 60
    return Batch(ids=ids_BT + (40 if step == 10 else 0), documents=None, counted=None)


def run(state, *, until=STEPS):
    records = []
    for record in train(state, batch, SCHEDULE, steps=STEPS, peak_lr=1e-2, settings=STEP):
        records.append(record)
        if record.step == until:
            break
    return records


def test_a_run_reads_on_past_steps_that_it_does_not_take(watched):
    state = watched()
    records = run(state)
    skipped = {record.step: record.skipped for record in records if record.skipped}
    assert skipped == {6: "not finite", 10: "spike"}
    assert state.watch.untrained == {6, 10}
    assert math.isnan(records[5].loss)
    assert records[9].loss > 1.0 + records[8].loss
    assert [record.tokens for record in records] == [64 * step for step in range(1, STEPS + 1)]
    assert state.cursor == 8 * STEPS


@pytest.mark.parametrize("until", [6, 9, 10])
def test_a_run_resumed_around_a_spike_ends_with_the_same_bits(watched, until):
    whole, first, second = watched(), watched(), watched()
    run(whole)
    run(first, until=until)
    copies = [
        {name: tensor.detach().clone() for name, tensor in tensors.items()}
        for tensors in (first.weights(), first.optimizer_tensors())
    ]
    second.load(*copies)
    second.watch.recall(json.loads(json.dumps(first.watch.facts())))
    second.step, second.cursor = first.step, first.cursor
    run(second)
    assert bits(second) == bits(whole)
    assert second.watch == whole.watch


def test_a_run_resumed_without_what_it_remembered_takes_the_spike(watched):
    first, second = watched(), watched()
    run(first, until=9)
    second.load(first.weights(), first.optimizer_tensors())
    second.step, second.cursor = first.step, first.cursor
    assert [record.skipped for record in run(second)] == [None] * 3
