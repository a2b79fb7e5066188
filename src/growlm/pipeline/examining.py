"""Examining models on tasks and texts: score sheets that are filled chunk by chunk, and kept."""

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from growlm.base.errors import EvaluationError, GrowlmError
from growlm.base.files import digest_of, sha256_bytes, sha256_file
from growlm.base.version import VERSION
from growlm.evaluation.bits_per_byte import corpus_bits_per_byte
from growlm.evaluation.bootstrap import interval
from growlm.evaluation.marking import LOG_LIKELIHOOD
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.sheet import Heading, Sheet, as_values, from_values
from growlm.evaluation.sitting import CHUNK_CHARACTERS, Document, Sitting, characters, chunks_of
from growlm.evaluation.tasks import FORMS, Question
from growlm.pipeline.events import Event, Notice, Progress
from growlm.pipeline.harness import HarnessTask, harness_scores
from growlm.pipeline.models import open_model
from growlm.pipeline.papers import DOCUMENTS, Paper
from growlm.pipeline.seating import Examinee, Precision, contexts_of, seated, sitting_of
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
                yield from _told(examinee, paper)
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

    A text has its bits per byte, and their 95% interval over documents. A last word has its
    perplexity, and so has nothing else: that of a right option says little.
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
    def column(name: str) -> list[float]:
        return [each.values[name] for each in score.examples]

    bits = [-nats / math.log(2) for nats in column("log_likelihood_nats")]
    bounds = interval(bits, column("bytes"), name=score.task)
    return {
        "bits_per_byte": {
            "value": corpus_bits_per_byte(score),
            "low": bounds.low,
            "high": bounds.high,
        },
        "documents": len(score.examples),
        "empty": sum(not size for size in column("bytes")),
        "bytes": int(math.fsum(column("bytes"))),
        "tokens": int(math.fsum(column("tokens"))),
    }


def _told(examinee: Examinee, paper: Paper) -> Iterator[Event]:
    """Yield what is odd about a paper."""
    texts = [each.text for each in paper.items if isinstance(each, Document)]
    spelt = sum(text.count(examinee.end_of_text) for text in texts)
    if spelt:
        yield Notice(
            text=f"{paper.name}: its texts spell '{examinee.end_of_text}' {spelt} times, which is "
            "read as that token"
        )
    empty = sum(not text for text in texts)
    if empty:
        yield Notice(text=f"{paper.name}: {empty} of {len(texts)} documents are empty: they add 0")


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
    lengths = [characters(item) for item in paper.items]
    chunks = chunks_of(lengths, most=CHUNK_CHARACTERS)
    todo = _todo(sheet, chunks, paper, world)
    started, total = time.perf_counter(), sum(len(chunks[each]) for each in todo)
    done = 0
    for start in range(0, len(todo), world.size):
        turn = todo[start : start + world.size]
        mine = chunks[turn[world.rank]] if world.rank < len(turn) else ()
        found = _gathered(_scored(paper, mine, sitting), world)
        if world.leads:
            sheet.add(found)
        done += sum(len(chunks[each]) for each in turn)
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
    if world.size > 1:
        raise EvaluationError(
            "one process for tasks of lm-evaluation-harness",
            got=f"{world.size} ranks",
            fix="--data FOLDER, whose tasks the ranks share",
        )
    sheet.open()
    if len(sheet.found) < task.rows:
        sheet.add(harness_scores(task, sitting))


def _todo(sheet: Sheet, chunks: Sequence[tuple[int, ...]], paper: Paper, world: World) -> list[int]:
    """Return the chunks that are not wholly scored yet, as the first rank finds them."""
    if not world.leads:
        return json.loads(world.hear())
    sheet.open()
    found = sheet.found
    todo = [
        number
        for number, chunk in enumerate(chunks)
        if any(paper.items[each].index not in found for each in chunk)
    ]
    world.say(json.dumps(todo))
    return todo


def _scored(paper: Paper, numbers: Sequence[int], sitting: Sitting) -> list[ExampleScore]:
    items = [paper.items[number] for number in numbers]
    if not items:
        return []
    try:
        if paper.form not in FORMS:
            return sitting.documents([each for each in items if isinstance(each, Document)])
        form = FORMS[FORMS.index(paper.form)]
        return sitting.questions(form, [each for each in items if isinstance(each, Question)])
    except EvaluationError as error:
        raise _of_paper(paper, error) from error


def _of_paper(paper: Paper, error: GrowlmError) -> EvaluationError:
    return EvaluationError(error.expected, got=error.got, fix=error.fix, where=paper.name)


def _gathered(mine: Sequence[ExampleScore], world: World) -> list[ExampleScore]:
    """Return the scores of all ranks, in the order of the ranks."""
    if world.size == 1:
        return list(mine)
    content = json.dumps([as_values(each) for each in mine]).encode()
    size = world.largest(len(content))
    padded = torch.frombuffer(bytearray(content.ljust(size)), dtype=torch.uint8)
    parts = [each.numpy().tobytes() for each in world.each(padded)]
    return [from_values(values) for part in parts for values in json.loads(part)]
