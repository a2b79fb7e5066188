import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from growlm.base.errors import EvaluationError
from growlm.evaluation import decoder
from growlm.evaluation.request import Request, Score
from growlm.evaluation.scorer import score
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT

VOCAB = 61


def requests(number: int, *, longest: int = 16, seed: int = 0) -> list[Request]:
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    made: list[Request] = []
    for _ in range(number):
        length = draw(1, longest)
        inputs = tuple(draw(0, VOCAB - 1) for _ in range(length))
        targets = tuple(draw(0, VOCAB - 1) for _ in range(draw(1, length)))
        made.append(Request(inputs=inputs, targets=targets))
    return made


def one_by_one(model: GPT, asked: Sequence[Request]) -> list[Score]:
    """The oracle: each request alone, all logits, in fp64."""
    model = copy.deepcopy(model).double().eval()
    scores: list[Score] = []
    for request in asked:
        with torch.no_grad():
            logits_TV = model.logits(torch.tensor([request.inputs]))[0]
        scored_NV = logits_TV.log_softmax(-1)[-len(request.targets) :]
        targets_N = torch.tensor(request.targets)
        log_likelihood = scored_NV.gather(1, targets_N[:, None]).sum().item()
        greedy = bool((scored_NV.argmax(-1) == targets_N).all())
        scores.append(Score(log_likelihood_nats=log_likelihood, greedy=greedy))
    return scores


def nats(scores: Sequence[Score]) -> list[float]:
    return [each.log_likelihood_nats for each in scores]


# fp32 against fp64, or another batch: rounding of sums over 16 columns.
ROUNDING = 1e-5

SHAPES: list[dict[str, Any]] = [
    {"positions": "alibi"},
    {"positions": "learned", "tied": False},
    {"positions": "rotary", "kv_heads": 1, "norm": "rmsnorm", "activation": "swiglu"},
]


@pytest.fixture(params=SHAPES, ids=lambda shape: shape["positions"])
def model(
    request: pytest.FixtureRequest,
    tiny_config: Callable[..., GPTConfig],
    tiny_model: Callable[..., GPT],
) -> GPT:
    return tiny_model(tiny_config(**request.param))


def test_a_batch_scores_what_each_request_scores_alone_in_fp64(model: GPT):
    asked = requests(40)
    got, expected = score(model, asked, batch_tokens=64), one_by_one(model, asked)
    assert nats(got) == pytest.approx(nats(expected), rel=ROUNDING)
    assert [each.greedy for each in got] == [each.greedy for each in expected]


def test_the_most_likely_continuation_is_greedy_and_another_is_not(model: GPT):
    prompt = (3, 1, 4)
    likely = int(model.logits(torch.tensor([prompt]))[0, -1].argmax())
    asked = [Request(inputs=prompt, targets=(t,)) for t in (likely, (likely + 1) % VOCAB)]
    assert [each.greedy for each in score(model, asked, batch_tokens=64)] == [True, False]


def test_the_batch_size_changes_only_rounding(model: GPT):
    asked = requests(40)
    alone = score(model, asked, batch_tokens=1)
    for batch_tokens in (17, 64, 10_000):
        got = score(model, asked, batch_tokens=batch_tokens)
        assert nats(got) == pytest.approx(nats(alone), rel=ROUNDING)
        assert [each.greedy for each in got] == [each.greedy for each in alone]


def test_the_order_of_the_requests_changes_nothing(model: GPT):
    asked = requests(40)
    assert score(model, asked[::-1], batch_tokens=64)[::-1] == score(model, asked, batch_tokens=64)


def test_no_requests_have_no_scores(model: GPT):
    assert score(model, [], batch_tokens=64) == []


def test_the_padding_of_the_vocabulary_is_never_scored(model: GPT):
    asked = requests(10)
    before = score(model, asked, batch_tokens=64)
    everything_before = model(torch.tensor([[1, 2]])) @ model.head_weight.T
    with torch.no_grad():
        model.head_weight[VOCAB:] = 100.0
    everything_after = model(torch.tensor([[1, 2]])) @ model.head_weight.T
    assert score(model, asked, batch_tokens=64) == before
    # The control: with the padding, the same rows do change the distribution.
    assert not torch.allclose(everything_before.logsumexp(-1), everything_after.logsumexp(-1))


def test_one_missed_target_is_not_greedy(bigram_model: Callable[..., GPT]):
    successor = 5.0 * torch.eye(4).roll(1, dims=1)
    asked = [
        Request(inputs=(0, 1, 2), targets=(1, 2, 3)),
        Request(inputs=(0, 1, 2), targets=(0, 2, 3)),
        Request(inputs=(0, 1, 2), targets=(2, 3)),
        Request(inputs=(0, 1, 2), targets=(1,)),
    ]
    scores = score(bigram_model(successor), asked, batch_tokens=7)
    assert [each.greedy for each in scores] == [True, False, True, False]
    hit, miss = torch.tensor([5.0, 0.0, 0.0, 0.0], dtype=torch.float64).log_softmax(0)[:2].tolist()
    expected = [3 * hit, miss + 2 * hit, 2 * hit, miss]
    # A loss is the difference of two logits near 5: fp32 leaves 5e-7 of it, whatever its size.
    assert nats(scores) == pytest.approx(expected, abs=2e-6)


def test_no_forward_pass_has_more_tokens_than_asked_for(model: GPT):
    shapes: list[torch.Size] = []
    model.embedding.register_forward_hook(lambda _, args, __: shapes.append(args[0].shape))
    score(model, requests(40), batch_tokens=40)
    assert max(shape.numel() for shape in shapes) <= 40
    assert [shape[1] for shape in shapes] == sorted((s[1] for s in shapes), reverse=True)
    shapes.clear()
    score(model, requests(5), batch_tokens=1)
    assert [shape[0] for shape in shapes] == [1] * 5


def test_logits_exist_at_scored_places_only(model: GPT, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    inner = decoder.token_losses

    def spy(hidden_ND: Any, *args: Any, **options: Any) -> Any:
        sizes.append(len(hidden_ND))
        return inner(hidden_ND, *args, **options)

    monkeypatch.setattr(decoder, "token_losses", spy)
    asked = requests(10)
    score(model, asked, batch_tokens=10_000)
    assert sizes == [sum(len(each.targets) for each in asked)]


def test_dropout_is_off_inside_and_each_module_gets_its_mode_back(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
):
    model = tiny_model(tiny_config(dropout=0.5, attention_dropout=0.5))
    asked = requests(10)
    model.train()
    model.layers[1].eval()
    modes = [module.training for module in model.modules()]
    scores = score(model, asked, batch_tokens=64)
    assert [module.training for module in model.modules()] == modes
    assert nats(scores) == pytest.approx(nats(one_by_one(model, asked)), rel=ROUNDING)
    with pytest.raises(EvaluationError):
        score(model, [Request(inputs=(VOCAB,), targets=(0,))], batch_tokens=64)
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("bad", [VOCAB, -1])
@pytest.mark.parametrize("place", ["inputs", "targets"])
def test_a_token_outside_the_vocabulary_is_refused(model: GPT, bad: int, place: str):
    fields = {"inputs": (1, 2), "targets": (3,)} | {place: (bad,)}
    with pytest.raises(EvaluationError, match=f"0 to 60; got {bad}. Try the tokenizer"):
        score(model, [Request(**fields)], batch_tokens=64)


def test_weights_that_are_not_finite_are_refused(model: GPT):
    with torch.no_grad():
        model.embedding.weight[5, 0] = torch.nan
    with pytest.raises(EvaluationError, match="finite scores"):
        score(model, [Request(inputs=(5,), targets=(1,))], batch_tokens=64)


def test_more_tokens_than_learned_positions_are_refused(
    tiny_config: Callable[..., GPTConfig], tiny_model: Callable[..., GPT]
):
    learned = tiny_model(tiny_config(positions="learned"))
    asked = [Request(inputs=(1,) * 17, targets=(1,))]
    with pytest.raises(EvaluationError, match=r"at most 16 tokens.*; got 17"):
        score(learned, asked, batch_tokens=64)


def branching(choices: int = 4) -> list[Request]:
    """Questions with choices: beginnings in common, ends of several lengths, and single tokens."""
    asked: list[Request] = []
    for number, plain in enumerate(requests(12, longest=9)):
        for choice in range(choices):
            end = tuple((number + choice * k) % VOCAB for k in range(1, 2 + (choice + number) % 5))
            asked.append(Request(inputs=(*plain.inputs, *end)[:-1], targets=end))
    return asked


def test_sharing_beginnings_changes_only_rounding(model: GPT):
    asked = branching()
    expected = one_by_one(model, asked)
    for share, batch_tokens in ((True, 64), (True, 10_000), (False, 64)):
        got = score(model, asked, batch_tokens=batch_tokens, share=share)
        assert nats(got) == pytest.approx(nats(expected), rel=ROUNDING)
        assert [each.greedy for each in got] == [each.greedy for each in expected]


def test_a_beginning_that_choices_share_is_read_once(model: GPT):
    read: list[int] = []
    model.embedding.register_forward_hook(lambda _, args, __: read.append(args[0].numel()))
    beginning = tuple(range(12))
    asked = [Request(inputs=(*beginning, n), targets=(n, n)) for n in range(4)]
    score(model, asked, batch_tokens=1_000)
    assert read == [16]  # the beginning and one token of each
    read.clear()
    score(model, asked, batch_tokens=1_000, share=False)
    assert read == [4 * 16]


@pytest.mark.gpu
def test_the_gpu_scores_what_the_cpu_scores(model: GPT):
    asked = requests(40)
    expected = nats(score(model, asked, batch_tokens=64))
    assert nats(score(model.cuda(), asked, batch_tokens=64)) == pytest.approx(expected, rel=1e-4)
