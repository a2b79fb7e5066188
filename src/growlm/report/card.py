"""The model card of an exported folder: what the Hub reads of it, and what people do."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from growlm.report.baselines import Score, task_scores
from growlm.report.data_notes import exposed
from growlm.report.limits import not_shown
from growlm.report.view import EvaluationView, RunView, StageView
from growlm.report.words import NOTHING, PLUS_MINUS, code, count, flops, number, plain, short, table

HUB = {
    "lambada_openai": "EleutherAI/lambada_openai",
    "piqa": "baber/piqa",
    "hellaswag": "Rowan/hellaswag",
}
"""Where the harness's tasks have their data on the Hub."""

METRICS = {"acc": "accuracy", "acc_norm": "accuracy", "perplexity": "perplexity"}
"""What the Hub calls metrics, where its word is another."""

_DATA_SET = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One stretch of the model's life."""

    stage: str
    """The stage's name."""
    origin: str
    """How its first weights came about."""
    layers: int
    """Layers during it."""
    tokens: int
    """Tokens trained in it."""

    @property
    def is_imported(self) -> bool:
        """Whether it was trained elsewhere, so that its tokens and FLOPs are not known."""
        return self.origin.startswith("imported")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card is made from."""

    name: str
    """The model's name."""
    license: str | None
    """As the Hub spells it; None where nobody said."""
    base_model: str | None
    """The model on the Hub that it goes back to; None where nobody said."""
    architecture: str
    """The class that reads it."""
    parameters: int
    """All of them."""
    context: int
    """Longest input that the folder admits."""
    trained_flops: float
    """Training FLOPs over its lineage."""
    lineage: tuple[Stretch, ...]
    """Its life, the oldest stretch first."""
    weights_sha256: str
    """Of the checkpoint's weights."""
    version: str
    """Of growlm."""
    run: RunView | None
    """The run it comes from, where its log is there."""
    stage: StageView | None
    """Its stage in that run."""
    evaluations: tuple[EvaluationView, ...]
    """Scores of this very checkpoint."""


def card(facts: Card) -> str:
    """Return the card: metadata for the Hub, then Markdown."""
    parts = [
        f"# {plain(facts.name)}",
        _opening(facts),
        f"## How it was made\n\n{_lineage(facts)}",
        f"## Use\n\n{_use(facts)}",
        f"## Scores\n\n{_scores(facts)}",
        f"## Training text\n\n{_text(facts)}",
    ]
    limits = _limits(facts)
    if limits:
        parts.append(f"## What this does not show\n\n{limits}")
    return f"---\n{metadata(facts)}---\n\n" + "\n\n".join(parts) + "\n"


def metadata(facts: Card) -> str:
    """Return what the Hub reads, as YAML."""
    grown = any(each.origin.startswith("grown") for each in facts.lineage)
    results = [entry for each in facts.evaluations for entry in _entries(each)]
    measured = {metric["type"] for entry in results for metric in entry["metrics"]}
    values: dict[str, Any] = {
        "license": facts.license,
        "base_model": facts.base_model,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["growlm", *(["grown"] if grown else [])],
        "datasets": data_sets(facts),
        "metrics": sorted(measured),
        "model-index": [{"name": facts.name, "results": results}] if results else [],
    }
    kept = {key: value for key, value in values.items() if value}
    return "\n".join(yaml(kept)) + "\n"


def data_sets(facts: Card) -> list[str]:
    """Return the data sets of the Hub that the stage or its parents read."""
    if facts.run is None or facts.stage is None:
        return []
    read = {name for name, epochs in facts.stage.source_epochs.items() if epochs}
    found = [
        name
        for source in facts.run.sources
        if source.name in read
        for name in _DATA_SET.findall(source.origin)
    ]
    return list(dict.fromkeys(found))


def yaml(value: Any) -> Iterator[str]:
    """Yield the lines of a mapping or a list; every word is quoted, so that it stays a word.

    >>> list(yaml({"a": [1, "no"], "b": {"c": 0.5}}))
    ['a:', '- 1', '- "no"', 'b:', '  c: 0.5']
    """
    if isinstance(value, dict):
        for key, each in cast(dict[str, Any], value).items():
            if isinstance(each, dict | list):
                indent = "  " if isinstance(each, dict) else ""
                yield f"{key}:"
                yield from (indent + line for line in yaml(each))
            else:
                yield f"{key}: {_scalar(each)}"
    elif isinstance(value, list):
        for each in cast(list[Any], value):
            first, *rest = yaml(each)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    """Return a scalar; YAML 1.1 reads a number with an exponent as a word, so it gets none."""
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if "e" not in text else f"{value:f}"
    return json.dumps(value, ensure_ascii=False)


def _entries(evaluation: EvaluationView) -> Iterator[dict[str, Any]]:
    """Yield the results of a checkpoint at one context, as the Hub's index has them."""
    scores = _all_scores(evaluation)
    for task in dict.fromkeys(task for task, _ in scores):
        metrics = [
            {
                "type": METRICS.get(metric, metric),
                "value": score.value,
                "name": f"{metric}, context {evaluation.context}",
            }
            for (name, metric), score in scores.items()
            if name == task and math.isfinite(score.value)
        ]
        if metrics:
            yield {
                "task": {"type": "text-generation"},
                "dataset": {"name": task, "type": HUB.get(task, task)},
                "metrics": metrics,
            }


def _all_scores(evaluation: EvaluationView) -> dict[tuple[str, str], Score]:
    """Return every score, of held-out documents and of tasks."""
    errors = evaluation.bits_per_byte_stderr
    held_out = {
        (f"{source}, held out", "bits_per_byte"): Score(value=bits, stderr=errors.get(source))
        for source, bits in evaluation.bits_per_byte.items()
    }
    return {**held_out, **task_scores(evaluation.tasks)}


def _opening(facts: Card) -> str:
    run = ""
    if facts.run is not None and facts.stage is not None:
        run = f", stage {code(facts.stage.name)} of run {code(facts.run.name)}"
    return (
        f"A decoder of {count(facts.parameters)} parameters in the layout of "
        f"{code(facts.architecture)}, for inputs of up to {facts.context:,} tokens{run}. Exported "
        f"by growlm {plain(facts.version)}; the weights' SHA-256 before export is "
        f"{code(facts.weights_sha256)}."
    )


def _lineage(facts: Card) -> str:
    rows = [
        [code(each.stage), plain(each.origin), str(each.layers), _tokens(each)]
        for each in facts.lineage
    ]
    imported = any(each.is_imported for each in facts.lineage)
    beside = ", beside those of the imported model, which are not known" if imported else ""
    whole = f"{flops(facts.trained_flops)} training FLOPs in all{beside}."
    return (
        table(("Stage", "First weights", "Layers", "Tokens"), rows, words=(0, 1)) + f"\n\n{whole}"
    )


def _tokens(stretch: Stretch) -> str:
    return "not known" if stretch.is_imported else count(stretch.tokens)


def _use(facts: Card) -> str:
    return "\n".join(
        [
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f'model = AutoModelForCausalLM.from_pretrained("path/to/{facts.name}")',
            f'tokenizer = AutoTokenizer.from_pretrained("path/to/{facts.name}")',
            "```",
        ]
    )


def _scores(facts: Card) -> str:
    rows = [
        [plain(task), plain(metric), f"{each.context:,}", _shown(score)]
        for each in facts.evaluations
        for (task, metric), score in _all_scores(each).items()
    ]
    if not rows:
        return "No scores of these weights lie beside the checkpoint."
    told = "Accuracies are shares; bits per byte do not depend on the tokenizer."
    return f"{told}\n\n" + table(("Data", "Metric", "Context", "Score"), rows, words=(0, 1))


def _shown(score: Score) -> str:
    value = number(score.value, 4) if abs(score.value) < 100 else short(score.value)
    return value + ("" if score.stderr is None else f" {PLUS_MINUS} {number(score.stderr, 4)}")


def _text(facts: Card) -> str:
    if facts.run is None or facts.stage is None:
        return "What it was trained on does not stand beside the checkpoint."
    epochs = facts.stage.source_epochs
    rows = [
        [code(source.name), plain(source.origin), f"{epochs[source.name]:.2f}"]
        for source in facts.run.sources
        if epochs.get(source.name)
    ]
    alone = facts.run.model_copy(update={"stages": (facts.stage,)})
    read = table(("Source", "Origin", "Times read"), rows, words=(0, 1))
    return "\n\n".join([read or NOTHING, *exposed(alone)])


def _limits(facts: Card) -> str:
    if facts.run is None:
        return ""
    return "\n".join(f"- **{question}:** {reason}" for question, reason in not_shown(facts.run))
