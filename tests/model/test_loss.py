"""The chunked loss, against plain cross-entropy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from growlm.model.loss import IGNORED, cross_entropy_sum, errors_of, token_losses

N, D, V, REAL = 23, 8, 128, 101


class Problem:
    """Hidden states, a head, and targets; some of them ignored."""

    def __init__(self, dtype: torch.dtype, *, ignored: int = 3) -> None:
        generator = torch.Generator().manual_seed(0)
        self.hidden = torch.randn(N, D, generator=generator, dtype=dtype)
        self.head = torch.randn(V, D, generator=generator, dtype=dtype)
        self.targets = torch.randint(0, REAL, (N,), generator=generator)
        self.targets[:ignored] = IGNORED

    def leaves(self) -> tuple[Tensor, Tensor]:
        return self.hidden.clone().requires_grad_(), self.head.clone().requires_grad_()


def plain(hidden: Tensor, head: Tensor, targets: Tensor, vocab_size: int = REAL) -> Tensor:
    logits = hidden @ head[:vocab_size].T
    return F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")


@pytest.mark.parametrize("chunk_tokens", [1, 7, N, N + 1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_value_and_gradients_are_those_of_plain_cross_entropy(
    dtype: torch.dtype, tolerance: float, chunk_tokens: int
) -> None:
    problem = Problem(dtype)
    hidden, head = problem.leaves()
    expected_hidden, expected_head = problem.leaves()
    loss = cross_entropy_sum(
        hidden, head, problem.targets, vocab_size=REAL, chunk_tokens=chunk_tokens
    )
    expected = plain(expected_hidden, expected_head, problem.targets)
    # A factor other than 1, so that backward is seen to use it.
    (loss / 7).backward()
    (expected / 7).backward()
    assert loss.dtype == dtype
    torch.testing.assert_close(loss, expected, rtol=tolerance, atol=tolerance)
    for ours, theirs in ((hidden, expected_hidden), (head, expected_head)):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("chunk_tokens", [1, 7, N, N + 1])
@pytest.mark.parametrize("z_loss", [1e-4, 0.3])
def test_a_z_loss_is_in_the_gradients_and_not_in_the_value(
    z_loss: float, chunk_tokens: int
) -> None:
    problem = Problem(torch.float64)
    hidden, head = problem.leaves()
    expected_hidden, expected_head = problem.leaves()
    loss = cross_entropy_sum(
        hidden,
        head,
        problem.targets,
        vocab_size=REAL,
        chunk_tokens=chunk_tokens,
        z_loss=z_loss,
    )
    expected = plain(expected_hidden, expected_head, problem.targets)
    log_z = (expected_hidden @ expected_head[:REAL].T).logsumexp(-1)
    costs = z_loss * log_z[problem.targets != IGNORED].square()
    (loss / 7).backward()
    ((expected + costs.sum()) / 7).backward()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    assert costs.sum() > 1e-3
    for ours, theirs in ((hidden, expected_hidden), (head, expected_head)):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)


def test_without_a_z_loss_gradients_are_others() -> None:
    gradients: list[Tensor] = []
    for z_loss in (0.0, 1e-4):
        hidden, head = (problem := Problem(torch.float64)).leaves()
        cross_entropy_sum(hidden, head, problem.targets, vocab_size=REAL, z_loss=z_loss).backward()
        assert hidden.grad is not None
        gradients.append(hidden.grad)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-5


@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_what_a_gpu_compiles_of_the_loss_gives_its_value_and_gradients(z_loss: float) -> None:
    problem = Problem(torch.float64)
    hidden, head = problem.leaves()
    loss = cross_entropy_sum(hidden, head, problem.targets, vocab_size=REAL, z_loss=z_loss)
    loss.backward()
    losses, errors = errors_of(problem.hidden @ problem.head.T, problem.targets, REAL, z_loss)
    torch.testing.assert_close(losses.sum(), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(errors @ problem.head, hidden.grad, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(errors.T @ problem.hidden, head.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("chunk_tokens", [1, 7, N, N + 1])
def test_losses_without_gradients_are_the_same(chunk_tokens: int) -> None:
    problem = Problem(torch.float64)
    loss = cross_entropy_sum(
        problem.hidden, problem.head, problem.targets, vocab_size=REAL, chunk_tokens=chunk_tokens
    )
    expected = plain(problem.hidden, problem.head, problem.targets)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    assert not loss.requires_grad


def test_an_ignored_target_has_no_loss_and_no_gradient() -> None:
    problem = Problem(torch.float64, ignored=5)
    hidden, head = problem.leaves()
    cross_entropy_sum(hidden, head, problem.targets, vocab_size=REAL, chunk_tokens=4).backward()
    assert hidden.grad is not None
    assert not hidden.grad[:5].any()
    assert hidden.grad[5:].any(-1).all()
    losses, greedy = token_losses(problem.hidden, problem.head, problem.targets, vocab_size=REAL)
    assert not losses[:5].any()
    assert not greedy[:5].any()


def test_a_step_of_ignored_targets_only_is_zero() -> None:
    problem = Problem(torch.float32, ignored=N)
    hidden, head = problem.leaves()
    loss = cross_entropy_sum(hidden, head, problem.targets, vocab_size=REAL)
    loss.backward()
    assert head.grad is not None
    assert loss.item() == 0.0
    assert not head.grad.any()


def test_the_padding_of_the_vocabulary_never_wins_and_gets_no_gradient() -> None:
    problem = Problem(torch.float64)
    problem.head[REAL:] = 100.0 * problem.hidden[5]
    hidden, head = problem.leaves()
    loss = cross_entropy_sum(hidden, head, problem.targets, vocab_size=REAL, chunk_tokens=4)
    loss.backward()
    assert head.grad is not None
    assert not head.grad[REAL:].any()
    assert head.grad[:REAL].any(-1).all()
    best = (problem.hidden @ problem.head[:REAL].T).argmax(-1)
    _, greedy = token_losses(problem.hidden, problem.head, best, vocab_size=REAL)
    assert greedy.all()


def test_token_losses_are_exact_and_know_the_likeliest_token() -> None:
    problem = Problem(torch.float64)
    losses, greedy = token_losses(
        problem.hidden, problem.head, problem.targets, vocab_size=REAL, chunk_tokens=5
    )
    logits = problem.hidden @ problem.head[:REAL].T
    expected = F.cross_entropy(logits, problem.targets, ignore_index=IGNORED, reduction="none")
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-12)
    assert torch.equal(greedy, logits.argmax(-1) == problem.targets)


def test_of_equal_logits_the_lower_id_is_the_likeliest() -> None:
    hidden, head = torch.ones(3, 2), torch.ones(6, 2)
    _, greedy = token_losses(hidden, head, torch.tensor([0, 1, 5]), vocab_size=6)
    assert greedy.tolist() == [True, False, False]


class TestManyChunksInBf16:
    """256 chunks of 64 tokens: a sum kept in bf16 loses whole chunks here."""

    tokens, width, vocab, chunk = 16_384, 64, 512, 64

    def problem(self) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        hidden = torch.randn(self.tokens, self.width, generator=generator).bfloat16()
        head = (0.3 * torch.randn(self.vocab, self.width, generator=generator)).bfloat16()
        return hidden, head, torch.randint(0, self.vocab, (self.tokens,), generator=generator)

    def test_loss_and_head_gradient_stay_near_fp32(self) -> None:
        hidden, head, targets = self.problem()
        exact_hidden, exact_head = (each.float().requires_grad_() for each in (hidden, head))
        exact = plain(exact_hidden, exact_head, targets, self.vocab)
        exact.backward()
        head.requires_grad_()
        loss = cross_entropy_sum(
            hidden, head, targets, vocab_size=self.vocab, chunk_tokens=self.chunk
        )
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), rel=1e-4)
        assert exact_head.grad is not None
        assert head.grad is not None
        error = (head.grad.float() - exact_head.grad).norm() / exact_head.grad.norm()
        assert error < 0.005

    def test_a_sum_kept_in_bf16_would_fail(self) -> None:
        hidden, head, targets = self.problem()
        losses, _ = token_losses(hidden, head, targets, vocab_size=self.vocab)
        narrow = torch.zeros((), dtype=torch.bfloat16)
        for chunk in losses.split(self.chunk):
            narrow = narrow + chunk.sum().bfloat16()
        assert abs(narrow.item() / losses.sum().item() - 1) > 1e-2


class LargestOutput(TorchDispatchMode):
    """Remembers the most elements that any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def backward_of(loss: Callable[[Tensor, Tensor], Tensor]) -> int:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(512, 4, generator=generator, requires_grad=True)
    head = torch.randn(256, 4, generator=generator, requires_grad=True)
    with LargestOutput() as largest:
        loss(hidden, head).backward()
    return largest.elements


def test_the_whole_logits_matrix_is_never_built() -> None:
    targets = torch.zeros(512, dtype=torch.int64)

    def chunked(hidden: Tensor, head: Tensor) -> Tensor:
        return cross_entropy_sum(hidden, head, targets, vocab_size=250, chunk_tokens=16)

    def whole(hidden: Tensor, head: Tensor) -> Tensor:
        return plain(hidden, head, targets, 256)

    assert backward_of(whole) == 512 * 256
    assert backward_of(chunked) == 16 * 256


def test_the_whole_logits_matrix_is_not_built_in_scoring_either() -> None:
    hidden, head = torch.randn(512, 4), torch.randn(256, 4)
    with LargestOutput() as largest:
        token_losses(
            hidden, head, torch.zeros(512, dtype=torch.int64), vocab_size=250, chunk_tokens=16
        )
    assert largest.elements == 16 * 256


@pytest.mark.gpu
@pytest.mark.compiled
@pytest.mark.parametrize("chunk_tokens", [64, 512, 2_048])
def test_on_a_gpu_in_bf16_many_chunks_lose_nothing(chunk_tokens: int) -> None:
    """Where the head's gradient is summed in bf16, 256 chunks get its sum wrong by 3 percent."""
    stream = torch.Generator().manual_seed(2)
    hidden = torch.randn(16_384, 256, generator=stream).bfloat16().cuda().requires_grad_()
    head = (torch.randn(4_096, 256, generator=stream) / 16).bfloat16().float().cuda()
    head.requires_grad_()
    targets = torch.randint(0, 4_000, (16_384,), generator=stream).cuda()
    exact_hidden, exact_head = (each.detach().double().requires_grad_() for each in (hidden, head))
    wanted = plain(exact_hidden, exact_head, targets, 4_000)
    wanted.backward()
    loss = cross_entropy_sum(hidden, head, targets, vocab_size=4_000, chunk_tokens=chunk_tokens)
    loss.backward()
    assert float(loss.double() / wanted - 1) == pytest.approx(0, abs=1e-4)
    assert hidden.grad is not None
    assert head.grad is not None
    assert exact_head.grad is not None
    assert exact_hidden.grad is not None
    for found, exact in ((hidden.grad, exact_hidden.grad), (head.grad, exact_head.grad)):
        assert float((found.double() - exact).norm() / exact.norm()) < 5e-3
