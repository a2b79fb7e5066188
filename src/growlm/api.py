"""The door for Python: recipes and checkpoints, and what the commands do, by the same names."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growlm.base.errors import RecipeError
from growlm.base.memory import settle_allocator
from growlm.base.version import VERSION
from growlm.pipeline import averaging, certifying, checking, converting, growing, shrinking
from growlm.pipeline.carding import Wishes
from growlm.pipeline.certifying import Certificate, Certified, stored_certificate
from growlm.pipeline.converting import Exported
from growlm.pipeline.events import Event, Stop
from growlm.pipeline.folder import existing, owned
from growlm.pipeline.growing import Growth, Operators, Target, extended
from growlm.pipeline.inspecting import inspect
from growlm.pipeline.models import GPT, GPTConfig, Model, Tokenizer, open_model
from growlm.pipeline.open import plan_of, recorded_run, run_of
from growlm.pipeline.plan import Plan
from growlm.pipeline.run import (
    Run,
    cautioned,
    everything,
    log as log_step,
    prepare as prepare_steps,
    train as train_steps,
)
from growlm.pipeline.scoring import Scores, score_checkpoints
from growlm.pipeline.shrinking import Shrunk
from growlm.recipe.experiment import Experiment
from growlm.report.view import EvaluationView

Place = str | Path
"""A file or a folder."""

Tell = Callable[[Event], object]
"""Told of everything that a run does, as it does it: ``print``, for one."""


def nobody(_event: Event) -> None:
    """Hear an event, and say nothing."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe's file, and changes to it as ``--set`` takes them: ``stage.base.tokens=1M``."""

    path: Place
    overrides: tuple[str, ...] = ()

    @property
    def experiment(self) -> Experiment:
        """All that it says.

        Raises:
            RecipeError: It is not a recipe, or asks for the impossible.
        """
        return self._plan.experiment

    @property
    def out(self) -> Path:
        """The run's folder, unless another one is named."""
        return Path("runs") / self.experiment.name

    @property
    def _plan(self) -> Plan:
        return plan_of(Path(self.path), self.overrides)

    def check(self, *, out: Place | None = None) -> checking.Table:
        """Return what it will do and cost.

        Raises:
            GrowlmError: Something cannot work.
        """
        plan = self._plan
        return checking.table(plan, owned(Path(out or self.out), name=plan.experiment.name))

    def prepare(self, *, out: Place | None = None, tell: Tell = nobody) -> Path:
        """Make tokenizer and shards, as far as they are not there; return the run's folder.

        Raises:
            GrowlmError: Something cannot work, or did not.
        """
        with _opened(self, out) as job:
            return _done(prepare_steps(job), tell, job)

    def run(self, *, out: Place | None = None, tell: Tell = nobody) -> Path:
        """Carry all of it out, as far as it is not done; return the run's folder.

        Raises:
            GrowlmError: Something cannot work, or did not.
        """
        with _opened(self, out) as job:
            return _done(everything(job), tell, job)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of growlm's or a Hugging Face folder; its weights stay on the disk."""

    path: Path
    opened: Model
    """What is known of it."""

    @property
    def config(self) -> GPTConfig:
        """Its shape."""
        return self.opened.config

    @property
    def certificate(self) -> Certificate | None:
        """The evidence for its growth; None where it was not grown."""
        return stored_certificate(self.opened)

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self.opened.tokens().tokenizer

    def model(self) -> GPT:
        """Return the torch module with its weights, in fp32 on the CPU, in evaluation mode."""
        return self.opened.loaded()

    def inspect(self) -> dict[str, Any]:
        """Return all that a checkpoint of growlm's records of itself, once its files proved whole.

        Raises:
            CheckpointError: It is damaged, or a Hugging Face folder.
        """
        return inspect(self.path)

    def export(
        self, folder: Place, *, family: str | None = None, context: int | None = None
    ) -> Exported:
        """Make a Hugging Face folder of it, once that proved to compute the same.

        Raises:
            CheckpointError: No family holds it.
        """
        wishes = Wishes(license=None, base_model=None, version=VERSION)
        return converting.export(
            self.path, Path(folder), family=family, context=context, wishes=wishes
        )


def load(path: Place) -> Checkpoint:
    """Open a checkpoint or a Hugging Face folder.

    Raises:
        CheckpointError: There is none, or it is not whole, or of a kind that growlm cannot hold.
    """
    return Checkpoint(Path(path), open_model(Path(path)))


def train(
    recipe: Recipe, *, stage: str, out: Place | None = None, tell: Tell = nobody
) -> Checkpoint:
    """Train one stage of a recipe, and what it grows from, as far as they are not trained.

    Args:
        recipe: The recipe.
        stage: The stage's name.
        out: The run's folder; ``runs/NAME`` when None.
        tell: Told of every event.

    Raises:
        GrowlmError: Something cannot work, or did not; what was whole is kept.
    """
    with _opened(recipe, out) as job:
        planned = job.plan.stage(stage)
        _done(cautioned(job, job.plan.ancestry(planned)), tell, job)
        _done(prepare_steps(job), tell, job)
        _done(train_steps(job, planned), tell, job)
        return load(job.folder.final(stage))


def grow(
    parent: Place,
    child: Place,
    *,
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    head_width: int | None = None,
    mlp: int | None = None,
    depth: str = "interleave",
    layer_map: tuple[int, ...] | None = None,
    copies: str = "plain",
    widen: str = "lemon",
    units: str = "noised",
    add_token: Sequence[str] = (),
    new_tokens: str = "pieces",
    optimizer_state: str = "asymmetric",
    context: int | None = None,
    seed: int = 0,
    run: Place | None = None,
    unmeasured: bool = False,
) -> Checkpoint:
    """Make a child of a checkpoint or a Hugging Face folder; its certificate comes with it.

    Args:
        parent: The model to grow.
        child: A folder that is not there yet.
        layers: The child's; as every size, the parent's when None.
        width: The child's.
        heads: The child's.
        kv_heads: The child's.
        head_width: The child's.
        mlp: The child's.
        depth: The operator for new layers.
        layer_map: For ``explicit``: the parent's layer of each layer.
        copies: How copies of layers differ.
        widen: The operator for a wider residual stream.
        units: How MLP units and heads are added.
        add_token: Special tokens that the child's tokenizer has too.
        new_tokens: What those begin as: the mean of the tokens that spell them, or of all.
        optimizer_state: What becomes of the optimizer's state.
        context: The child's training context; the parent's when None.
        seed: Of what the growth draws.
        run: The run whose held-out text is used; the one that the parent lies in when None.
        unmeasured: Whether to leave the comparison with the parent to ``certify``.

    Raises:
        GrowlmError: It cannot be grown so; no child is left behind.
    """
    target = Target(
        layers=layers, width=width, heads=heads, kv_heads=kv_heads, head_width=head_width, mlp=mlp
    )
    if target == Target() and not add_token:
        raise RecipeError("a size of the child", got="none", fix="layers=12")
    pieces = new_tokens == "pieces"
    tokens = extended(Path(parent), tuple(add_token), pieces=pieces) if add_token else None
    growth = Growth(
        parent=Path(parent),
        child=Path(child),
        target=target,
        operators=Operators(
            depth=depth, layer_map=layer_map, widen=widen, units=units, copies=copies
        ),
        optimizer_state=optimizer_state,
        seed=seed,
        context=context,
        stage=Path(child).name,
        tokenizer=tokens.tokenizer if tokens else None,
        new_tokens=tokens.new_tokens if tokens else (),
        measured=not unmeasured,
    )
    growing.grow(growth, run=existing(Path(run)) if run is not None else None)
    return load(child)


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
    place = Path(run) if run is not None else None
    for event in score_checkpoints([_path(checkpoint)], place, scores):
        tell(event)
    return tuple(view for _, view in scores.found)


def certify(
    parent: Place | Checkpoint, child: Place | Checkpoint, *, run: Place | None = None
) -> Certified:
    """Compare a child with its parent, and make its certificate anew.

    Raises:
        GrowthError: What the child's certificate says does not hold.
    """
    place = existing(Path(run)) if run is not None else None
    return certifying.certify(_path(parent), _path(child), run=place)


def shrink(child: Place | Checkpoint, parent: Place) -> Shrunk:
    """Write the parent that an exactly grown child came from.

    Raises:
        GrowthError: It was not grown, or not exactly.
    """
    return shrinking.shrink(_path(child), Path(parent))


def average(checkpoints: Sequence[Place | Checkpoint], *, out: Place) -> Checkpoint:
    """Write the mean of checkpoints of one stage.

    Raises:
        CheckpointError: They are not of one stage and shape.
    """
    averaging.average([_path(each) for each in checkpoints], Path(out))
    return load(out)


def log(run: Place, *, tell: Tell = nobody) -> Path:
    """Write a run's training log anew; return the run's folder, where it lies.

    Raises:
        FolderError: It is no run's folder.
    """
    job = recorded_run(Path(run), stop=Stop(), version=VERSION)
    return _done(log_step(job), tell, job)


def import_folder(
    folder: Place, checkpoint: Place, *, end_of_text: str | None = None
) -> Checkpoint:
    """Make a checkpoint of a Hugging Face folder, as ``growlm import`` does.

    Raises:
        CheckpointError: The folder is not whole, or growlm has no place for what it holds.
    """
    converting.import_folder(Path(folder), Path(checkpoint), end_of_text=end_of_text)
    return load(checkpoint)


@contextmanager
def _opened(recipe: Recipe, out: Place | None) -> Generator[Run, None, None]:
    settle_allocator(os.environ)
    path, place = Path(recipe.path), Path(out) if out is not None else None
    with run_of(path, recipe.overrides, out=place, stop=Stop(), version=VERSION) as job:
        yield job


def _path(place: Place | Checkpoint) -> Path:
    return place.path if isinstance(place, Checkpoint) else Path(place)


def _done(events: Iterator[Event], tell: Tell, job: Run) -> Path:
    """Carry steps out; return the run's folder."""
    for event in events:
        tell(event)
    return job.folder.path
