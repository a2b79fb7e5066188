"""The log's tables of results: validation loss, bits per byte, the last-word task."""

import math
from collections.abc import Mapping

from growlm.report.curves import last_loss, perplexity
from growlm.report.view import EvaluationView, RunView, StageView
from growlm.report.words import (
    NOTHING,
    PLUS_MINUS,
    TIMES,
    code,
    number,
    share,
    short,
    signed,
    table,
)

CHECKPOINTS = {
    "final": "end of stage",
    "average": "average",
    "ema": "moving average",
    "grown": "as grown",
}
"""What tables call each kind of checkpoint."""


def losses(view: RunView) -> str:
    """Return the table of each stage's last validation loss, in all and by source."""
    names = [source.name for source in view.sources]
    header = ("Stage", "Loss", "Perplexity", *(f"{code(name)}, loss" for name in names))
    rows = [_losses(stage, names) for stage in view.stages if stage.validation]
    return table(header, rows)


def _losses(stage: StageView, names: list[str]) -> list[str]:
    loss = last_loss(stage)
    by_source = stage.validation[-1].losses
    value = math.nan if loss is None else loss
    return [
        code(stage.name) + ("" if stage.complete else " (unfinished)"),
        number(value, 4),
        short(perplexity(value)),
        *(number(by_source[name], 4) if name in by_source else NOTHING for name in names),
    ]


def bits_per_byte(view: RunView) -> str:
    """Return the table of bits per byte; the best of each source and context is bold."""
    names = [source.name for source in view.sources]
    best = _best(view)
    header = ("Stage", "Checkpoint", "Context", *map(code, names), "Documents")
    rows = [
        [
            code(stage.name),
            CHECKPOINTS[score.checkpoint],
            f"{score.context:,} ({score.multiple}{TIMES})",
            *(_bits(score, name, best) for name in names),
            " + ".join(f"{score.documents[name]:,}" for name in names if name in score.documents),
        ]
        for stage in view.stages
        for score in stage.evaluations
    ]
    return table(header, rows, words=(0, 1))


def _best(view: RunView) -> Mapping[tuple[int, str], float]:
    best: dict[tuple[int, str], float] = {}
    for stage in view.stages:
        for score in stage.evaluations:
            for name, bits in score.bits_per_byte.items():
                key = (score.context, name)
                best[key] = min(bits, best.get(key, math.inf))
    return best


def _bits(score: EvaluationView, name: str, best: Mapping[tuple[int, str], float]) -> str:
    if name not in score.bits_per_byte:
        return NOTHING
    bits = score.bits_per_byte[name]
    shown = number(bits, 4)
    bold = f"**{shown}**" if bits == best[score.context, name] else shown
    error = score.bits_per_byte_stderr.get(name)
    return bold if error is None else f"{bold} {PLUS_MINUS} {number(error, 4)}"


def last_words(view: RunView) -> str:
    """Return the table of the last-word task."""
    header = ("Stage", "Checkpoint", "Source", "Context", "Passages", "Accuracy", "Perplexity")
    rows = [
        [
            code(stage.name),
            CHECKPOINTS[score.checkpoint],
            code(task.source),
            f"{score.context:,}",
            f"{task.examples:,}",
            f"{share(task.accuracy)} {PLUS_MINUS} {signed(f'{100 * task.accuracy_stderr:.1f}')}",
            short(task.perplexity),
        ]
        for stage in view.stages
        for score in stage.evaluations
        if (task := score.last_word) is not None
    ]
    return table(header, rows, words=(0, 1, 2))
