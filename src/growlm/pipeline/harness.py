"""lm-evaluation-harness: its tasks on our scorer, and our models under its ``--model growlm``."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch

from growlm.base.errors import EvaluationError, GrowlmError
from growlm.base.files import digest_of
from growlm.corpus.optional import missing
from growlm.corpus.overlap.tasks import load
from growlm.evaluation.bits_per_byte import rolling_windows
from growlm.evaluation.marking import LOG_LIKELIHOOD
from growlm.evaluation.pairs import requests_of
from growlm.evaluation.request import Request, Score
from growlm.evaluation.results import ExampleScore
from growlm.evaluation.scorer import score
from growlm.evaluation.sitting import Sitting, chunks_of
from growlm.pipeline.models import open_model
from growlm.pipeline.seating import (
    DTYPES,
    contexts_of,
    default_batch_tokens,
    seated,
    sitting_of,
)
from growlm.training.parallel import ALONE, World

NAME = "growlm"
"""What ``lm_eval --model`` calls our models."""

CHUNK_TOKENS = 1 << 15
"""Tokens of requests that one rank scores together, unless those that begin alike have more."""


@runtime_checkable  # the shape hook asks
class Asked(Protocol):
    """What the harness asks: an instance."""

    @property
    def args(self) -> tuple[Any, ...]:
        """A context and a continuation, or a text alone."""
        ...


Tokens = tuple[Any, list[int], list[int]]
"""A pair, the tokens of its context, and those of its continuation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the harness's model does, without the harness."""

    sitting: Sitting
    world: World = ALONE
    """The ranks that share what is asked; all are asked the same, and all have all answers."""

    def pairs(self, asked: Sequence[Asked]) -> list[tuple[float, bool]]:
        """Return for each pair the log-likelihood of its continuation, and whether it is greedy."""
        sitting = self.sitting
        return self._scores(
            requests_of(
                [(str(each.args[0]), str(each.args[1])) for each in asked],
                encode=sitting.encode,
                prefix=sitting.prefix,
                context=sitting.context,
            )
        )

    def tokens(self, asked: Sequence[Tokens]) -> list[tuple[float, bool]]:
        """Return the same for pairs that are encoded already."""
        requests: list[Request] = []
        for _, before, after in asked:
            sequence = [*before, *after][-(self.sitting.context + 1) :]
            requests.append(Request(inputs=tuple(sequence[:-1]), targets=tuple(after)))
        return self._scores(requests)

    def texts(self, asked: Sequence[Asked]) -> list[float]:
        """Return the log-likelihood of each text, over windows."""
        sitting = self.sitting
        windows = [
            list(rolling_windows(ids, prefix=sitting.prefix, context=sitting.context))
            for ids in sitting.encode([str(each.args[0]) for each in asked])
        ]
        found = iter(self._scores([window for each in windows for window in each]))
        return [math.fsum(next(found)[0] for _ in each) for each in windows]

    def _scores(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        """Return the scores of requests, of which every rank computes a share.

        What begins alike stays together, in chunks that are the same however many ranks there are.
        """
        self._check_alike(requests)
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, each in enumerate(requests):
            alike.setdefault(each.context, []).append(number)
        groups = list(alike.values())
        lengths = [sum(len(requests[each].inputs) for each in group) for group in groups]
        scores_N2 = torch.zeros(len(requests), 2, dtype=torch.float64)
        for chunk in chunks_of(lengths, most=CHUNK_TOKENS)[self.world.rank :: self.world.size]:
            numbers = [number for group in chunk for number in groups[group]]
            for number, each in zip(numbers, self._own(requests, numbers), strict=True):
                scores_N2[number, 0] = each.log_likelihood_nats
                scores_N2[number, 1] = each.greedy
        found = cast(list[list[float]], self.world.sum(scores_N2).tolist())
        return [(nats, bool(greedy)) for nats, greedy in found]

    def _own(self, requests: Sequence[Request], numbers: Sequence[int]) -> list[Score]:
        mine = [requests[number] for number in numbers]
        return score(self.sitting.predictor, mine, batch_tokens=self.sitting.batch_tokens)

    def _check_alike(self, requests: Sequence[Request]) -> None:
        """Refuse shares of different wholes: a task may draw its questions by chance."""
        mine = hash(tuple((each.inputs, each.targets) for each in requests))
        others = {int(each) for each in self.world.each(torch.tensor([mine]))}
        if len(others) > 1:
            raise EvaluationError(
                "a task that asks every rank the same",
                got="other questions on another rank",
                fix="a single process",
            )


def model_of(sitting: Sitting, world: World = ALONE) -> Any:
    """Return a model of the harness's kind that answers as our scorer does.

    Args:
        sitting: Who is asked, and how.
        world: The ranks that share what is asked.

    Raises:
        CorpusError: The harness is not installed.
    """
    return _kind()(sitting=sitting, world=world)


def register() -> None:
    """Let the harness know our models as ``growlm``, with ``checkpoint=PATH`` among its arguments.

    Raises:
        CorpusError: The harness is not installed.
    """
    kind = _kind()
    from lm_eval.api.registry import (  # pyright: ignore[reportMissingImports]
        model_registry,  # pyright: ignore[reportUnknownVariableType]
    )
    from lm_eval.models import (  # pyright: ignore[reportMissingImports]
        MODEL_MAPPING,  # pyright: ignore[reportUnknownVariableType]
    )

    # Its own models are registered where that module is loaded, unless there is one before.
    if NAME not in cast(Any, MODEL_MAPPING) and NAME not in cast(Any, model_registry):
        cast(Any, model_registry).register(NAME, target=kind)


def main() -> int:
    """Run the harness's own command line, with our models in it, and return its exit code.

    Up to 0.4.13 it knows the models of its own table alone and looks for no plugins, so that
    ``lm_eval`` itself cannot find ours, whatever is installed.
    """
    try:
        register()
        from lm_eval.__main__ import (  # pyright: ignore[reportMissingImports]
            cli_evaluate,  # pyright: ignore[reportUnknownVariableType]
        )

        cast(Any, cli_evaluate)()
    except GrowlmError as error:
        sys.stderr.write(f"growlm: {error}\n")
        return error.exit_code
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessTask:
    """A task as the harness loads it."""

    name: str
    version: str
    asked: str
    """Digest of its configuration."""
    sha256: str
    """Digest of its rows."""
    rows: int
    task: Any


def load_harness_task(name: str, *, limit: int | None) -> HarnessTask:
    """Return a task of the harness, with the identity of its rows.

    Raises:
        CorpusError: The harness is not installed, knows no such task, or cannot load its rows.
    """
    task = cast(Any, load(name))
    docs = list(task.eval_docs)[:limit]
    config = cast(dict[str, Any], task.dump_config())
    return HarnessTask(
        name=name,
        version=str(task.VERSION),
        asked=digest_of({key: str(config[key]) for key in config}),
        sha256=digest_of([repr(each) for each in docs]),
        rows=len(docs),
        task=task,
    )


def harness_scores(task: HarnessTask, sitting: Sitting, world: World) -> list[ExampleScore]:
    """Return what a model makes of a task, as the harness marks it; nothing but on the first rank.

    The harness runs on every rank as if that were alone; what it asks the model, the ranks share.

    Args:
        task: The task.
        sitting: Who is asked, and how.
        world: The ranks.

    Raises:
        EvaluationError: The task asks for what our scorer does not do, such as writing text.
    """
    import lm_eval  # pyright: ignore[reportMissingImports]

    results: Any = cast(Any, lm_eval).simple_evaluate(
        model=model_of(sitting, world),
        tasks=[task.task],
        limit=task.rows,
        bootstrap_iters=0,
        log_samples=True,
    )
    if not world.leads:  # the harness then has no results either
        return []
    samples: list[dict[str, Any]] = results["samples"][task.name]
    first = samples[0].get("filter")
    return [example_of(each) for each in samples if each.get("filter") == first]


def example_of(sample: Mapping[str, Any]) -> ExampleScore:
    """Return the score of an example from what the harness logs of it.

    Its metrics that are numbers are kept; the log-likelihood of the right answer is that of the
    target where there are options, and the perplexity's own where there are none.
    """
    metrics = {
        key: float(sample[key])
        for key in sample.get("metrics", ())
        if isinstance(sample.get(key), int | float)
    }
    answers = cast(Sequence[Any], sample.get("filtered_resps", ()))
    pairs = [cast(Sequence[Any], each) for each in answers if isinstance(each, list | tuple)]
    options = tuple(float(pair[0]) for pair in pairs)
    target = sample.get("target")
    if "perplexity" in metrics:
        metrics[LOG_LIKELIHOOD] = metrics.pop("perplexity")
    elif isinstance(target, int) and 0 <= target < len(options):
        metrics[LOG_LIKELIHOOD] = options[target]
    return ExampleScore(index=int(sample["doc_id"]), values=metrics, option_nats=options)


def _kind() -> Any:
    """Return the class that the harness makes its model of."""
    try:
        from lm_eval.api.model import (  # pyright: ignore[reportMissingImports]
            TemplateLM,  # pyright: ignore[reportUnknownVariableType]
        )
    except ImportError as error:
        raise missing("lm_eval", extra="eval", purpose="score tasks without --data") from error
    return type("GrowlmLM", (_Answering, cast(Any, TemplateLM)), {})


class _Answering:
    """Our side of the harness's model; the other is its ``TemplateLM``."""

    def __init__(
        self, *, sitting: Sitting | None = None, world: World = ALONE, **arguments: Any
    ) -> None:
        cast(Any, super()).__init__()
        self.answers = Answers(sitting=sitting or _sitting_of(**arguments), world=world)

    @property
    def eot_token_id(self) -> int:
        """The token before a text without context."""
        return self.answers.sitting.prefix

    @property
    def max_length(self) -> int:
        """Tokens the model reads at most."""
        return self.answers.sitting.context

    def tok_encode(self, string: str, **_options: Any) -> list[int]:
        """Return the ids of a text, with no token added."""
        return self.answers.sitting.encode([string])[0]

    def loglikelihood(self, requests: Any, **_options: Any) -> list[tuple[float, bool]]:
        """Score continuations."""
        return self.answers.pairs(requests)

    def _loglikelihood_tokens(self, requests: Any, **_options: Any) -> list[tuple[float, bool]]:
        return self.answers.tokens(requests)

    def loglikelihood_rolling(self, requests: Any, **_options: Any) -> list[float]:
        """Score texts."""
        return self.answers.texts(requests)

    def generate_until(self, requests: Any, **_options: Any) -> list[str]:
        """Refuse to write text."""
        raise EvaluationError(
            "a task that asks how likely texts are",
            got=f"one that asks for {len(requests):,} texts to be written",
            fix="growlm export, and lm_eval --model hf",
        )


def _sitting_of(
    *,
    checkpoint: str,
    context: int | None = None,
    dtype: Any = "fp32",
    batch_size: int | str = 1,
    **_others: Any,
) -> Sitting:
    """Return a sitting from the words of ``--model_args``; batches go by tokens all the same."""
    if dtype not in DTYPES:
        raise EvaluationError("dtype=fp32 or dtype=bf16", got=f"'{dtype}'", fix="dtype=fp32")
    model = open_model(Path(checkpoint))
    (tokens,) = contexts_of(model, [] if context is None else [str(context)])
    rows = int(batch_size) if str(batch_size).isdecimal() else 1
    return sitting_of(
        seated(model, dtype),
        tokens,
        overlap=0,
        batch_tokens=max(default_batch_tokens(), rows * tokens),
    )


if __name__ == "__main__":
    sys.exit(main())
