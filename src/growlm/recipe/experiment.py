"""The whole recipe, and the checks that need more than one of its sections."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, NonNegativeInt

from growlm.base.errors import RecipeError, nearest
from growlm.recipe.baseline import Baseline
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.grow import is_checkpoint_path
from growlm.recipe.optimizer import check_begins_anew
from growlm.recipe.overlap import Overlap
from growlm.recipe.sections import (
    Average,
    Evaluate,
    Log,
    Mixture,
    Source,
    Tokenizer,
    Validation,
)
from growlm.recipe.stage import Stage
from growlm.recipe.study import Study, check_study
from growlm.recipe.values import Name, Section


def _log_of(recipe: Mapping[str, Any]) -> Log:
    return Log(title=f"{recipe['name']}: training log")


class Experiment(Section, frozen=True):
    """A whole experiment: what is read, trained, grown, averaged, scored, and logged."""

    name: Name
    """The run folder's name."""

    seed: NonNegativeInt = 1
    """The one seed; every random stream is derived from it."""

    tokenizer: Tokenizer
    """The tokenizer."""

    compile: bool = True
    """Compile the layers where a compiler is there."""

    sharding: Literal["zero1", "zero3", "hybrid"] = "zero1"
    """What each of many ranks holds: `zero1` its part of the optimizer's state, and all weights
    during a step; `zero3` its part of both, but for the layer at work; `hybrid` the same within a
    node, and each node all of it."""
    attention: Literal["auto", "sdpa", "triton", "flash"] = "auto"
    """What mixes the values: torch's own attention, FlexAttention by Triton's kernel or by
    FlashAttention's, or what is fastest where it runs and proves itself there."""
    residual: Literal["float32", "bfloat16"] = "float32"
    """What the residual stream is kept in on a GPU, where layers compute in bf16: narrow, it is
    faster and takes half the memory, and every layer's part of it is rounded."""
    deterministic: bool = False
    """Hold torch to algorithms that give the same bits in every run, at the cost of some speed."""

    source: tuple[Source, ...] = Field(min_length=1)
    """The sources, in the order of the mixture."""

    duplicates: Duplicates | None = None
    """The search for texts that stand in the sources more than once, if any."""

    overlap: Overlap | None = None
    """The search for benchmarks in the sources, and what is done about it, if any."""

    validation: Validation = Validation()
    """The held-out documents."""

    mixture: Mixture = Mixture()
    """The sampler."""

    stage: tuple[Stage, ...] = Field(min_length=1)
    """The stages, each after the stages it grows from."""

    average: Average | None = None
    """Averaged checkpoints, if any."""

    evaluate: Evaluate = Evaluate()
    """The evaluation."""

    baseline: tuple[Baseline, ...] = ()
    """Other models to stand beside the run's own in the log, published or scored here, if any."""

    study: Study | None = None
    """The grid of runs that ``growlm study`` makes of the recipe; no other command asks for it."""

    log: Log = Field(default_factory=_log_of)
    """The training log; titled by the recipe's name when absent."""

    @property
    def texts(self) -> tuple[Source, ...]:
        """The sources that are read as text, and do not come as shards."""
        return tuple(source for source in self.source if source.shards is None)

    def stage_named(self, name: str) -> Stage:
        """Return a stage by its name.

        Raises:
            RecipeError: There is none.
        """
        for stage in self.stage:
            if stage.name == name:
                return stage
        names = [stage.name for stage in self.stage]
        raise RecipeError(
            f"a stage of the recipe, one of {', '.join(names)}",
            got=f"'{name}'",
            fix=nearest(name, names),
        )


def crosscheck(experiment: Experiment) -> None:
    """Check what no section can check alone.

    Raises:
        RecipeError: The first thing that does not fit, with its key.
    """
    _unique([source.name for source in experiment.source], "source")
    _unique([stage.name for stage in experiment.stage], "stage")
    _unique([each.name for each in experiment.baseline], "baseline")
    _check_baselines(experiment.baseline)
    for position, stage in enumerate(experiment.stage):
        earlier = experiment.stage[:position]
        _check_parent(stage, earlier)
        _check_schedule(stage)
        _check_control(stage, earlier)
        _check_batch(stage)
        _check_context(stage, experiment.stage)
        _check_validation(stage, experiment.validation)
        _check_weights(stage, experiment.source)
    _check_shards(experiment)
    _check_average(experiment)
    _check_last_word(experiment)
    _check_order(experiment)
    _check_actions(experiment)
    if experiment.study is not None:
        check_study(experiment.study, experiment.stage)


def _check_shards(experiment: Experiment) -> None:
    packed = [source for source in experiment.source if source.shards is not None]
    if packed and experiment.tokenizer.file is None:
        raise RecipeError(
            f"tokenizer.file, the one that wrote the shards of source '{packed[0].name}'",
            got="a tokenizer to be trained",
            fix="file with the path of a tokenizer.json: in a run, corpus/tokenizer.json",
        )
    for section in ("duplicates", "overlap"):
        if getattr(experiment, section) is not None and not experiment.texts:
            raise RecipeError(
                f"a source that is read as text, for [{section}] to search",
                got="shards alone",
                fix=f"removing [{section}]",
            )


def _check_order(experiment: Experiment) -> None:
    names = [source.name for source in experiment.texts]
    order = experiment.duplicates.order if experiment.duplicates else ()
    for position, name in enumerate(order):
        if name not in names or name in order[:position]:
            raise RecipeError(
                f"duplicates.order to name sources of text, each once, of {', '.join(names)}",
                got=f"'{name}'" + (" twice" if name in names else ""),
                fix="removing one" if name in names else nearest(name, names),
            )


def _check_actions(experiment: Experiment) -> None:
    names = [source.name for source in experiment.texts]
    for name in experiment.overlap.actions if experiment.overlap else ():
        if name not in names:
            raise RecipeError(
                f"overlap.actions about sources of text, {', '.join(names)}",
                got=f"'{name}'",
                fix=nearest(name, names),
            )


def _check_average(experiment: Experiment) -> None:
    names = [stage.name for stage in experiment.stage]
    averaged = experiment.average.stages if experiment.average else ()
    for position, name in enumerate(averaged):
        if name not in names:
            raise RecipeError(
                f"average.stages to name stages, of {', '.join(names)}",
                got=f"'{name}'",
                fix=nearest(name, names),
            )
        if name in averaged[:position]:
            raise RecipeError(
                "average.stages to name a stage once", got=f"'{name}' twice", fix="removing one"
            )


def _unique(names: Sequence[str], kind: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"{kind} names to differ", got=f"'{name}' twice", fix=f"renaming one {kind}"
            )


def _check_baselines(baselines: Sequence[Baseline]) -> None:
    """Refuse checkpoints whose scores would lie in one folder."""
    found: dict[str, str] = {}
    for each in baselines:
        other = found.setdefault(each.folder, each.name) if each.checkpoint else each.name
        if other != each.name:
            raise RecipeError(
                "baselines with a checkpoint to differ in the letters and digits of their names",
                got=f"'{other}' and '{each.name}'",
                fix="renaming one baseline",
            )


def _check_parent(stage: Stage, earlier: Sequence[Stage]) -> None:
    if stage.grow is None or is_checkpoint_path(stage.grow.from_):
        return
    names = [other.name for other in earlier]
    if stage.grow.from_ not in names:
        known = f"one of {', '.join(names)}" if names else "of which there is none"
        raise RecipeError(
            f"stage.{stage.name}.grow.from to name an earlier stage, {known}, or a folder",
            got=f"'{stage.grow.from_}'",
            fix=nearest(stage.grow.from_, names) if names else "a stage with a model first",
        )


def _check_schedule(stage: Stage) -> None:
    """Refuse what only a child can do in a stage that does not grow."""
    if stage.grow is None:
        check_begins_anew(stage.schedule, f"stage.{stage.name}.schedule")


def _check_control(stage: Stage, earlier: Sequence[Stage]) -> None:
    if stage.control is None:
        return
    grown = [other.name for other in earlier if other.grow is not None]
    if stage.control.of not in grown:
        raise RecipeError(
            f"stage.{stage.name}.control.of to name an earlier stage that grows",
            got=f"'{stage.control.of}'",
            fix=nearest(stage.control.of, grown) if grown else "a stage with grow first",
        )


def _check_batch(stage: Stage) -> None:
    if stage.batch % stage.context:
        fitting = max(stage.batch // stage.context, 1) * stage.context
        raise RecipeError(
            f"stage.{stage.name}.batch to be a multiple of its context",
            got=f"batch={stage.batch}, context={stage.context}",
            fix=f"batch={fitting}",
        )
    micro = stage.micro_batch
    if micro is not None and (stage.batch % micro or micro % stage.context):
        raise RecipeError(
            f"stage.{stage.name}.micro_batch to divide the batch and be a multiple of the context",
            got=f"micro_batch={micro}, batch={stage.batch}, context={stage.context}",
            fix=f"micro_batch={stage.context}",
        )
    if stage.tokens is not None and stage.tokens < stage.batch:
        raise RecipeError(
            f"stage.{stage.name}.tokens to hold at least one batch",
            got=f"tokens={stage.tokens}, batch={stage.batch}",
            fix=f"tokens={stage.batch}",
        )


def _check_context(stage: Stage, stages: Sequence[Stage]) -> None:
    slot = max(other.context for other in stages)
    if slot % stage.context:
        fitting = max(size for size in range(1, stage.context + 1) if slot % size == 0)
        raise RecipeError(
            f"stage.{stage.name}.context to divide the shard slot, the longest context ({slot})",
            got=f"context={stage.context}",
            fix=f"context={fitting}",
        )


def _check_validation(stage: Stage, validation: Validation) -> None:
    if validation.tokens < stage.context:
        raise RecipeError(
            f"validation.tokens to hold one window of stage {stage.name}",
            got=f"tokens={validation.tokens}, context={stage.context}",
            fix=f"tokens={stage.context}",
        )


def _check_weights(stage: Stage, sources: Sequence[Source]) -> None:
    names = [source.name for source in sources]
    for name in stage.weights:
        if name not in names:
            raise RecipeError(
                f"stage.{stage.name}.weights to name sources, of {', '.join(names)}",
                got=f"'{name}'",
                fix=nearest(name, names),
            )
    weights = [stage.weights.get(source.name, source.weight) for source in sources]
    if not sum(weights):
        raise RecipeError(
            f"at least one weight above 0 in stage {stage.name}",
            got="only zeros",
            fix="weight = 1.0 for a source",
        )


def _check_last_word(experiment: Experiment) -> None:
    task = experiment.evaluate.last_word
    names = [source.name for source in experiment.source]
    if task is not None and task.source not in names:
        raise RecipeError(
            f"evaluate.last_word.source to name a source, one of {', '.join(names)}",
            got=f"'{task.source}'",
            fix=nearest(task.source, names),
        )
