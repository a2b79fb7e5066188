"""The export step's model card: what a checkpoint and the run that it lies in know of it."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from growlm.base.errors import RecipeError, StorageError
from growlm.checkpoint import Meta
from growlm.huggingface.writing import Outgoing
from growlm.model.cost import parameters
from growlm.pipeline.folder import RunFolder, enclosing
from growlm.report.card import Card, Stretch, card
from growlm.report.page import read
from growlm.report.view import EvaluationView, RunView, StageView

CARD = "README.md"

RESULTS = "results.json"

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_MODEL = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What only people know of a model."""

    license: str | None
    """As the Hub spells it."""
    base_model: str | None
    """A model on the Hub, ``OWNER/NAME``."""
    version: str
    """growlm's."""

    def __post_init__(self) -> None:
        """Refuse what the Hub would not read."""
        if self.license is not None and not _LICENSE.fullmatch(self.license):
            raise RecipeError(
                "a license as the Hub spells it",
                got=f"'{self.license}'",
                fix="apache-2.0, or other",
            )
        if self.base_model is not None and not _MODEL.fullmatch(self.base_model):
            raise RecipeError(
                "a base model as OWNER/NAME",
                got=f"'{self.base_model}'",
                fix="openai-community/gpt2",
            )


def card_text(source: Path, meta: Meta, outgoing: Outgoing, wishes: Wishes, *, name: str) -> str:
    """Return the model card of a checkpoint about to be exported.

    Args:
        source: The checkpoint.
        meta: What it says of itself.
        outgoing: What the folder is written from.
        wishes: What only people know.
        name: The model's.
    """
    run, stage, evaluations = _known(source, meta)
    return card(
        Card(
            name=name,
            license=wishes.license,
            base_model=wishes.base_model,
            architecture=outgoing.family.architecture,
            parameters=parameters(outgoing.config),
            context=outgoing.context,
            trained_flops=math.fsum(each.flops for each in meta.lineage),
            lineage=tuple(
                Stretch(
                    stage=each.stage, origin=each.origin, layers=each.layers, tokens=each.tokens
                )
                for each in meta.lineage
            ),
            weights_sha256=meta.weights_sha256,
            version=wishes.version,
            run=run,
            stage=stage,
            evaluations=evaluations,
        )
    )


def _known(
    source: Path, meta: Meta
) -> tuple[RunView | None, StageView | None, tuple[EvaluationView, ...]]:
    """Return the run, the stage and the scores of a checkpoint, as far as a log tells of them."""
    folder = enclosing(source)
    run = _log_of(folder) if folder else None
    stage = next((each for each in run.stages if each.name == meta.stage), None) if run else None
    if folder is None or stage is None:
        return run, None, ()
    places = {
        folder.final(stage.name): "final",
        folder.average(stage.name): "average",
        folder.ema(stage.name): "ema",
        folder.grown(stage.name): "grown",
    }
    label = places.get(source.resolve())
    return run, stage, tuple(each for each in stage.evaluations if each.checkpoint == label)


def _log_of(folder: RunFolder) -> RunView | None:
    """Return what the run's log tells; a log that is not there, or another version's, is none."""
    try:
        return read(folder.path / RESULTS)
    except StorageError:
        return None
