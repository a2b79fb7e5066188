"""The evaluate step: bits per byte and the last-word task of a checkpoint, at each context."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from growlm.corpus.prepare import HELDOUT, heldout_texts
from growlm.evaluation.bits_per_byte import BitsPerByte, bits_per_byte
from growlm.evaluation.last_word import last_word, passages, questions_of
from growlm.evaluation.sitting import Sitting
from growlm.pipeline.events import Event, Notice, Progress
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.models import open_model
from growlm.pipeline.papers import Paper, heldout_paper, last_word_paper
from growlm.pipeline.seating import Examinee as Seated, seated, sitting_of
from growlm.pipeline.turns import scored, told
from growlm.recipe.sections import Evaluate
from growlm.report.view import EvaluationView, LastWordView
from growlm.training.parallel import ALONE, World

Label = Literal["final", "average", "ema", "grown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What checkpoints are scored on: held-out documents of each source, and passages."""

    multiples: tuple[int, ...]
    """Contexts, as multiples of a checkpoint's own."""
    batch_tokens: int
    """Tokens in a forward pass."""
    texts: tuple[Paper, ...]
    """The documents, a paper by the name of each source."""
    last_word: tuple[str, Paper] | None
    """The passages, and the source that they are of, if last words are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """A checkpoint about to be scored."""

    path: Path
    label: Label
    context: int
    """Its training context."""
    step: str
    """What progress is reported under."""


def exam_of(
    section: Evaluate, sources: Sequence[str], folder: RunFolder, *, seed: int | None
) -> Exam:
    """Return what a run's checkpoints are scored on.

    Args:
        section: The recipe's section.
        sources: Names of the sources.
        folder: The run's.
        seed: The experiment's, which chooses passages; None to ask for no last words.

    Raises:
        EvaluationError: The held-out documents have no text, or give too few passages.
    """
    texts = tuple(
        heldout_paper(name, folder.corpus / name / HELDOUT, documents=section.documents)
        for name in sources
    )
    return Exam(
        multiples=section.context_multiples,
        batch_tokens=section.batch,
        texts=texts,
        last_word=None if seed is None else _passages(section, folder, seed=seed),
    )


def _passages(section: Evaluate, folder: RunFolder, *, seed: int) -> tuple[str, Paper] | None:
    task = section.last_word
    if task is None:
        return None
    everything = heldout_texts(folder.corpus / task.source / HELDOUT, 1 << 30)
    chosen = passages(everything, examples=task.examples, seed=seed)
    return task.source, last_word_paper(task.source, questions_of(chosen))


def examine(
    examinee: Examinee, exam: Exam, *, world: World = ALONE
) -> Generator[Event, None, list[EvaluationView]]:
    """Score a checkpoint, yielding progress; return its scores, one entry a context.

    Args:
        examinee: The checkpoint.
        exam: What it is scored on.
        world: The ranks that share the work; all of them get the scores.

    Raises:
        CheckpointError: The checkpoint is damaged.
        EvaluationError: A score cannot be computed.
    """
    seat = seated(open_model(examinee.path), "fp32")
    for paper in exam.texts:
        yield from told(paper, end_of_text=seat.end_of_text)
    contexts = _contexts(examinee, exam, seat.decoder.longest)
    if len(contexts) < len(exam.multiples):
        yield Notice(
            text=f"{examinee.step}: scored up to context {seat.decoder.longest} only: "
            "that many positions were learned"
        )
    started, views = time.perf_counter(), list[EvaluationView]()
    for done, (multiple, context) in enumerate(contexts.items()):
        views.append(_scores(seat, exam, world, label=examinee.label, at=(multiple, context)))
        elapsed = time.perf_counter() - started
        yield Progress(
            step=examinee.step,
            done=done + 1,
            total=len(contexts),
            unit="contexts",
            loss=None,
            tokens_per_second=None,
            seconds_left=elapsed / (done + 1) * (len(contexts) - done - 1),
        )
    return views


def _contexts(examinee: Examinee, exam: Exam, longest: int | None) -> dict[int, int]:
    """Return the context of each multiple that the model can read."""
    found = {each: each * examinee.context for each in exam.multiples}
    return {
        each: context for each, context in found.items() if longest is None or context <= longest
    }


def _scores(
    seat: Seated, exam: Exam, world: World, *, label: Label, at: tuple[int, int]
) -> EvaluationView:
    multiple, context = at
    sitting = sitting_of(seat, context, overlap=0, batch_tokens=exam.batch_tokens)
    scores = {paper.name: bits_per_byte(scored(paper, sitting, world)) for paper in exam.texts}
    return EvaluationView(
        checkpoint=label,
        context=context,
        multiple=multiple,
        bits_per_byte={name: score.value for name, score in scores.items()},
        bits_per_byte_stderr=dict(_errors(scores)),
        documents={name: score.documents for name, score in scores.items()},
        capped=tuple(paper.name for paper in exam.texts if paper.capped),
        last_word=_last_word(exam, sitting, world),
    )


def _errors(scores: Mapping[str, BitsPerByte]) -> Iterator[tuple[str, float]]:
    for name, score in scores.items():
        if score.stderr is not None:
            yield name, score.stderr


def _last_word(exam: Exam, sitting: Sitting, world: World) -> LastWordView | None:
    if exam.last_word is None:
        return None
    source, paper = exam.last_word
    found = last_word(scored(paper, sitting, world))
    return LastWordView(
        source=source,
        examples=found.examples,
        accuracy=found.accuracy,
        accuracy_stderr=found.accuracy_stderr,
        perplexity=found.perplexity,
    )
