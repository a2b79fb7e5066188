"""What checkpoints know and write, from Python: scores, texts, and benchmarks they have seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from growlm.api.checkpoints import Checkpoint, path_of
from growlm.api.places import Place, Tell, nobody, place_of, told
from growlm.base.errors import RecipeError
from growlm.base.version import VERSION
from growlm.pipeline import exposing, generating, overlapping
from growlm.pipeline.examining import Options, Result, Results, examine_all
from growlm.pipeline.generating import USUAL, Order, Text
from growlm.pipeline.papers import Request, papers_of
from growlm.pipeline.ranks import joined
from growlm.pipeline.scoring import Scores, score_checkpoints
from growlm.report.view import EvaluationView
from growlm.web import playground


def evaluate(
    checkpoint: Place | Checkpoint, *, run: Place | None = None, tell: Tell = nobody
) -> tuple[EvaluationView, ...]:
    """Return a checkpoint's scores on a run's held-out documents, one for each context.

    Args:
        checkpoint: The checkpoint.
        run: The run; the one that the checkpoint lies in when None.
        tell: Told of every event.

    Raises:
        EvaluationError: It lies in no run, and none was named.
    """
    scores = Scores()
    told(score_checkpoints([path_of(checkpoint)], place_of(run), scores), tell)
    return tuple(view for _, view in scores.found)


def examine(
    *checkpoints: Place | Checkpoint,
    tasks: Sequence[str] = (),
    data: Place | None = None,
    text: Sequence[Place] = (),
    text_field: str = "text",
    context: Sequence[str] = (),
    limit: int | None = None,
    documents: int | None = 3_000,
    overlap: int = 0,
    batch: int = 16_384,
    dtype: Literal["fp32", "bf16"] = "fp32",
    out: Place = "scores",
    tell: Tell = nobody,
) -> tuple[Result, ...]:
    """Return scores on tasks or on texts, as ``growlm evaluate --tasks`` and ``--text`` do.

    Args:
        checkpoints: The models: checkpoints or Hugging Face folders.
        tasks: Names, as ``lambada_openai``, or paths of task files.
        data: Where the tasks' data lie; without it they come from lm-evaluation-harness.
        text: Files of texts, for bits per byte, where there are no tasks.
        text_field: The field with the text.
        context: As ``1024``, or as ``2x`` of the model's own; its own, at most 4096, when empty.
        limit: Rows of each task, at most, the first ones.
        documents: Documents of each text, at most, the first ones.
        overlap: Tokens that windows over a text read again.
        batch: Tokens in a forward pass.
        dtype: Of the weights and what is computed with them.
        out: Where a line for each example is kept, and found again.
        tell: Told of every event.

    Raises:
        RecipeError: Both tasks and texts are asked for, or neither.
        GrowlmError: A model, a task or a text cannot be read.
    """
    if bool(tasks) == bool(text):
        raise RecipeError(
            "tasks or text", got="both" if tasks else "neither", fix="text=['held-out.jsonl']"
        )
    request = Request(
        tasks=tuple(tasks),
        data=place_of(data),
        texts=tuple(Path(each) for each in text),
        text_field=text_field,
        limit=limit,
        documents=documents,
    )
    how = Options(
        contexts=tuple(context), overlap=overlap, batch_tokens=batch, dtype=dtype, out=Path(out)
    )
    paths, results = [path_of(each) for each in checkpoints], Results()
    with joined() as world:
        events = examine_all(paths, lambda: papers_of(request), how, world=world, results=results)
        told(events, tell)
    return tuple(results.found)


def generate(
    checkpoint: Place | Checkpoint,
    *prompts: str,
    tokens: int = USUAL.tokens,
    seed: int = USUAL.seed,
    temperature: float = USUAL.temperature,
    top_k: int | None = USUAL.top_k,
    top_p: float = USUAL.top_p,
    repetition_penalty: float = USUAL.repetition_penalty,
    greedy: bool = USUAL.greedy,
    go_on: bool = not USUAL.stop,
    no_compile: bool = False,
) -> tuple[Text, ...]:
    """Write prompts on with a checkpoint or a Hugging Face folder.

    Args:
        checkpoint: The model.
        prompts: What is written on.
        tokens: New tokens of each, at most.
        seed: Decides what is drawn.
        temperature: Divides the logits.
        top_k: Leave so many of the likeliest tokens; all when None.
        top_p: Leave the likeliest that have this probability.
        repetition_penalty: Above 1: tokens that stand there already are less likely.
        greedy: Take the likeliest token each time.
        go_on: Write on behind the end-of-text token.
        no_compile: Compile nothing, on a GPU too.

    Raises:
        GrowlmError: There is no such model, or a number is out of its range.
    """
    order = Order(
        tokens=tokens,
        seed=seed,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        greedy=greedy,
        stop=not go_on,
    )
    writer = generating.open_writer(path_of(checkpoint), compiled=not no_compile)
    return generating.write_all(writer, prompts, order)


def play(
    *checkpoints: Place | Checkpoint,
    port: int = playground.PORT,
    opened: bool = False,
    no_compile: bool = False,
) -> Any:
    """Open a page on this machine where checkpoints write side by side; return Gradio's object.

    It goes on in the background, until the object's ``close()``.

    Args:
        checkpoints: The models, one a column.
        port: Where it listens, on this machine only.
        opened: Whether a browser is opened at it.
        no_compile: Compile nothing, on a GPU too.

    Raises:
        RecipeError: Gradio is not installed, or the port is taken.
    """
    paths = [path_of(each) for each in checkpoints]
    blocks, _ = playground.opened_page(paths, port=port, opened=opened, compiled=not no_compile)
    return blocks


def overlap(
    sources: Sequence[str],
    against: Sequence[str],
    *,
    out: Place,
    fields: Sequence[str] = (),
    text_field: str = "text",
    rules: Literal["fast", "exact"] = "fast",
    tell: Tell = nobody,
) -> dict[str, Any]:
    """Return which benchmark examples stand in which texts; what ``overlap.json`` holds.

    Args:
        sources: Texts, each as ``NAME=GLOB``.
        against: Benchmarks, each as ``FILE``, ``NAME=FILE`` or ``lm-eval:TASK``.
        out: Where ``overlap.json`` and ``overlap.md`` go.
        fields: Which fields of a benchmark are text and answer: ``NAME:text=FIELD,answer=FIELD``.
        text_field: The field of a source's JSON line that holds the text.
        rules: Where the published rules look for words in a row.
        tell: Told of every event.

    Raises:
        GrowlmError: Something cannot be read, or the overlaps that were planted were not found.
    """
    what = overlapping.asked(sources, against, fields, text_field=text_field, rules=rules)
    events = overlapping.overlap_alone(what, out=Path(out), version=VERSION)
    while True:
        try:
            tell(next(events))
        except StopIteration as done:
            return done.value


def exposure(checkpoint: Place | Checkpoint) -> dict[str, Any]:
    """Return which benchmark examples a checkpoint was trained on, through all its parents.

    Raises:
        CheckpointError: It is damaged.
    """
    return exposing.summary(exposing.ledger_of(path_of(checkpoint)))
