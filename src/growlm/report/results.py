"""``results.json``: the run as the log shows it, and every number that the log makes of it."""

from collections.abc import Mapping
from typing import Literal

from growlm.report.accounts import Account, accounts
from growlm.report.baselines import Score, published, task_scores
from growlm.report.curves import final_loss
from growlm.report.frozen import View
from growlm.report.ledger import saving
from growlm.report.limits import not_shown
from growlm.report.notes import raised
from growlm.report.view import BaselineView, RunView, StageView

FORMAT = 1


class ScoreResult(View, frozen=True):
    """One score of one checkpoint."""

    stage: str
    """The stage's name."""
    checkpoint: str
    """Which of its checkpoints."""
    context: int
    """Tokens the model could see."""
    task: str
    """The task, or the source of bits per byte."""
    metric: str
    """``acc``, ``acc_norm``, ``perplexity`` or ``bits_per_byte``."""
    value: float
    """The score; accuracies are shares."""
    stderr: float | None
    """Its standard error, where it is known."""


class CostResult(View, frozen=True):
    """The ledger of one grown stage under one convention."""

    stage: str
    """The grown stage."""
    convention: str
    """Who pays for the parent, in words."""
    flops: float
    """What it took."""
    scratch_flops: float | None
    """What training from scratch takes for the same loss; None where nothing tells."""
    scratch_flops_over: float | None
    """What was not enough; None beside an estimate."""
    scratch_flops_under: float | None
    """What was enough; None beside an estimate."""
    scratch_loss: float | None
    """What training from scratch reaches with as much, nats per token."""
    saved: float | None
    """Share of the compute from scratch that was saved."""
    basis: str
    """What the compute from scratch rests on: ``fit``, ``line``, ``bound`` or ``none``."""
    extrapolated: bool
    """Whether it lies outside the control runs."""


class NoteResult(View, frozen=True):
    """A note that the log raises, or a question that it leaves open."""

    topic: str
    """What it is about."""
    text: str
    """What it says, Markdown."""


class Results(RunView, frozen=True):
    """The run, and what the log makes of it."""

    format: Literal[1]
    """Of this file."""
    final_losses: Mapping[str, float]
    """Validation loss at the end of each finished stage, nats per token."""
    scores: tuple[ScoreResult, ...]
    """Every score of the log's tables."""
    ledger: tuple[CostResult, ...]
    """The ledger."""
    published: tuple[BaselineView, ...]
    """The published scores that tables show beside the run's; none where they show none."""
    notes: tuple[NoteResult, ...]
    """The notes that the program raised."""
    not_shown: tuple[NoteResult, ...]
    """The questions that the run leaves open."""


def results(view: RunView) -> Results:
    """Return all that the log of a run says, for machines."""
    ends = {stage.name: final_loss(stage) for stage in view.stages}
    return Results(
        **{name: getattr(view, name) for name in RunView.model_fields},
        format=FORMAT,
        final_losses={name: loss for name, loss in ends.items() if loss is not None},
        scores=tuple(score for stage in view.stages for score in _scores(stage)),
        ledger=tuple(row for account in accounts(view) for row in _costs(account)),
        published=published(view),
        notes=tuple(
            NoteResult(topic=note.topic, text=" ".join(note.sentences)) for note in raised(view)
        ),
        not_shown=tuple(NoteResult(topic=topic, text=text) for topic, text in not_shown(view)),
    )


class Overlay(View, frozen=True):
    """Several runs, as one page shows them."""

    format: Literal[1]
    """Of this file."""
    runs: Mapping[str, Results]
    """Each run by what the page calls it."""
    spread: Mapping[str, tuple[float, ...]]
    """Final losses of the stages that several runs have at one shape."""


def _scores(stage: StageView) -> list[ScoreResult]:
    found: list[ScoreResult] = []
    for each in stage.evaluations:
        own = {
            (source, "bits_per_byte"): Score(
                value=bits, stderr=each.bits_per_byte_stderr.get(source)
            )
            for source, bits in each.bits_per_byte.items()
        }
        word = each.last_word
        if word is not None:
            own["last_word", "acc"] = Score(value=word.accuracy, stderr=word.accuracy_stderr)
            own["last_word", "perplexity"] = Score(value=word.perplexity, stderr=None)
        found += [
            ScoreResult(
                stage=stage.name,
                checkpoint=each.checkpoint,
                context=each.context,
                task=task,
                metric=metric,
                value=score.value,
                stderr=score.stderr,
            )
            for (task, metric), score in {**own, **task_scores(each.tasks)}.items()
        ]
    return found


def _costs(account: Account) -> list[CostResult]:
    estimate = account.scratch.estimate
    return [
        CostResult(
            stage=account.stage.name,
            convention=cost.convention,
            flops=cost.flops,
            scratch_flops=estimate,
            scratch_flops_over=account.scratch.lower,
            scratch_flops_under=account.scratch.upper,
            scratch_loss=cost.scratch.loss,
            saved=None if estimate is None else saving(cost.flops, scratch=estimate).saved,
            basis=account.scratch.basis,
            extrapolated=account.scratch.extrapolated,
        )
        for cost in account.costs
    ]
