import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from growlm.training.device import compile_layers, deterministic_algorithms
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
    return replace(batches(0), documents=(torch.arange(8) >= 5).long().repeat(8, 1))


def test_a_masked_batch_is_its_micro_batches_too(fresh, masked):
    whole, parts = fresh(), fresh()
    first = train_step(whole.model, whole.optimizer, masked, settings(8))
    second = train_step(parts.model, parts.optimizer, masked, settings(3))
    torch.testing.assert_close(first.loss, second.loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(first.gradient_norm, second.gradient_norm, rtol=1e-5, atol=0)


def test_the_loss_of_a_masked_batch_is_that_of_its_documents(fresh, batches, masked):
    state, ids = fresh(), masked.ids
    apart = [Batch(ids=part, documents=None, counted=None) for part in (ids[:, :6], ids[:, 5:])]
    expected = sum(batch_loss_sum(state.model, each) for each in apart)
    found = batch_loss_sum(state.model, masked)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert abs(found - batch_loss_sum(state.model, batches(0))) > 1e-3


def test_a_batch_keeps_all_that_it_has_on_another_device(masked):
    moved = replace(masked, counted=masked.documents == 0).to(torch.device("meta"))
    assert {each.device.type for each in (moved.ids, moved.documents, moved.counted)} == {"meta"}
    bare = replace(masked, documents=None).to(torch.device("meta"))
    assert (bare.documents, bare.counted) == (None, None)


def test_the_loss_is_the_mean_over_all_targets(fresh, batches):
    state, batch = fresh(), batches(0)
    inputs, targets = batch.ids[:, :-1], batch.ids[:, 1:]
    plain = F.cross_entropy(state.model.logits(inputs).flatten(0, 1), targets.flatten())
    found = batch_loss_sum(state.model, batch) / batch.targets
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=0)


def test_a_z_loss_moves_weights_and_no_loss_tells_of_it(fresh, batches):
    plain, costly = fresh(), fresh()
    told = [
        train_step(each.model, each.optimizer, batches(0), chosen)
        for each, chosen in (
            (plain, settings(3)),
            (costly, replace(settings(3), z_loss=0.1)),
        )
    ]
    assert told[0].loss == told[1].loss
    assert told[0].gradient_norm != told[1].gradient_norm
    name = "layers.0.mlp.up.weight"
    assert not torch.equal(plain.weights()[name], costly.weights()[name])


def test_the_gradient_of_a_z_loss_is_the_mean_over_all_counted_targets(fresh, uneven):
    model = fresh().model.double()
    logits_NV = model.logits(uneven.ids[:, :-1]).flatten(0, 1)
    losses_N = F.cross_entropy(logits_NV, uneven.ids[:, 1:].flatten(), reduction="none")
    costs_N = losses_N + 0.1 * logits_NV.logsumexp(-1).square()
    costs_N[uneven.counted.flatten()].mean().backward()
    gradients = {name: each.grad.clone() for name, each in model.named_parameters()}
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train_step(model, optimizer, uneven, replace(settings(128), z_loss=0.1))
    for name, each in model.named_parameters():
        found = before[name] - each.detach()
        torch.testing.assert_close(found, gradients[name], rtol=0, atol=1e-12, msg=name)


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


def test_a_batch_whose_targets_all_count_is_one_without_counting_to_the_last_bit(fresh, batches):
    plain, all_count = fresh(), fresh()
    counted = torch.ones(8, 8, dtype=torch.bool)
    for number in range(3):
        batch = batches(number)
        first = train_step(plain.model, plain.optimizer, batch, settings(3))
        told = replace(batch, counted=counted)
        second = train_step(all_count.model, all_count.optimizer, told, settings(3))
        assert (first.loss, first.gradient_norm) == (second.loss, second.gradient_norm)
    for name, tensor in plain.weights().items():
        assert torch.equal(tensor, all_count.weights()[name]), name


@pytest.fixture
def uneven():
    """A batch of more targets than a chunk of the loss holds, few of which count; in seven none."""
    stream = torch.Generator().manual_seed(5)
    shares = torch.linspace(0, 0.9, 300)[:, None]
    counted = torch.rand(300, 8, generator=stream) < shares
    counted[7:14] = False
    ids = torch.randint(0, 60, (300, 9), generator=stream)
    return Batch(ids=ids, documents=None, counted=counted)


@pytest.mark.parametrize("micro_sequences", [300, 128, 7])
def test_gradients_are_those_of_a_cross_entropy_weighted_by_hand(fresh, uneven, micro_sequences):
    model = fresh().model.double()
    losses_N = F.cross_entropy(
        model.logits(uneven.ids[:, :-1]).flatten(0, 1),
        uneven.ids[:, 1:].flatten(),
        reduction="none",
    )
    weights_N = uneven.counted.flatten().double()
    expected = (losses_N * weights_N).sum() / weights_N.sum()
    expected.backward()
    gradients = {name: each.grad.clone() for name, each in model.named_parameters()}
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = train_step(model, optimizer, uneven, settings(micro_sequences))
    torch.testing.assert_close(found.loss, expected.detach(), rtol=1e-12, atol=0)
    for name, each in model.named_parameters():
        torch.testing.assert_close(
            before[name] - each.detach(), gradients[name], rtol=0, atol=1e-12, msg=name
        )


def hidden_gradient(model, batch):
    """Return the loss of a batch, and its gradient by each token's final hidden state."""
    kept = []
    handle = model.register_forward_hook(lambda _module, _inputs, hidden: kept.append(hidden))
    loss = batch_loss_sum(model, batch)
    handle.remove()
    (gradient,) = torch.autograd.grad(loss, kept)
    return loss.detach(), gradient


def test_a_masked_target_has_no_gradient_and_its_token_is_still_read(fresh, batches):
    model, batch = fresh().model, batches(0)
    counted = torch.ones(8, 8, dtype=torch.bool)
    counted[2, 3:5] = False
    batch = replace(batch, counted=counted)
    loss, gradient = hidden_gradient(model, batch)
    assert not gradient[2, 3:5].any()
    assert gradient[counted].any(-1).all()

    ids = batch.ids.clone()
    ids[2, 4] = (ids[2, 4] + 1) % 60
    changed, other = hidden_gradient(model, replace(batch, ids=ids))
    assert changed != loss
    assert not other[2, 3:5].any()
    assert torch.equal(gradient[2, :3], other[2, :3])
    assert (gradient[2, 5:] != other[2, 5:]).any(-1).all()


def test_a_masked_last_token_is_nothing_at_all(fresh, batches):
    """It is no target, and nothing stands behind it that could read it."""
    one, other, batch = fresh(), fresh(), batches(0)
    counted = torch.ones(8, 8, dtype=torch.bool)
    counted[2, -1] = False
    ids = batch.ids.clone()
    ids[2, -1] = (ids[2, -1] + 1) % 60
    for state, each in ((one, batch), (other, replace(batch, ids=ids))):
        train_step(state.model, state.optimizer, replace(each, counted=counted), settings(3))
    for name, tensor in one.weights().items():
        assert torch.equal(tensor, other.weights()[name]), name


@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_step_in_which_no_target_counts_moves_nothing(fresh, batches, steps_before):
    state, other = fresh(), fresh()
    nothing = replace(batches(9), counted=torch.zeros(8, 8, dtype=torch.bool))
    for each in (state, other):
        for number in range(steps_before):
            train_step(each.model, each.optimizer, batches(number), settings())
    found = train_step(state.model, state.optimizer, nothing, settings(3, clip_norm=1.0))
    assert (found.loss, found.gradient_norm) == (0.0, 0.0)
    for each in (state, other):
        train_step(each.model, each.optimizer, batches(7), settings())
    for ours, theirs in (
        (state.weights(), other.weights()),
        (state.optimizer_tensors(), other.optimizer_tensors()),
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.gpu
@pytest.mark.compiled
@pytest.mark.parametrize("kernel", ["sdpa", "triton"])
def test_on_a_gpu_two_deterministic_runs_have_the_same_bits(fresh, batches, kernel):
    device = torch.device("cuda")

    def weights():
        state = fresh(heads=2, kv_heads=2, width=64, head_width=32, mlp=128)
        state.model.to(device).places.kernel = kernel
        compile_layers(state.model)
        for cursor in range(4):
            train_step(state.model, state.optimizer, batches(cursor).to(device), settings())
        return torch.cat([each.detach().flatten() for each in state.model.parameters()])

    with deterministic_algorithms(asked=True):
        first, second = weights(), weights()
    assert torch.equal(first, second)


@pytest.mark.gpu
def test_on_a_gpu_what_is_pinned_arrives_whole(batches):
    batch = batches(3)
    moved = batch.pinned().to(torch.device("cuda"))
    assert moved.ids.is_cuda
    assert torch.equal(moved.ids.cpu(), batch.ids)
    assert moved.counted_targets == batch.counted_targets


@pytest.mark.gpu
@pytest.mark.parametrize("broken", [False, True])
def test_a_gpu_that_judges_by_itself_does_what_it_is_told_otherwise(fresh, batches, broken):
    device = torch.device("cuda")

    def judge(loss, norm):
        return None if math.isfinite(loss) and math.isfinite(norm) else "not finite"

    def weights(*, finite_only):
        state = fresh(head_width=32)
        state.model.to(device)
        for cursor in range(3):
            if broken and cursor == 1:
                state.model.norm.weight.register_hook(lambda gradient: gradient * torch.nan)
            train_step(
                state.model,
                state.optimizer,
                batches(cursor).to(device),
                settings(),
                judge=judge,
                finite_only=finite_only,
            )
        return torch.cat([each.detach().flatten() for each in state.model.parameters()])

    assert torch.equal(weights(finite_only=True), weights(finite_only=False))


@pytest.mark.gpu
@pytest.mark.parametrize("residual", ["float32", "bfloat16"])
def test_on_a_gpu_the_residual_stream_is_kept_in_what_was_asked(fresh, batches, residual):
    model = fresh(head_width=32).model.to(torch.device("cuda"))
    model.residual = residual
    seen = []
    model.layers[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    batch_loss_sum(model, batches(0).to(torch.device("cuda")))
    assert seen == [torch.bfloat16 if residual == "bfloat16" else torch.float32]
