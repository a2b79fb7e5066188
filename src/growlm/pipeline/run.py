"""A run: every step of a plan in order, each done, resumed, or skipped."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from growlm import checkpoint
from growlm.base.errors import CheckpointError, RecipeError
from growlm.base.files import sha256_bytes, sha256_file, storage, write_json
from growlm.growth.certificate import Certificate
from growlm.pipeline.averaging import average, moving_average
from growlm.pipeline.baselining import baseline_steps, check_baselines
from growlm.pipeline.cautions import cautions
from growlm.pipeline.data import (
    Sources,
    check_epochs,
    check_held_out,
    check_shards,
    packed_sources,
)
from growlm.pipeline.engine import Step, bring_up_to_date
from growlm.pipeline.evaluating import Examinee, Label, exam_of, examine
from growlm.pipeline.events import Event, Notice, Stop
from growlm.pipeline.examining import code_version
from growlm.pipeline.fetching import check_apart
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.growing import Growth, changes, comparison, grow
from growlm.pipeline.keeping import step_checkpoints
from growlm.pipeline.mirroring import service
from growlm.pipeline.origin import operators_of, target_of
from growlm.pipeline.papers import Shelf
from growlm.pipeline.plan import Plan
from growlm.pipeline.preparing import (
    check_tokenizer,
    duplicates_step,
    source_step,
    tokenizer_step,
)
from growlm.pipeline.recomputing import NUMBERS, layers_of
from growlm.pipeline.screening import check_benchmarks, overlap_step
from growlm.pipeline.stagejob import training_of
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.tasking import check_tasks, key_of, take_tasks
from growlm.pipeline.training import train_stage
from growlm.pipeline.viewing import run_view
from growlm.recipe.sections import Ema
from growlm.report.page import FILES, write
from growlm.report.view import EvaluationView
from growlm.runlog import ValidationLoss, read
from growlm.training.device import check_kernel, choose_device
from growlm.training.parallel import ALONE, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A plan and the folder it is carried out in."""

    plan: Plan
    folder: RunFolder
    stop: Stop
    version: str
    """growlm's, for the log."""
    allow_fallback: bool = False
    """Whether training may go on from an earlier checkpoint than a damaged one."""
    world: World = ALONE
    """The ranks that train together."""
    shelf: Shelf = field(default_factory=Shelf)
    """The tasks that were read already."""


def everything(run: Run) -> Iterator[Event]:
    """Bring every step of a run up to date."""
    yield from cautioned(run, run.plan.stages)
    yield from prepare(run)
    for stage in run.plan.stages:
        yield from train_alone(run, stage)
        yield from score(run, stage)
    yield from baselines(run)
    yield from log(run)


def cautioned(run: Run, stages: Sequence[StagePlan]) -> Iterator[Event]:
    """Say what some stages, as far as they are not trained yet, should be told beforehand.

    Raises:
        TrainingError: The recipe asks for an attention that this machine or a shape cannot have.
        RecipeError: It asks for a service that is not installed, or for layers to keep less than
            they can.
    """
    for name in run.plan.experiment.log.mirrors:
        service(name)
    for stage in stages:
        if not run.folder.final(stage.name).exists():
            check_kernel(run.plan.experiment.attention, stage.config, choose_device())
            layers_of(stage, NUMBERS[choose_device().type])
            for text in cautions(run.plan, stage):
                yield Notice(text=text)


def prepare(run: Run) -> Iterator[Event]:
    """Bring tokenizer and shards up to date, and check them and what only they can tell."""
    experiment = run.plan.experiment
    check_apart(run.plan, run.folder)
    check_benchmarks(run.plan)
    check_tasks(run.plan, run.shelf)
    check_baselines(run.plan)
    if experiment.duplicates is not None:
        step = duplicates_step(run.plan, run.folder, experiment.duplicates)
        yield from bring_up_to_date(step, run.folder)
    if experiment.overlap is not None:
        step = overlap_step(run.plan, run.folder, experiment.overlap)
        yield from bring_up_to_date(step, run.folder)
    yield from bring_up_to_date(tokenizer_step(run.plan, run.folder), run.folder)
    check_tokenizer(run.plan, run.folder)
    for source in run.plan.experiment.source:
        yield from bring_up_to_date(source_step(run.plan, run.folder, source), run.folder)
    names = [source.name for source in experiment.source]
    check_shards(run.folder, names, tokenizer=sha256_file(run.folder.tokenizer))
    check_epochs(run.plan, packed_sources(run.plan, run.folder))
    check_held_out(run.plan, run.folder)


def train(run: Run, stage: StagePlan) -> Iterator[Event]:
    """Bring a stage and all that it grows from up to date; its sources are prepared already."""
    if stage.origin.parent is not None:
        yield from train(run, run.plan.stage(stage.origin.parent))
    yield from train_alone(run, stage)


def train_alone(run: Run, stage: StagePlan) -> Iterator[Event]:
    """Bring a stage up to date; its sources are prepared and its parents trained already."""
    sources = packed_sources(run.plan, run.folder)
    if stage.origin.kind == "grown":
        yield from bring_up_to_date(_grow_step(run, stage), run.folder)
    yield from bring_up_to_date(_train_step(run, stage, sources), run.folder)
    if stage.ema is not None:
        yield from bring_up_to_date(_ema_step(run, stage, stage.ema), run.folder)
    if stage.pace.average_steps:
        yield from bring_up_to_date(_average_step(run, stage), run.folder)


def score(run: Run, stage: StagePlan) -> Iterator[Event]:
    """Bring the scores of a trained stage up to date."""
    yield from bring_up_to_date(_evaluate_step(run, stage), run.folder)
    if run.plan.experiment.evaluate.tasks:
        yield from bring_up_to_date(_tasks_step(run, stage), run.folder)


def baselines(run: Run) -> Iterator[Event]:
    """Bring the scores of other models up to date; the sources are prepared already."""
    for step in baseline_steps(run.plan, run.folder, run.shelf):
        yield from bring_up_to_date(step, run.folder)


def log(run: Run) -> Iterator[Event]:
    """Bring the training log up to date."""
    yield from bring_up_to_date(_log_step(run), run.folder)


def _grow_step(run: Run, stage: StagePlan) -> Step:
    origin = stage.origin
    parent = origin.parent_path or run.folder.final(str(origin.parent))
    section = origin.grow
    if section is None or origin.plan is None:
        raise RecipeError(f"stage '{stage.name}' to grow", got="no growth", fix="adding grow")
    tokenizer = _extended_tokenizer(run, parent)
    growth = Growth(
        parent=parent,
        child=run.folder.grown(stage.name),
        target=target_of(section),
        operators=operators_of(section),
        optimizer_state=section.optimizer_state,
        seed=origin.plan.seed,
        tokenizer=tokenizer,
        new_tokens=origin.plan.new_tokens,
        context=stage.context,
        stage=stage.name,
    )

    def work() -> Iterator[Event]:
        if not growth.child.exists():
            # The run's texts tell parent and child apart only in tokens that both have.
            grow(growth, run=run.folder if tokenizer is None else None)
        yield from ()

    return Step(
        name=f"grow:{stage.name}",
        key={
            "parent": checkpoint.read_meta(parent).files,
            "plan": origin.plan.as_dict(),
            "optimizer_state": section.optimizer_state,
            "context": stage.context,
            "tokenizer": sha256_file(run.folder.tokenizer),
        },
        outputs=(growth.child,),
        precious=True,
        work=work,
        result=lambda: _grown(run, stage),
    )


def _extended_tokenizer(run: Run, parent: Path) -> str | None:
    """Return the run's tokenizer where it has tokens that the parent's has not."""
    with storage(run.folder.tokenizer):
        content = run.folder.tokenizer.read_bytes()
    known = checkpoint.read_meta(parent).files[checkpoint.TOKENIZER]
    return None if sha256_bytes(content) == known else content.decode()


def _grown(run: Run, stage: StagePlan) -> str:
    meta = checkpoint.read_meta(run.folder.grown(stage.name))
    found = Certificate.model_validate(meta.certificate)
    return f"{changes(found)}; {comparison(found)}"


def _train_step(run: Run, stage: StagePlan, sources: Sources) -> Step:
    job = replace(
        training_of(run.plan, stage, run.folder, sources, stop=run.stop, world=run.world),
        allow_fallback=run.allow_fallback,
    )
    return Step(
        name=f"train:{stage.name}",
        key=_train_key(run, stage, sources),
        outputs=(run.folder.training(stage.name),),
        precious=True,
        work=lambda: train_stage(job),
        result=lambda: _trained(run, stage),
    )


def _train_key(run: Run, stage: StagePlan, sources: Sources) -> dict[str, Any]:
    """Return all that a stage's weights depend on."""
    experiment = run.plan.experiment
    grown = stage.origin.kind == "grown"
    return {
        "config": stage.config.as_dict(),
        "steps": stage.pace.steps,
        "validate_every": stage.pace.validate_every,
        "batch_tokens": stage.batch_tokens,
        "micro_sequences": stage.micro_sequences,
        "activation_checkpointing": stage.activation_checkpointing,
        "activation_budget": stage.activation_budget,
        "optimizer": stage.optimizer.model_dump(),
        "schedule": {"kind": type(stage.schedule).__name__, **asdict(stage.schedule)},
        "ema": stage.ema.model_dump() if stage.ema else None,
        "rewarm": asdict(stage.rewarm) if stage.rewarm else None,
        "spikes": asdict(stage.spikes) if stage.spikes else None,
        "weights": dict(stage.weights),
        "document_masking": stage.document_masking,
        "seed": experiment.seed,
        "slot": run.plan.slot,
        "mixture": experiment.mixture.model_dump(exclude={"max_epochs"}),
        "validation": experiment.validation.tokens,
        "compile": experiment.compile,
        "attention": experiment.attention,
        "residual": experiment.residual,
        "deterministic": experiment.deterministic,
        "sources": sources.ids,
        "masks": sources.masks_of(stage.weights),
        "tokenizer": sha256_file(run.folder.tokenizer),
        "parent": checkpoint.read_meta(run.folder.grown(stage.name)).files if grown else None,
    }


def _trained(run: Run, stage: StagePlan) -> str:
    losses = [each for each in read(run.folder.log(stage.name)) if isinstance(each, ValidationLoss)]
    return f"validation loss {losses[0].loss:.4f} -> {losses[-1].loss:.4f}"


def _ema_step(run: Run, stage: StagePlan, section: Ema) -> Step:
    final, out = run.folder.final(stage.name), run.folder.ema(stage.name)

    def work() -> Iterator[Event]:
        if not out.exists():
            moving_average(final, out, decay=section.decay)
        yield from ()

    return Step(
        name=f"ema:{stage.name}",
        key={"checkpoint": checkpoint.identity(checkpoint.read_meta(final))},
        outputs=(out,),
        precious=True,
        work=work,
        result=lambda: f"decay {section.decay:g} a step",
    )


def _average_step(run: Run, stage: StagePlan) -> Step:
    paths = _kept(run, stage)
    out = run.folder.average(stage.name)

    def work() -> Iterator[Event]:
        if not out.exists():
            average(paths, out)
        yield from ()

    return Step(
        name=f"average:{stage.name}",
        key={"checkpoints": [checkpoint.identity(checkpoint.read_meta(path)) for path in paths]},
        outputs=(out,),
        precious=True,
        work=work,
        result=lambda: f"{len(paths)} checkpoints",
    )


def _kept(run: Run, stage: StagePlan) -> list[Path]:
    """Return the checkpoints that go into a stage's average.

    Raises:
        CheckpointError: The stage was trained without keeping them.
    """
    place = run.folder.training(stage.name)
    kept = {**step_checkpoints(place), stage.pace.steps: run.folder.final(stage.name)}
    missing = [step for step in stage.pace.average_steps if step not in kept]
    if missing:
        raise CheckpointError(
            f"checkpoints of stage '{stage.name}' at steps {', '.join(map(str, missing))}",
            got="a stage that was trained before the recipe asked for them",
            fix=f"the earlier [average], or moving {place} away to train it anew",
        )
    return [kept[step] for step in stage.pace.average_steps]


def _examinees(run: Run, stage: StagePlan) -> Sequence[Examinee]:
    paths: dict[Label, Path] = {"final": run.folder.final(stage.name)}
    if stage.pace.average_steps:
        paths["average"] = run.folder.average(stage.name)
    if stage.ema is not None:
        paths["ema"] = run.folder.ema(stage.name)
    return [
        Examinee(path=path, label=label, context=stage.context, step=f"evaluate:{stage.name}")
        for label, path in paths.items()
    ]


def _evaluate_step(run: Run, stage: StagePlan) -> Step:
    examinees = _examinees(run, stage)
    experiment = run.plan.experiment
    out = run.folder.evaluation(stage.name)
    names = [source.name for source in experiment.source]

    def work() -> Iterator[Event]:
        exam = exam_of(experiment.evaluate, names, run.folder, seed=experiment.seed)
        views: list[EvaluationView] = []
        for examinee in examinees:
            views += yield from examine(examinee, exam)
        write_json(out, [view.model_dump(mode="json") for view in views])

    return Step(
        name=f"evaluate:{stage.name}",
        key={
            "section": experiment.evaluate.model_dump(exclude={"tasks", "data", "task_limit"}),
            "weights": [checkpoint.read_meta(each.path).weights_sha256 for each in examinees],
            "sources": packed_sources(run.plan, run.folder).ids,
            "seed": experiment.seed,
            "context": stage.context,
            "code": code_version(),
        },
        outputs=(out,),
        precious=False,
        work=work,
        result=lambda: f"{len(examinees)} checkpoints",
    )


def _tasks_step(run: Run, stage: StagePlan) -> Step:
    examinees, out = _examinees(run, stage), run.folder.tasks(stage.name)
    longest = stage.config.context if stage.config.positions == "learned" else None
    multiples = run.plan.experiment.evaluate.context_multiples
    contexts = [each * stage.context for each in multiples]
    read = [each for each in contexts if longest is None or each <= longest]
    weights = [checkpoint.read_meta(each.path).weights_sha256 for each in examinees]
    return Step(
        name=f"tasks:{stage.name}",
        key=key_of(run.plan, weights, run.shelf) | {"context": stage.context},
        outputs=(out,),
        precious=False,
        work=lambda: take_tasks(run.plan, [(each, read) for each in examinees], out, run.shelf),
        result=lambda: ", ".join(run.plan.experiment.evaluate.tasks),
    )


def _log_step(run: Run) -> Step:
    view = run_view(run.plan, run.folder, version=run.version)
    outputs = tuple(run.folder.path / name for name in FILES)

    def work() -> Iterator[Event]:
        write(view, run.folder.path)
        yield from ()

    return Step(
        name="log",
        key=view.model_dump(mode="json", exclude={"created"}),
        outputs=outputs,
        precious=False,
        work=work,
        result=lambda: ", ".join(str(output) for output in outputs),
    )
