"""The evaluate step: bits per byte and the last-word task of a checkpoint, at each context."""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from growlm import checkpoint
from growlm.base.errors import EvaluationError
from growlm.corpus import tokenizer as tokenizers
from growlm.corpus.prepare import HELDOUT, heldout_texts
from growlm.corpus.tokenizer import Tokenizer
from growlm.evaluation.bits_per_byte import BitsPerByte, bits_per_byte
from growlm.evaluation.last_word import Passage, last_word, passages
from growlm.model.gpt import GPT, with_weights
from growlm.pipeline.events import Event, Notice, Progress
from growlm.pipeline.folder import RunFolder
from growlm.recipe.sections import Evaluate
from growlm.report.view import EvaluationView, LastWordView
from growlm.training.device import choose_device

Label = Literal["final", "average", "ema", "grown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What checkpoints are scored on: held-out texts of each source, and passages."""

    section: Evaluate
    texts: Mapping[str, Sequence[str]]
    capped: tuple[str, ...]
    """Sources of which only the first documents are scored."""
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """A checkpoint about to be scored."""

    path: Path
    label: Label
    context: int
    """Its training context."""
    step: str
    """What progress is reported under."""


def exam_of(section: Evaluate, sources: Sequence[str], folder: RunFolder, *, seed: int) -> Exam:
    """Return what a run's checkpoints are scored on.

    Raises:
        EvaluationError: The held-out documents give too few passages.
    """
    found = {
        name: heldout_texts(folder.corpus / name / HELDOUT, section.documents + 1)
        for name in sources
    }
    task = section.last_word
    everything = heldout_texts(folder.corpus / task.source / HELDOUT, 1 << 30) if task else []
    return Exam(
        section=section,
        texts={name: texts[: section.documents] for name, texts in found.items()},
        capped=tuple(name for name, texts in found.items() if len(texts) > section.documents),
        passages=tuple(passages(everything, examples=task.examples, seed=seed)) if task else (),
    )


def examine(examinee: Examinee, exam: Exam) -> Generator[Event, None, list[EvaluationView]]:
    """Score a checkpoint, yielding progress; return its scores, one entry a context.

    Raises:
        CheckpointError: The checkpoint is damaged.
        EvaluationError: A score cannot be computed.
    """
    meta = checkpoint.read_meta(examinee.path)
    checkpoint.verify(examinee.path, meta)
    model = with_weights(meta.gpt_config(), checkpoint.load_weights(examinee.path))
    model.to(choose_device())
    tokenizer = tokenizers.from_json(
        checkpoint.load_tokenizer(examinee.path), end_of_text=meta.end_of_text
    )
    contexts = _contexts(examinee, exam, model)
    if len(contexts) < len(exam.section.context_multiples):
        yield Notice(
            text=f"{examinee.step}: scored up to context {model.config.context} only: "
            "that many positions were learned"
        )
    started, views = time.perf_counter(), list[EvaluationView]()
    for done, (multiple, context) in enumerate(contexts.items()):
        views.append(_scores(examinee, exam, model, tokenizer, context=context, multiple=multiple))
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


def _contexts(examinee: Examinee, exam: Exam, model: GPT) -> dict[int, int]:
    """Return the context of each multiple that the model can read."""
    found = {each: each * examinee.context for each in exam.section.context_multiples}
    if model.config.positions != "learned":
        return found
    return {each: context for each, context in found.items() if context <= model.config.context}


def _scores(
    examinee: Examinee,
    exam: Exam,
    model: GPT,
    tokenizer: Tokenizer,
    *,
    context: int,
    multiple: int,
) -> EvaluationView:
    scores = {
        name: _bits_per_byte(name, texts, exam, model, tokenizer, context)
        for name, texts in exam.texts.items()
    }
    return EvaluationView(
        checkpoint=examinee.label,
        context=context,
        multiple=multiple,
        bits_per_byte={name: score.bits_per_byte for name, score in scores.items()},
        documents={name: score.documents for name, score in scores.items()},
        capped=exam.capped,
        last_word=_last_word(exam, model, tokenizer, context),
    )


def _bits_per_byte(  # noqa: PLR0917 - one caller, above
    name: str, texts: Sequence[str], exam: Exam, model: GPT, tokenizer: Tokenizer, context: int
) -> BitsPerByte:
    try:
        return bits_per_byte(
            model,
            texts,
            encode=tokenizer.encode,
            end_of_text=tokenizer.end_of_text,
            context=context,
            batch_tokens=exam.section.batch,
        )
    except EvaluationError as error:
        raise EvaluationError(
            f"source '{name}': {error.expected}", got=error.got, fix=error.fix
        ) from error


def _last_word(exam: Exam, model: GPT, tokenizer: Tokenizer, context: int) -> LastWordView | None:
    task = exam.section.last_word
    if task is None:
        return None
    found = last_word(
        model,
        exam.passages,
        encode=tokenizer.encode,
        end_of_text=tokenizer.end_of_text,
        context=context,
        batch_tokens=exam.section.batch,
    )
    return LastWordView(
        source=task.source,
        examples=found.examples,
        accuracy=found.accuracy,
        accuracy_stderr=found.accuracy_stderr,
        perplexity=found.perplexity,
    )
