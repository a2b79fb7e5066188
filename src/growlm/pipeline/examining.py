"""Examining models on tasks and texts: score sheets that are filled chunk by chunk, and kept."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from growlm.base.files import digest_of, sha256_bytes, sha256_file
from growlm.base.version import VERSION
from growlm.evaluation.bits_per_byte import bits_per_byte
from growlm.evaluation.marking import LOG_LIKELIHOOD
from growlm.evaluation.results import TaskScore
from growlm.evaluation.sheet import Heading, Sheet
from growlm.evaluation.sitting import Sitting
from growlm.pipeline.events import Event, Progress
from growlm.pipeline.harness import HarnessTask, harness_scores
from growlm.pipeline.models import open_model
from growlm.pipeline.papers import DOCUMENTS, Paper
from growlm.pipeline.seating import Examinee, Precision, contexts_of, seated, sitting_of
from growlm.pipeline.turns import chunks, told, turns
from growlm.training.parallel import World

PACKAGE = Path(__file__).parents[1]

SCORING = ("evaluation", "model")
"""Rooms whose code a score depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How models are examined."""

    contexts: tuple[str, ...]
    """Tokens as ``1024``, or multiples of the model's own context as ``2x``; none for its own."""
    overlap: int
    """Tokens that windows over documents read again."""
    batch_tokens: int
    dtype: Precision
    out: Path
    """Where score sheets lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A model's score on a paper at one context."""

    checkpoint: Path
    heading: Heading
    score: TaskScore
    sheet: Path
    capped: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it: means with their standard errors, and all of the heading."""
        return {
            "checkpoint": str(self.checkpoint),
            **asdict(self.heading),
            **measures(self.score),
            "capped": self.capped,
            "sheet": str(self.sheet),
        }


@dataclass(slots=True)
class Results:
    """Where results are collected."""

    found: list[Result] = field(default_factory=list[Result])


def examine_all(
    paths: Sequence[Path],
    papers: Callable[[], Sequence[Paper]],
    options: Options,
    *,
    world: World,
    results: Results,
) -> Iterator[Event]:
    """Score models on papers, each at every context, and collect what comes of it.

    Args:
        paths: Checkpoints of ours, or Hugging Face folders.
        papers: Reads what they are scored on.
        options: How.
        world: The ranks that share the work; the first one writes.
        results: Filled, on the first rank.

    Raises:
        CheckpointError: A model is damaged, or of a kind that ours has no place for.
        EvaluationError: A score cannot be computed.
        StorageError: A sheet cannot be written.
    """
    models = [open_model(path) for path in paths]
    ready = papers()
    for model in models:
        examinee = seated(model, options.dtype)
        for context in contexts_of(model, options.contexts):
            sitting = sitting_of(
                examinee, context, overlap=options.overlap, batch_tokens=options.batch_tokens
            )
            for paper in ready:
                yield from told(paper, end_of_text=examinee.end_of_text)
                heading = _heading(examinee, paper, context, options)
                sheet = Sheet(options.out, heading)
                yield from _filled(sheet, paper, sitting, step=examinee.step, world=world)
                if world.leads:
                    result = Result(
                        checkpoint=examinee.path,
                        heading=heading,
                        score=sheet.score(),
                        sheet=sheet.path,
                        capped=paper.capped,
                    )
                    results.found.append(result)


def code_version() -> str:
    """Return growlm's version, a digest of the code that scores, and torch's version."""
    modules = [path for room in SCORING for path in sorted((PACKAGE / room).rglob("*.py"))]
    digest = digest_of({str(path.relative_to(PACKAGE)): sha256_file(path) for path in modules})
    return f"{VERSION}+{digest[:12]}, torch {torch.__version__}"


def measures(score: TaskScore) -> dict[str, Any]:
    """Return what a task came to: each metric, and how sure it is.

    A text has its bits per byte, with standard error and 95% interval over documents. A last word
    has its perplexity, and so has nothing else: that of a right option says little.
    """
    values = score.examples[0].values
    if "bytes" in values:
        return _text_measures(score)
    named = [name for name in values if name != LOG_LIKELIHOOD]
    means = {name: score.mean(name) for name in named}
    if LOG_LIKELIHOOD in values and "acc_norm" not in values:
        means["perplexity"] = score.perplexity()
    shown = {name: {"value": mean.value, "stderr": mean.stderr} for name, mean in means.items()}
    return {**shown, "examples": len(score.examples)}


def _text_measures(score: TaskScore) -> dict[str, Any]:
    found = bits_per_byte(score)
    bits = {
        "value": found.value,
        "stderr": found.stderr,
        "low": found.low,
        "high": found.high,
    }
    return {
        "bits_per_byte": bits,
        "documents": found.documents,
        "empty": found.empty,
        "bytes": found.bytes,
        "tokens": found.tokens,
    }


def _heading(examinee: Examinee, paper: Paper, context: int, options: Options) -> Heading:
    return Heading(
        task=paper.name,
        version=paper.version,
        asked=paper.asked,
        data_sha256=paper.sha256,
        rows=paper.rows,
        limit=paper.limit,
        context=context,
        overlap=options.overlap if paper.form == DOCUMENTS else 0,
        dtype=options.dtype,
        batch_tokens=options.batch_tokens,
        prefix=examinee.prefix,
        tokenizer_sha256=sha256_bytes(examinee.tokenizer.json.encode()),
        weights_sha256=examinee.weights,
        code=code_version(),
    )


def _filled(
    sheet: Sheet, paper: Paper, sitting: Sitting, *, step: str, world: World
) -> Generator[Event, None, None]:
    """Score what a sheet lacks, a chunk a rank at a time; the harness scores all at once."""
    if paper.harness is not None:
        _by_harness(sheet, paper.harness, sitting, world)
        return
    parts = chunks(paper)
    todo = [parts[each] for each in _todo(sheet, parts, paper, world)]
    started, total = time.perf_counter(), sum(map(len, todo))
    done = 0
    for found in turns(paper, sitting, todo, world):
        if world.leads:
            sheet.add(found)
        done += len(found)
        elapsed = time.perf_counter() - started
        yield Progress(
            step=f"{step}:{paper.name}",
            done=paper.rows - total + done,
            total=paper.rows,
            unit="documents" if paper.form == DOCUMENTS else "examples",
            loss=None,
            tokens_per_second=None,
            seconds_left=elapsed / done * (total - done),
        )


def _by_harness(sheet: Sheet, task: HarnessTask, sitting: Sitting, world: World) -> None:
    """Score what a sheet lacks with the harness, which scores a task as a whole."""
    if _is_open(sheet, task, world):
        found = harness_scores(task, sitting, world)
        if world.leads:
            sheet.add(found)


def _is_open(sheet: Sheet, task: HarnessTask, world: World) -> bool:
    """Return whether a sheet lacks something, as the first rank finds it."""
    if not world.leads:
        return json.loads(world.hear())
    sheet.open()
    lacks = len(sheet.found) < task.rows
    world.say(json.dumps(lacks))
    return lacks


def _todo(sheet: Sheet, parts: Sequence[tuple[int, ...]], paper: Paper, world: World) -> list[int]:
    """Return the chunks that are not wholly scored yet, as the first rank finds them."""
    if not world.leads:
        return json.loads(world.hear())
    sheet.open()
    found = sheet.found
    todo = [
        number
        for number, chunk in enumerate(parts)
        if any(paper.items[each].index not in found for each in chunk)
    ]
    world.say(json.dumps(todo))
    return todo
