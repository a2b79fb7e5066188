"""The plan: the one translation from a recipe's words into every room's own objects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growlm.base.errors import GrowthError, RecipeError
from growlm.base.files import read_json, storage
from growlm.checkpoint import read_meta
from growlm.model.cost import training_flops_per_token
from growlm.pipeline.optimizing import check_inheritable
from growlm.pipeline.origin import Vocabulary, origin_of
from growlm.pipeline.rates import rewarm_of, schedule_of
from growlm.pipeline.resuming import (
    Course,
    check_comparable,
    course_of_checkpoint,
    course_of_stage,
)
from growlm.pipeline.stageplan import Origin, Pace, StagePlan
from growlm.recipe.experiment import Experiment
from growlm.recipe.sections import Ema, Tokenizer
from growlm.recipe.stage import Stage
from growlm.training.spikes import SpikeRule

MICRO_BATCH_TOKENS = 16_384
VALIDATIONS = 20
CHECKPOINTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole experiment, checked and ready to run."""

    experiment: Experiment
    recipe_folder: Path
    """The folder that the recipe's relative paths start from."""
    vocab_size: int
    stages: tuple[StagePlan, ...]

    @property
    def slot(self) -> int:
        """The shard slot in tokens: the longest context, or an outside parent's slot if it fits.

        Only with the slot of its parent can a child go on where the parent stopped.
        """
        contexts = [stage.context for stage in self.stages]
        slots = [stage.origin.parent_slot for stage in self.stages]
        fitting = [slot for slot in slots if slot and not any(slot % each for each in contexts)]
        return max(*contexts, *fitting, 0)

    def stage(self, name: str) -> StagePlan:
        """Return a stage's plan by name.

        Raises:
            RecipeError: There is none.
        """
        self.experiment.stage_named(name)
        return next(stage for stage in self.stages if stage.name == name)

    def ancestry(self, stage: StagePlan) -> tuple[StagePlan, ...]:
        """Return a stage with the stages it descends from, oldest first."""
        if stage.origin.parent is None:
            return (stage,)
        return (*self.ancestry(self.stage(stage.origin.parent)), stage)


def plan(experiment: Experiment, *, recipe_folder: Path) -> Plan:
    """Build every object the run will need, before anything is loaded.

    Raises:
        RecipeError: Something in the recipe cannot be built.
        CheckpointError: A parent's folder holds no checkpoint.
    """
    known = vocabulary(experiment.tokenizer, recipe_folder)
    stages: list[StagePlan] = []
    for stage in experiment.stage:
        try:
            origin = origin_of(
                stage,
                stages,
                vocabulary=known,
                recipe_folder=recipe_folder,
                seed=experiment.seed,
            )
            stages.append(_stage_plan(stage, origin, stages, experiment))
        except (RecipeError, GrowthError) as error:
            raise RecipeError(
                error.expected, got=error.got, fix=error.fix, where=f"stage.{stage.name}"
            ) from None
    return Plan(
        experiment=experiment,
        recipe_folder=recipe_folder,
        vocab_size=known.size,
        stages=tuple(stages),
    )


def vocabulary(tokenizer: Tokenizer, recipe_folder: Path) -> Vocabulary:
    """Return what is known of the tokenizer that will be used, before it exists.

    Raises:
        RecipeError: It is a file that is not here and whose size is not declared.
    """
    if tokenizer.vocab_size is not None:
        return Vocabulary(size=tokenizer.vocab_size, json=None)
    path = recipe_folder / str(tokenizer.file)
    if path.is_file():
        size = _tokens_in(path)
        with storage(path):
            return Vocabulary(size=size, json=path.read_bytes().decode())
    if tokenizer.declared_vocab_size is not None:
        return Vocabulary(size=tokenizer.declared_vocab_size, json=None)
    raise RecipeError(
        "tokenizer.file to be there", got=str(path), fix="its path, or declared_vocab_size"
    )


def _tokens_in(path: Path) -> int:
    content = read_json(path)
    try:
        vocab: list[Any] | dict[str, int] = content["model"]["vocab"]
        # A unigram model lists its pieces, and a piece's place is its id.
        ids: list[int] = [*range(len(vocab))] if isinstance(vocab, list) else [*vocab.values()]
        ids += [added["id"] for added in content.get("added_tokens", [])]
        return max(ids) + 1
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecipeError(
            "tokenizer.file to be a tokenizer.json of Hugging Face tokenizers",
            got=str(path),
            fix="the tokenizer.json that lies beside a model",
        ) from error


def _stage_plan(
    stage: Stage, origin: Origin, earlier: Sequence[StagePlan], experiment: Experiment
) -> StagePlan:
    steps = _steps(stage, origin, earlier)
    schedule = schedule_of(
        stage.schedule,
        steps=steps,
        batch_tokens=stage.batch,
        parent=_course(origin, earlier) if stage.schedule.kind == "resume" else None,
    )
    weights = {each.name: stage.weights.get(each.name, each.weight) for each in experiment.source}
    planned = StagePlan(
        name=stage.name,
        origin=origin,
        pace=_pace(stage, steps, experiment),
        context=stage.context,
        document_masking=stage.document_masking,
        batch_tokens=stage.batch,
        micro_sequences=_micro_batch(stage) // stage.context,
        activation_checkpointing=stage.activation_checkpointing,
        activation_budget=stage.activation_budget,
        optimizer=stage.optimizer,
        schedule=schedule,
        rewarm=rewarm_of(stage.schedule.rewarm, schedule, steps=steps),
        ema=_ema(stage, steps),
        spikes=_spikes(stage),
        weights={name: weight for name, weight in weights.items() if weight},
    )
    check_comparable(planned, earlier)
    check_inheritable(planned, earlier)
    return planned


def _ema(stage: Stage, steps: int) -> Ema | None:
    if stage.ema is not None and stage.ema.every > steps:
        raise RecipeError(
            f"ema.every of at most the stage's {steps} steps",
            got=str(stage.ema.every),
            fix="every = 1",
        )
    return stage.ema


def _spikes(stage: Stage) -> SpikeRule | None:
    section = stage.spikes
    if section is None:
        return None
    return SpikeRule(
        size=section.latest,
        deviations=section.deviations,
        roll_back_after=section.roll_back_after,
    )


def _course(origin: Origin, earlier: Sequence[StagePlan]) -> Course | None:
    """Return the schedule of a stage's parent, if it has one."""
    if origin.parent_path is not None:
        return course_of_checkpoint(origin.parent_path, read_meta(origin.parent_path))
    parent = next((stage for stage in earlier if stage.name == origin.parent), None)
    return course_of_stage(parent) if parent else None


def _steps(stage: Stage, origin: Origin, earlier: Sequence[StagePlan]) -> int:
    """Return the whole batches of a stage: a control never gets less compute than it should."""
    if stage.tokens is not None:
        return stage.tokens // stage.batch
    grown = next(other for other in earlier if other.name == origin.control_of)
    compute = (origin.control_compute or 1.0) * (grown.origin.flops_before + grown.flops)
    flops_per_token = training_flops_per_token(origin.config, context=stage.context)
    return math.ceil(compute / flops_per_token / stage.batch)


def _pace(stage: Stage, steps: int, experiment: Experiment) -> Pace:
    average = experiment.average
    wanted = average.checkpoints if average and stage.name in average.stages else 0
    span = round(steps * average.last) if average else 0
    if wanted > max(span, 1):
        raise RecipeError(
            f"at least {wanted} steps in the part that is averaged",
            got=f"{span} of {steps}",
            fix="a larger average.last, or more tokens",
        )
    return Pace(
        steps=steps,
        validate_every=_interval(stage.validate_every, stage.batch, steps, VALIDATIONS),
        checkpoint_every=_interval(stage.checkpoint_every, stage.batch, steps, CHECKPOINTS),
        keep=stage.keep,
        keep_every=max(1, stage.keep_every // stage.batch) if stage.keep_every else None,
        average_steps=tuple(steps - span * back // wanted for back in reversed(range(wanted))),
    )


def _interval(tokens: int | None, batch: int, steps: int, parts: int) -> int:
    """Return the steps between two events: the recipe's tokens, or an even part of the stage."""
    return max(1, tokens // batch if tokens is not None else -(-steps // parts))


def _micro_batch(stage: Stage) -> int:
    if stage.micro_batch is not None:
        return stage.micro_batch
    sequences = stage.batch // stage.context
    fitting = [
        each * stage.context
        for each in range(1, sequences + 1)
        if sequences % each == 0 and each * stage.context <= MICRO_BATCH_TOKENS
    ]
    return max(fitting, default=stage.context)
