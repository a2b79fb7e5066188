"""Evaluation: our scores beside the harness's own at the same weights, and how long they take.

``python benchmarks/evaluation.py DATA TOKENIZER`` makes a random model of the size asked for, saves
it as transformers does, and scores LAMBADA, PIQA, HellaSwag and a text with three backends:

- ``hf``: lm-evaluation-harness with transformers, at several batch sizes;
- ``harness``: lm-evaluation-harness with our scorer behind it;
- ``own``: ``growlm evaluate --data``, at several batch sizes.

It needs lm-eval and transformers. ``--golden`` scores the full sets with models whose every
probability is known instead, and says how far that is from what the harness gave for them once.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportMissingImports=false
# pyright: reportUnknownArgumentType=false

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from ratios import Ratio, keep
from setting import setting

from growlm.evaluation.bits_per_byte import corpus_bits_per_byte
from growlm.evaluation.packing import Batch
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.sitting import CHUNK_CHARACTERS, Document, Sitting, characters, chunks_of
from growlm.evaluation.tasks import Question, Task, load_task, read_task_file, shipped
from growlm.pipeline.harness import example_of, model_of
from growlm.pipeline.models import open_model
from growlm.pipeline.seating import seated, sitting_of, spelling
from growlm.training.device import choose_device

CONTEXT = 1_024
END = "<|endoftext|>"
METRICS = {
    "last-word": [("perplexity", "perplexity"), ("acc", "mean")],
    "choice": [("acc", "mean"), ("acc_norm", "mean")],
}
GOLDEN = [
    ("uniform", 50_277, "lambada_openai", "perplexity", 2727455.674468965),
    ("uniform", 50_304, "lambada_openai", "perplexity", 2729460.9332937724),
    ("uniform", 50_277, "piqa", "acc", 0.529923830250272),
    ("uniform", 50_277, "hellaswag", "acc", 0.255327623979287),
    ("rank", 50_277, "lambada_openai", "perplexity", 19442261.16049894),
    ("rank", 50_304, "lambada_openai", "perplexity", 19722054.989863973),
    ("rank", 50_277, "piqa", "acc", 0.5348204570184983),
    ("rank", 50_277, "piqa", "acc_norm", 0.514145810663765),
    ("rank", 50_304, "piqa", "acc", 0.5369967355821545),
    ("rank", 50_277, "hellaswag", "acc", 0.25542720573590916),
    ("rank", 50_277, "hellaswag", "acc_norm", 0.25980880302728543),
]
"""Model, vocabulary, task, metric, and what lm-evaluation-harness 0.4.13 gives; context 1,024."""

TEXTS = [
    ("uniform", 1_024, 3.8714328957328425),
    ("uniform", 32, 3.8714328957328425),
    ("rank", 1_024, 4.372415540279084),
    ("rank", 32, 4.369522058662739),
]
"""Bits per byte of LAMBADA's texts as documents, by model and context; 50,277 tokens."""


class Rule:
    """A model whose every probability is known: uniform, or by rank."""

    longest = None

    def __init__(self, kind: str, vocab_size: int) -> None:
        self.kind, self.vocab_size = kind, vocab_size
        self.normal = math.log(math.fsum(1 / rank for rank in range(1, vocab_size + 1)))

    def losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses: the rank of token j at place p behind x is (j - 7919x - 104729p) mod V."""
        read, place = (each[batch.rows, batch.columns] for each in (batch.ids, batch.places))
        rank = (batch.targets - 7919 * read - 104_729 * place) % self.vocab_size
        if self.kind == "uniform":
            same = torch.full(rank.shape, math.log(self.vocab_size), dtype=torch.float64)
            return same, rank < 0
        return (1 + rank.double()).log() + self.normal, rank == 0


def golden(tasks: dict[str, Task], encode: Any) -> None:
    """Print how far known models are from their known scores."""
    found: dict[tuple[str, int, str], TaskScore] = {}
    print("| model | vocabulary | task | metric | expected | off by |\n|---|--:|---|---|--:|--:|")
    for kind, size, name, metric, expected in GOLDEN:
        key = (kind, size, name)
        if key not in found:
            found[key] = own(tasks[name], sitting(Rule(kind, size), encode, CONTEXT, 16_384))
        value = (
            found[key].perplexity().value
            if metric == "perplexity"
            else found[key].mean(metric).value
        )
        off = abs(value / expected - 1)
        print(f"| {kind} | {size:,} | {name} | {metric} | {expected} | {off:.1e} |", flush=True)
    texts = [" ".join([*q.pairs[0][0].split(" "), q.pairs[0][1][1:]]) for q in _questions(tasks)]
    for kind, context, expected in TEXTS:
        score = documents(texts, sitting(Rule(kind, 50_277), encode, context, 16_384))
        off = abs(corpus_bits_per_byte(score) / expected - 1)
        row = f"| {kind} | 50,277 | texts, context {context} | bits per byte | {expected} |"
        print(f"{row} {off:.1e} |", flush=True)


def _questions(tasks: dict[str, Task]) -> tuple[Question, ...]:
    return tasks["lambada_openai"].questions


def sitting(rule: Rule, encode: Any, context: int, batch_tokens: int) -> Sitting:
    """Return a known model ready to be asked."""
    return Sitting(
        predictor=rule,
        encode=encode,
        prefix=0,
        context=context,
        overlap=0,
        batch_tokens=batch_tokens,
    )


def own(task: Task, sitting: Sitting) -> TaskScore:
    """Score a task as ``growlm evaluate --data`` does."""
    examples: list[ExampleScore] = []
    for chunk in _chunks(task.questions):
        examples += sitting.questions(task.form, [task.questions[each] for each in chunk])
    return TaskScore(task=task.name, examples=tuple(examples))


def _chunks(items: Sequence[Question] | Sequence[Document]) -> list[tuple[int, ...]]:
    return chunks_of([characters(each) for each in items], most=CHUNK_CHARACTERS)


def documents(texts: Sequence[str], sitting: Sitting) -> TaskScore:
    """Score texts as ``growlm evaluate --text`` does."""
    items = [Document(index=number, text=text) for number, text in enumerate(texts)]
    examples: list[ExampleScore] = []
    for chunk in _chunks(items):
        examples += sitting.documents([items[each] for each in chunk])
    return TaskScore(task="texts", examples=tuple(examples))


def make(folder: Path, tokenizer: Path, options: argparse.Namespace) -> None:
    """Save a random model as transformers does, with logits far enough apart to matter."""
    from transformers import GPT2Config, GPT2LMHeadModel, MptConfig, MptForCausalLM

    stream = torch.Generator().manual_seed(0)
    sizes = (options.width, options.layers, options.heads)
    model: Any
    if options.family == "gpt2":
        words = dict(zip(("n_embd", "n_layer", "n_head"), sizes, strict=True))
        model = GPT2LMHeadModel(GPT2Config(vocab_size=50_277, n_positions=CONTEXT, **words))
    else:
        words = dict(zip(("d_model", "n_layers", "n_heads"), sizes, strict=True))
        model = MptForCausalLM(MptConfig(vocab_size=50_277, max_seq_len=CONTEXT, **words))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.copy_(0.06 * torch.randn(weight.shape, generator=stream))
    model.save_pretrained(folder)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "bos_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))


def harness_task(task: Task, folder: Path) -> dict[str, Any]:
    """Return a task for the harness that reads our questions from a file of its own."""
    path = folder / f"{task.name}.jsonl"
    rows: list[dict[str, Any]] = []
    for each in task.questions:
        context, continuation = each.pairs[0]
        options = [pair[1][1:] for pair in each.pairs]
        rows.append(
            {"asked": context, "target": continuation}
            if task.form == "last-word"
            else {"asked": context, "options": options, "target": each.answer}
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kind = "loglikelihood" if task.form == "last-word" else "multiple_choice"
    return {
        "task": f"bench_{task.name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"eval": str(path)}},
        "test_split": "eval",
        "output_type": kind,
        "doc_to_text": "asked",
        "doc_to_target": "target",
        **({} if task.form == "last-word" else {"doc_to_choice": "options"}),
        "metric_list": [
            {"metric": name, "aggregation": how, "higher_is_better": name != "perplexity"}
            for name, how in METRICS[task.form]
        ],
        "metadata": {"version": 1.0},
    }


def harness_text(texts: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return texts as a task of the harness."""
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return {
        "task": "bench_texts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"eval": str(path)}},
        "test_split": "eval",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [
            {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}
        ],
        "metadata": {"version": 1.0},
    }


def by_harness(model: Any, task: dict[str, Any]) -> TaskScore | float:
    """Return what the harness makes of a model on a task: examples, or bits per byte."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    results: Any = cast(Any, lm_eval).simple_evaluate(
        model=model,
        tasks=[task],
        task_manager=cast(Any, TaskManager)(include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    if task["output_type"] == "loglikelihood_rolling":
        return results["results"][task["task"]]["bits_per_byte,none"]
    samples = results["samples"][task["task"]]
    return TaskScore(task=task["task"], examples=tuple(example_of(each) for each in samples))


class Clock:
    """Seconds inside a backend: of the harness, its model alone, without its own overhead."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return what counts the seconds that something takes."""

        def counted(*given: Any, **options: Any) -> Any:
            started = time.perf_counter()
            found = run(*given, **options)
            self.seconds += time.perf_counter() - started
            return found

        return counted

    def watched(self, model: Any) -> Any:
        """Return a model of the harness whose scoring is timed, its encoding included."""
        for name in ("loglikelihood", "loglikelihood_rolling"):
            setattr(model, name, self.timed(getattr(model, name)))
        return model


def furthest(one: TaskScore, other: TaskScore) -> float:
    """Return the largest difference of two log-likelihoods, by 1 + their size."""
    pairs = [
        (a, b)
        for left, right in zip(
            sorted(one.examples, key=lambda each: each.index),
            sorted(other.examples, key=lambda each: each.index),
            strict=True,
        )
        for a, b in zip(left.option_nats, right.option_nats, strict=True)
    ]
    return max(abs(a - b) / (1 + abs(a)) for a, b in pairs)


Backend = Callable[[str], TaskScore | float]


def backends(
    folder: Path, options: argparse.Namespace, tasks: Any, texts: Any, *, clock: Clock
) -> dict[str, Any]:
    """Return every backend by its name: from a task's name to its score."""
    from lm_eval.models.huggingface import HFLM

    home = Path(tempfile.mkdtemp(dir=folder))
    given = {name: harness_task(task, home) for name, task in tasks.items()}
    given["texts"] = harness_text(texts, home)
    examinee = seated(open_model(folder / "model"), "fp32")
    found: dict[str, Backend] = {}
    for rows in options.hf_batch:
        model = cast(Any, HFLM)(
            pretrained=str(folder / "model"),
            dtype="float32",
            batch_size=rows,
            max_length=CONTEXT,
            device=choose_device().type,
        )
        found[f"hf, batch {rows}"] = partial(asked_of, clock.watched(model), given)
    for tokens in options.own_batch:
        asked = sitting_of(examinee, CONTEXT, overlap=0, batch_tokens=tokens)

        found[f"own, batch {tokens}"] = clock.timed(partial(mine, asked, tasks, texts))
    model = model_of(sitting_of(examinee, CONTEXT, overlap=0, batch_tokens=options.own_batch[-1]))
    found["harness with ours"] = partial(asked_of, clock.watched(model), given)
    return found


def asked_of(model: Any, given: Any, name: str) -> TaskScore | float:
    """Return what the harness makes of a model on a task."""
    return by_harness(model, given[name])


def mine(sitting: Sitting, tasks: Any, texts: Sequence[str], name: str) -> TaskScore | float:
    """Return what our own path makes of a model on a task."""
    if name == "texts":
        return corpus_bits_per_byte(documents(texts, sitting))
    return own(tasks[name], sitting)


def shown(score: TaskScore | float) -> str:
    """Return a score in words."""
    if not isinstance(score, TaskScore):
        return f"{score:.7f} bits per byte"
    values = score.examples[0].values
    names = [name for name in ("acc", "acc_norm") if name in values]
    words = [f"{name} {score.mean(name).value:.6f}" for name in names]
    if "acc_norm" not in values:
        words.append(f"perplexity {score.perplexity().value:.8g}")
    return ", ".join(words)


def compare(folder: Path, options: argparse.Namespace, tasks: dict[str, Task]) -> None:
    """Print the parity and speed table; the backends take turns, task by task."""
    path = options.text or next(options.data.glob("lambada*"))
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()[: options.texts]]
    clock = Clock()
    every = backends(folder, options, tasks, texts, clock=clock)
    details = [f"{torch.get_num_threads()} threads", f"torch {torch.__version__}"]
    lines = [
        "# Evaluation beside lm-evaluation-harness",
        "",
        f"{options.family}, {options.layers} layers, width {options.width}, context {CONTEXT}, "
        f"fp32; seconds with encoding and speeds, each the median of {options.repeats} turns.",
        "",
        setting(*details) + ".",
        "",
        "| task | rows | backend | score | furthest log-likelihood | seconds | speed |",
        "|---|--:|---|---|--:|--:|--:|",
    ]
    print("\n".join(lines), flush=True)
    ratios: list[Ratio] = []
    for name in (*tasks, "texts"):
        rows = len(tasks[name].questions) if name in tasks else len(texts)
        scores, seconds = _turns(every, name, clock, options.repeats)
        theirs = next(iter(every))
        for backend, score in scores.items():
            line = (
                f"| {name} | {rows:,} | {backend} | {shown(score)} | "
                f"{_off(scores[theirs], score):.1e} | {median(seconds[backend]):.1f} | "
                f"{median(_times(seconds[theirs], seconds[backend])):.2f}x |"
            )
            lines.append(line)
            print(line, flush=True)
        ratios.append(_ratio(name, rows, scores, seconds))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        keep(options.out, ratios, details=details)


def _turns(
    every: dict[str, Backend], name: str, clock: Clock, repeats: int
) -> tuple[dict[str, TaskScore | float], dict[str, list[float]]]:
    """Return each backend's score and the seconds of each of its turns."""
    scores: dict[str, TaskScore | float] = {}
    seconds: dict[str, list[float]] = {backend: [] for backend in every}
    for _ in range(repeats):
        for backend, run in every.items():
            clock.seconds = 0.0
            scores[backend] = run(name)
            seconds[backend].append(clock.seconds)
    return scores, seconds


def _times(theirs: list[float], ours: list[float]) -> list[float]:
    """Return how many times as fast ours was, turn by turn."""
    return [one / other for one, other in zip(theirs, ours, strict=True)]


def _off(one: TaskScore | float, other: TaskScore | float) -> float:
    if isinstance(one, TaskScore) and isinstance(other, TaskScore):
        return furthest(one, other)
    return abs(cast(float, other) / cast(float, one) - 1)


def _ratio(
    name: str, rows: int, scores: dict[str, TaskScore | float], seconds: dict[str, list[float]]
) -> Ratio:
    """Return our fastest way beside the harness's fastest batch size."""
    theirs = min((each for each in seconds if each.startswith("hf")), key=_by(seconds))
    ours = min((each for each in seconds if each.startswith("own")), key=_by(seconds))
    return Ratio(
        what=f"scoring {name}, {rows:,} rows",
        peer=f"lm-eval {version('lm_eval')}, {theirs}",
        unit="s",
        better="less",
        ours=tuple(seconds[ours]),
        theirs=tuple(seconds[theirs]),
        remark=f"{ours}; scores {_off(scores[theirs], scores[ours]):.0e} apart",
    )


def _by(seconds: dict[str, list[float]]) -> Callable[[str], float]:
    return lambda backend: median(seconds[backend])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with the tasks' data")
    parser.add_argument("tokenizer", type=Path, help="GPT-NeoX's tokenizer.json")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--tasks", nargs="*", default=list(shipped()))
    parser.add_argument("--rows", type=int, default=None, help="of each task (all)")
    parser.add_argument("--text", type=Path, default=None, help="JSON lines with a field text")
    parser.add_argument("--texts", type=int, default=20, help="documents of it")
    parser.add_argument("--family", choices=("gpt2", "mpt"), default="gpt2")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--hf-batch", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--own-batch", type=int, nargs="+", default=[2_048, 16_384])
    parser.add_argument("--repeats", type=int, default=1, help="turns of each backend")
    parser.add_argument("--out", type=Path, default=None, help="a Markdown file to write")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    tasks = {
        name: load_task(read_task_file(name), options.data, limit=options.rows)
        for name in options.tasks
    }
    if options.golden:
        golden(tasks, spelling(options.tokenizer.read_text()))
        return
    with tempfile.TemporaryDirectory() as name:
        make(Path(name) / "model", options.tokenizer, options)
        compare(Path(name), options, tasks)


if __name__ == "__main__":
    main()
