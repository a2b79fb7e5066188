"""Examining models on tasks and texts: score sheets that are filled chunk by chunk, and kept."""

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from growlm.base.errors import EvaluationError, GrowlmError
from growlm.base.files import digest_of, sha256_bytes, sha256_file
from growlm.base.version import VERSION
from growlm.corpus.packed import PACKINGS
from growlm.corpus.reading import Form as RecordForm, Lost, read
from growlm.corpus.tokenizer import Tokenizer, from_json, parsed
from growlm.evaluation.bits_per_byte import corpus_bits_per_byte
from growlm.evaluation.bootstrap import interval
from growlm.evaluation.decoder import Decoder, check_context
from growlm.evaluation.request import Encode
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.sheet import Heading, Sheet, as_values, from_values
from growlm.evaluation.sitting import Document, Sitting, characters, chunks_of
from growlm.evaluation.tasks import Question, load_task, read_task_file
from growlm.huggingface.tokens import special_ids
from growlm.model.gpt import weight_shapes, with_weights
from growlm.pipeline.events import Event, Notice, Progress
from growlm.pipeline.models import Model, open_model
from growlm.training.device import choose_device
from growlm.training.parallel import World

Precision = Literal["fp32", "bf16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What weights are in, and what is computed with them; logits are in fp32 always."""

LONGEST_DEFAULT = 4_096
"""Context, at most, that is taken unless one is asked for."""

DOCUMENTS = "documents"
"""How a text is asked: every token of every document."""

PACKAGE = Path(__file__).parents[1]

SCORING = ("evaluation", "model")
"""Rooms whose code a score depends on."""

SUFFIXES = {".jsonl", ".json", ".txt", ".md", ".tex", ".parquet", *(p.suffix for p in PACKINGS)}
"""What is left out where a text goes by its file's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How models are examined."""

    contexts: tuple[str, ...]
    """Tokens as ``1024``, or multiples of the model's own context as ``2x``; none for its own."""
    limit: int | None
    """Rows of each task, at most, the first ones."""
    documents: int | None
    """Documents of each text, at most, the first ones."""
    overlap: int
    """Tokens that windows over documents read again."""
    text_field: str
    """The field of a record that holds the text."""
    batch_tokens: int
    dtype: Precision
    out: Path
    """Where score sheets lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is scored: the questions of a task, or the documents of a text."""

    name: str
    version: str
    form: Literal["last-word", "choice", "documents"]
    asked: str
    sha256: str
    items: Sequence[Question] | Sequence[Document]
    limit: int | None
    capped: bool
    """Whether there were more documents than are scored."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """A model ready to be asked."""

    path: Path
    model: Model
    decoder: Decoder
    tokenizer: Tokenizer
    encode: Encode
    end_of_text: str
    prefix: int
    weights: str

    @property
    def step(self) -> str:
        """What progress is reported under."""
        return f"evaluate:{self.path.name}"


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
            check_context(examinee.decoder, context)
            for paper in ready:
                yield from _told(examinee, paper)
                sitting = _sitting(examinee, context, options)
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


def task_papers(names: Sequence[str], data: Path, *, limit: int | None) -> list[Paper]:
    """Return tasks as papers, from local files.

    Raises:
        EvaluationError: A task has no file, or its data are not as it says.
        CorpusError: The data are not JSON lines, or lack a field.
    """
    files = [read_task_file(name) for name in names]
    tasks = [load_task(file, data, limit=limit) for file in files]
    return [
        Paper(
            name=task.name,
            version=task.version,
            form=task.form,
            asked=task.asked,
            sha256=task.sha256,
            items=task.questions,
            limit=limit,
            capped=False,
        )
        for task in tasks
    ]


def text_papers(paths: Sequence[Path], options: Options) -> list[Paper]:
    """Return files of texts as papers: JSON lines, plain text or parquet, packed or not.

    Texts are taken as they are, without cleaning.

    Raises:
        CorpusError: A file cannot be read, or a record has no text.
        EvaluationError: No document has any text.
    """
    return [_text_paper(path, options) for path in paths]


def _text_paper(path: Path, options: Options) -> Paper:
    form = RecordForm(text_field=options.text_field, id_field=None, split=None)
    found: list[Document] = []
    capped = False
    for record in read(path, form):
        if isinstance(record, Lost):
            raise record.error
        if len(found) == options.documents:
            capped = True
            break
        found.append(Document(index=len(found), text=record.text))
    if not any(each.text for each in found):
        raise EvaluationError(
            f"documents with text in {path}",
            got=f"{len(found)} empty ones" if found else "none",
            fix="another file, or --text-field FIELD",
        )
    return Paper(
        name=_stem(path),
        version="1",
        form=DOCUMENTS,
        asked=digest_of([DOCUMENTS, options.text_field]),
        sha256=sha256_file(path),
        items=found,
        limit=options.documents,
        capped=capped,
    )


def _stem(path: Path) -> str:
    while path.suffix in SUFFIXES:
        path = path.with_suffix("")
    return path.name


def seated(model: Model, dtype: Precision) -> Examinee:
    """Return a model loaded on its device, with the tokenizer as the harness would use it.

    Special tokens that a text spells out are those tokens, as with transformers; the prefix is the
    token that begins a sequence where the tokenizer names one, else the end of text.

    Raises:
        CheckpointError: It is damaged.
        CorpusError: Its tokenizer is none.
    """
    model.verify()
    tokens = model.tokens()
    tokenizer = from_json(tokens.json, end_of_text=tokens.end_of_text)
    begin = special_ids(tokenizer, tokens.files)["bos_token_id"]
    weights = {name: model.read(name) for name in weight_shapes(model.config)}
    gpt = with_weights(model.config, weights).to(choose_device(), DTYPES[dtype])
    return Examinee(
        path=model.path,
        model=model,
        decoder=Decoder(gpt),
        tokenizer=tokenizer,
        encode=spelling(tokens.json),
        end_of_text=tokens.end_of_text,
        prefix=tokenizer.end_of_text if begin is None else begin,
        weights=model.identity(),
    )


def spelling(json: str) -> Encode:
    """Return a tokenizer's way from texts to ids that takes special tokens as they are spelt."""
    backend = parsed(json)
    backend.no_truncation()
    backend.no_padding()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        found = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [each.ids for each in found]

    return encode


def contexts_of(model: Model, asked: Sequence[str]) -> list[int]:
    """Return the contexts that are asked for, as tokens.

    Raises:
        EvaluationError: One is no length.
    """
    if not asked:
        return [min(model.config.context, LONGEST_DEFAULT)]
    contexts: list[int] = []
    for word in asked:
        number = word.removesuffix("x")
        if not number.isdecimal() or not int(number):
            raise EvaluationError(
                "a context as 1024 tokens, or as 2x for twice the model's own",
                got=f"'{word}'",
                fix="--context 1x,2x,4x",
            )
        contexts.append(int(number) * (model.config.context if word.endswith("x") else 1))
    return list(dict.fromkeys(contexts))


def code_version() -> str:
    """Return growlm's version, a digest of the code that scores, and torch's version."""
    modules = [path for room in SCORING for path in sorted((PACKAGE / room).rglob("*.py"))]
    digest = digest_of(
        {str(path.relative_to(PACKAGE)): sha256_file(path) for path in modules}
    )
    return f"{VERSION}+{digest[:12]}, torch {torch.__version__}"


def measures(score: TaskScore) -> dict[str, Any]:
    """Return what a task came to: each metric, and how sure it is.

    A text has its bits per byte, and their 95% interval over documents.
    """
    values = score.examples[0].values
    if "bytes" in values:
        return _text_measures(score)
    found: dict[str, Any] = {
        name: {"value": mean.value, "stderr": mean.stderr}
        for name in ("acc", "acc_norm")
        if name in values
        for mean in [score.mean(name)]
    }
    if "acc_norm" not in values:
        perplexity = score.perplexity()
        found["perplexity"] = {"value": perplexity.value, "stderr": perplexity.stderr}
    return {**found, "examples": len(score.examples)}


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


def _sitting(examinee: Examinee, context: int, options: Options) -> Sitting:
    return Sitting(
        predictor=examinee.decoder,
        encode=examinee.encode,
        prefix=examinee.prefix,
        context=context,
        overlap=options.overlap,
        batch_tokens=options.batch_tokens,
    )


def _heading(examinee: Examinee, paper: Paper, context: int, options: Options) -> Heading:
    return Heading(
        task=paper.name,
        version=paper.version,
        asked=paper.asked,
        data_sha256=paper.sha256,
        rows=len(paper.items),
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
    """Score what a sheet lacks, a chunk a rank at a time."""
    chunks = chunks_of([characters(item) for item in paper.items])
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
            done=len(paper.items) - total + done,
            total=len(paper.items),
            unit="documents" if paper.form == DOCUMENTS else "examples",
            loss=None,
            tokens_per_second=None,
            seconds_left=elapsed / done * (total - done),
        )


def _todo(
    sheet: Sheet, chunks: Sequence[tuple[int, ...]], paper: Paper, world: World
) -> list[int]:
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
        if paper.form == DOCUMENTS:
            return sitting.documents([each for each in items if isinstance(each, Document)])
        return sitting.questions(paper.form, [each for each in items if isinstance(each, Question)])
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
    parts = [bytes(each.tolist()) for each in world.each(padded)]
    return [from_values(values) for part in parts for values in json.loads(part)]
