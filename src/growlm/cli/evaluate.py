"""``growlm evaluate``: scores of models on tasks, on texts, or on a run's held-out documents."""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from growlm.base.errors import RecipeError
from growlm.cli import options as shared
from growlm.cli.contamination_table import contamination_table
from growlm.cli.parser import count, whole_number
from growlm.cli.show import show
from growlm.cli.tables import print_table
from growlm.pipeline.events import Event
from growlm.pipeline.examining import (
    Options,
    Result,
    Results,
    examine_all,
    measures,
)
from growlm.pipeline.papers import Paper, Request, papers_of
from growlm.pipeline.ranks import joined
from growlm.pipeline.scoring import Scores, score_checkpoints
from growlm.pipeline.seating import BATCH_TOKENS, CPU_BATCH_TOKENS, default_batch_tokens
from growlm.pipeline.tasking import held_against
from growlm.report.view import EvaluationView

DOCUMENTS = 3_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CKPT",
        help="checkpoints' folders; for --tasks and --text Hugging Face folders too",
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=None,
        metavar="RUN",
        help="the run whose held-out text is used (the one CKPT lies in)",
    )
    _what(parser)
    _how(parser)
    shared.output(parser)


def _what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tasks",
        type=_words,
        default=(),
        metavar="TASK,...",
        help="tasks instead, as lambada_openai,piqa,hellaswag, or paths of task files",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where the tasks' data lie; without it they come from lm-evaluation-harness",
    )
    parser.add_argument(
        "--searched",
        type=Path,
        default=None,
        metavar="FILE",
        help="the overlap.json of what the models were trained on (that of the run CKPT lies in)",
    )
    parser.add_argument(
        "--text",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="bits per byte of JSON lines, plain text or parquet instead",
    )
    parser.add_argument(
        "--text-field", default="text", metavar="FIELD", help="the field with the text (text)"
    )


def _how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--context",
        type=_words,
        default=(),
        metavar="TOKENS,...",
        help="as 1024, or as 1x,2x,4x of the model's own (its own, at most 4096)",
    )
    parser.add_argument(
        "--limit",
        type=whole_number("--limit"),
        default=None,
        metavar="ROWS",
        help="rows of each task, the first ones (all)",
    )
    parser.add_argument(
        "--documents",
        type=whole_number("--documents"),
        default=DOCUMENTS,
        metavar="N",
        help=f"documents of each text, the first ones ({DOCUMENTS})",
    )
    parser.add_argument(
        "--overlap",
        type=whole_number("--overlap"),
        default=0,
        metavar="TOKENS",
        help="tokens that windows over a text read again (0, as the harness does it)",
    )
    parser.add_argument(
        "--batch",
        type=count("--batch"),
        default=None,
        metavar="TOKENS",
        help=f"tokens in a forward pass ({CPU_BATCH_TOKENS} on a CPU, {BATCH_TOKENS} elsewhere)",
    )
    parser.add_argument(
        "--dtype",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of the weights and what is computed with them; logits are in fp32 (fp32)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("scores"),
        metavar="FOLDER",
        help="where a line for each example is kept, and found again (scores)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    _check(options)
    if options.tasks or options.text:
        return _examine(options)
    return _score(options)


def _score(options: argparse.Namespace) -> int:
    scores = Scores()
    with joined() as world:
        events = score_checkpoints(options.checkpoints, options.run, scores, world=world)
        if not _shown(events, options, leads=world.leads):
            return 0
    if options.json:
        for path, view in scores.found:
            print(json.dumps({"checkpoint": str(path), "scores": view.model_dump(mode="json")}))
    elif not options.quiet:
        print_table(_table(scores))
    return 0


def _shown(events: Iterator[Event], options: argparse.Namespace, *, leads: bool) -> bool:
    """Show events on the first rank, go through them in silence on the others; return which."""
    if leads:
        show(events, options)
        return True
    for _event in events:
        continue
    return False


def _check(options: argparse.Namespace) -> None:
    """Refuse options that exclude each other, or that nothing would read."""
    asked = [name for name in ("run", "tasks", "text") if getattr(options, name)]
    if len(asked) > 1:
        raise RecipeError(
            "one of --run, --tasks and --text",
            got=" and ".join(f"--{name}" for name in asked),
            fix=f"a command for each: --{asked[-1]} alone",
        )
    needed = {
        "data": "tasks",
        "searched": "tasks",
        "limit": "tasks",
        "context": "tasks or --text",
        "overlap": "text",
    }
    for name, other in needed.items():
        if getattr(options, name) and not any(word in other for word in asked):
            raise RecipeError(f"--{name} with --{other}", got=f"--{name} alone", fix=f"--{other}")


def _examine(options: argparse.Namespace) -> int:
    how = Options(
        contexts=options.context,
        overlap=options.overlap,
        batch_tokens=options.batch or default_batch_tokens(),
        dtype=options.dtype,
        out=options.out,
    )

    results = Results()
    with joined() as world:
        events = examine_all(
            options.checkpoints, partial(_papers, options), how, world=world, results=results
        )
        if not _shown(events, options, leads=world.leads):
            return 0
    _tell(results, options)
    return 0


def _tell(results: Results, options: argparse.Namespace) -> None:
    held = held_against(results, options.searched) if options.tasks else ()
    if options.json:
        for result in results.found:
            place = (str(result.checkpoint), result.heading.task)
            views = [each for each in held if (each.stage, each.task) == place]
            known = {"contamination": [each.model_dump(mode="json") for each in views]}
            print(json.dumps(result.as_dict() | (known if views else {})))
    elif not options.quiet:
        print_table(_text_table(results) if options.text else _task_table(results))
        if held:
            print_table(contamination_table(held))


def _papers(options: argparse.Namespace) -> Sequence[Paper]:
    return papers_of(
        Request(
            tasks=options.tasks,
            data=options.data,
            texts=tuple(options.text),
            text_field=options.text_field,
            limit=options.limit,
            documents=options.documents,
        )
    )


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas.

    >>> _words("lambada_openai, piqa")
    ('lambada_openai', 'piqa')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _task_table(results: Results) -> Table:
    table = Table("checkpoint", "task", "context", "examples")
    for name in ("acc", "acc_norm", "perplexity"):
        table.add_column(name)
    for result in results.found:
        found = measures(result.score)
        table.add_row(
            *_place(result),
            f"{found['examples']:,}",
            *(_mean(found.get(name), digits=4) for name in ("acc", "acc_norm", "perplexity")),
        )
    return table


def _text_table(results: Results) -> Table:
    """Return bits per byte; a text whose documents were capped says so, and so does an overlap."""
    table = Table("checkpoint", "text", "context", "documents", "bytes", "bits per byte")
    table.add_column("95% over documents")
    for result in results.found:
        found = measures(result.score)
        bits = found["bits_per_byte"]
        table.add_row(
            *_place(result),
            f"{'first ' if result.capped else ''}{found['documents']:,}",
            f"{found['bytes']:,}",
            f"{bits['value']:.4f}",
            f"{bits['low']:.4f} to {bits['high']:.4f}",
        )
    return table


def _place(result: Result) -> list[str]:
    heading = result.heading
    overlap = f", overlap {heading.overlap}" if heading.overlap else ""
    return [str(result.checkpoint), heading.task, f"{heading.context}{overlap}"]


def _mean(mean: dict[str, Any] | None, *, digits: int) -> str:
    return f"{mean['value']:.{digits}g} ± {mean['stderr']:.2g}" if mean else "-"


def _table(scores: Scores) -> Table:
    names = list(dict.fromkeys(name for _, view in scores.found for name in view.bits_per_byte))
    table = Table("checkpoint", "context", *(f"{name}, bits per byte" for name in names))
    table.add_column("last word, accuracy")
    table.add_column("perplexity")
    for path, view in scores.found:
        word = view.last_word
        table.add_row(
            str(path),
            f"{view.context} ({view.multiple}x)",
            *(_bits(view, name) for name in names),
            f"{word.accuracy:.3f} ± {word.accuracy_stderr:.3f}" if word else "-",
            f"{word.perplexity:.4g}" if word else "-",
        )
    return table


def _bits(view: EvaluationView, name: str) -> str:
    if name not in view.bits_per_byte:
        return "-"
    error = view.bits_per_byte_stderr.get(name)
    return f"{view.bits_per_byte[name]:.4f}" + ("" if error is None else f" ± {error:.4f}")
