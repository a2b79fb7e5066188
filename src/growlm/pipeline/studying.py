"""A study: its recipe spread into one run for each seed, carried out, and told on one page."""

import math
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from growlm.base.errors import FolderError, RecipeError
from growlm.base.files import storage, whole_folder, write_bytes, write_json, write_text
from growlm.base.seeds import seed_for
from growlm.base.units import format_count, format_seconds
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.model.loss import cross_entropy_sum
from growlm.pipeline.checking import check_room, check_sources, table
from growlm.pipeline.events import Begun, Done, Event, Notice, Stop
from growlm.pipeline.folder import RunFolder, enclosing, opened_for, origin, owned
from growlm.pipeline.plan import Plan, plan
from growlm.pipeline.run import Run, cautioned, prepare, train_alone
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.viewing import run_view
from growlm.recipe.grid import Design, Trial, for_seed, spread
from growlm.recipe.read import validated, values_of
from growlm.recipe.toml import toml
from growlm.report import study_chart, study_tables
from growlm.report.study import best_controls, control_points, findings, validation_share
from growlm.report.study_tables import Told
from growlm.report.view import RunView
from growlm.runlog import Step, read
from growlm.training.device import choose_device, deterministic_algorithms

FORMAT = 1
FILES = ("study.md", "study.png", "study.json")
"""What a study leaves in its folder, beside a run's folder for each seed."""

TIMED_PASSES = 5
"""Passes of one micro-batch that tell the speed of a machine on which nothing ran yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What the controls of one seed's run are, and how all else is trained."""

    controls: Mapping[float, Trial] | None = None
    """By compute; None where all are tried."""
    others: float | None = None
    """Learning rate of every other stage; None where each keeps its own."""


UNTUNED = Tuned()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study, checked and ready to be carried out."""

    name: str
    title: str
    recipe_file: Path
    """For messages."""
    seeds: tuple[int, ...]
    values: Mapping[str, Any]
    """The recipe's."""
    stages: tuple[dict[str, Any], ...]
    """Every stage of the first seed's run, as a recipe's values."""
    design: Design
    recipe_folder: Path
    path: Path
    stop: Stop
    version: str
    validation_tokens: int
    """Tokens that one validation reads."""
    allow_fallback: bool
    """Whether training may go on from an earlier checkpoint than a damaged one."""

    def recipe(self, seed: int, tuned: Tuned = UNTUNED) -> dict[str, Any]:
        """Return the recipe of one seed's run, its controls tuned."""
        return for_seed(
            self.values,
            self.stages,
            self.design,
            seed=seed,
            best=tuned.controls,
            peak_lr=tuned.others,
        )

    def plan(self, seed: int, tuned: Tuned = UNTUNED) -> Plan:
        """Return the plan of one seed's run.

        Raises:
            RecipeError: Something in it cannot be built.
        """
        experiment = validated(self.recipe(seed, tuned), name=str(self.recipe_file))
        return plan(experiment, recipe_folder=self.recipe_folder)

    def folder(self, seed: int) -> RunFolder:
        """Return the run's folder of one seed."""
        return RunFolder(path=self.path / f"seed-{seed}")

    def plans(self) -> list[tuple[Plan, RunFolder]]:
        """Return each run's plan, where not yet tuned with the first try of each compute."""
        first = {compute: tried[0] for compute, tried in self.design.controls.items()}
        later = UNTUNED if self.design.tuned_anew else Tuned(controls=first)
        return [
            (self.plan(seed, later if at else UNTUNED), self.folder(seed))
            for at, seed in enumerate(self.seeds)
        ]


def study_of(
    recipe: Path,
    overrides: Sequence[str],
    *,
    out: Path | None,
    stop: Stop,
    version: str,
    allow_fallback: bool = False,
) -> Study:
    """Read a study, and check the recipe of each of its runs.

    Args:
        recipe: The recipe's file.
        overrides: The command line's changes to it.
        out: The study's folder; ``runs/NAME`` when None.
        stop: Says whether somebody asked the study to stop.
        version: growlm's, for the page.
        allow_fallback: Whether training may go on from an earlier checkpoint than a damaged one.

    Raises:
        GrowlmError: Something cannot work; nothing has been started.
    """
    home, changes = origin(recipe, overrides)
    with storage(recipe):
        content = recipe.read_bytes()
    values = values_of(content, name=str(recipe), assignments=changes)
    experiment = validated(values, name=str(recipe))
    if experiment.study is None:
        raise RecipeError(
            "a recipe with a study",
            got="none",
            fix="adding [study] with seeds and peak_lr, or growlm run",
            where=str(recipe),
        )
    try:
        stages, design = spread(values, experiment.study)
    except RecipeError as error:
        raise RecipeError(error.expected, got=error.got, fix=error.fix, where=str(recipe)) from None
    made = Study(
        name=experiment.name,
        title=experiment.log.title,
        recipe_file=recipe,
        seeds=experiment.study.seeds,
        values=values,
        stages=tuple(stages),
        design=design,
        recipe_folder=home,
        path=out or Path("runs") / experiment.name,
        stop=stop,
        version=version,
        validation_tokens=experiment.validation.tokens,
        allow_fallback=allow_fallback,
    )
    made = _at_equal_compute(made)
    _check(made)
    return made


def _at_equal_compute(study: Study) -> Study:
    """Give a parent that is trained on the compute of its child, in whole batches."""
    name = study.design.continued
    if name is None:
        return study
    planned = study.plan(study.seeds[0])
    parent = planned.stage(name)
    grown = planned.stage(next(_controlled(planned)))
    steps = math.ceil(grown.flops / parent.flops_per_token / parent.batch_tokens)
    tokens = steps * parent.batch_tokens
    stages = (each | {"tokens": tokens} if each["name"] == name else each for each in study.stages)
    return replace(study, stages=tuple(stages))


def _controlled(planned: Plan) -> Iterator[str]:
    return (stage.origin.control_of for stage in planned.stages if stage.origin.control_of)


def _check(study: Study) -> None:
    """Check all that can be checked before anything runs.

    Raises:
        RecipeError: Arms that cannot be compared, or are the same.
        CorpusError: A source is missing, or too short.
        FolderError: The study's folder is another's.
        StorageError: The checkpoints will not fit on the disk.
    """
    runs = study.plans()
    first, folder = runs[0]
    _check_shapes(first, study.design)
    _check_distinct(first)
    check_sources(first)
    table(first, owned(folder.path, name=first.experiment.name))
    if enclosing(study.path / "seed") is not None:
        raise FolderError(
            "a folder for the study that is no run's", got=str(study.path), fix="another --out"
        )
    with storage(study.path):
        study.path.mkdir(parents=True, exist_ok=True)
    check_room(runs, place=study.path)


def _check_shapes(planned: Plan, design: Design) -> None:
    """Refuse arms that do not end at the shape of the controls, which are everybody's."""
    wanted = planned.stage(next(iter(design.controlled())))
    for arm in design.arms:
        stage = planned.stage(arm.name)
        mine, theirs = _shape(stage), _shape(wanted)
        if mine != theirs:
            key = next(name for name in mine if mine[name] != theirs[name])
            raise RecipeError(
                f"every child of a study to have the shape of the control, {key}={theirs[key]}",
                got=f"stage '{arm.name}' with {key}={mine[key]}",
                fix=f"{key} = {theirs[key]}, or another study",
            )


def _shape(stage: StagePlan) -> dict[str, Any]:
    """Return a stage's shape and context, without the eps that padding scales along."""
    shape = asdict(stage.config)
    del shape["norm_eps"]
    return shape | {"context": stage.context}


def _check_distinct(planned: Plan) -> None:
    """Refuse variations that only restate what holds by default."""
    seen: dict[str, str] = {}
    for stage in planned.experiment.stage:
        content = stage.model_dump_json(exclude={"name"})
        if content in seen:
            raise RecipeError(
                "variations of study.grid that differ from the recipe's stage and from each other",
                got=f"'{stage.name}', which is '{seen[content]}'",
                fix="removing one of its values",
            )
        seen[content] = stage.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a study will do and cost."""

    runs: int
    stages: int
    tokens: int
    flops: float
    flops_left: float
    """Of the stages that are not finished."""
    seconds_left: float
    """Estimated, for training alone."""
    known: str
    """How the speed is known."""

    def words(self) -> str:
        """Return it in one line."""
        return (
            f"{self.runs} runs, {self.stages} stages, {format_count(self.tokens)} tokens, "
            f"{self.flops:.3g} FLOPs; about {format_seconds(self.seconds_left)} of training left, "
            f"at the speed of {self.known}"
        )


def outlook(study: Study) -> Outlook:
    """Return what a study will do and cost; where nothing ran yet, a few passes are timed."""
    runs = study.plans()
    stages = [(stage, folder) for planned, folder in runs for stage in planned.stages]
    left = math.fsum(
        stage.flops for stage, folder in stages if not folder.final(stage.name).exists()
    )
    speed, known = _speed(stages)
    return Outlook(
        runs=len(runs),
        stages=len(stages),
        tokens=sum(stage.tokens for stage, _ in stages),
        flops=math.fsum(stage.flops for stage, _ in stages),
        flops_left=left,
        seconds_left=left / speed,
        known=known,
    )


def _speed(stages: Sequence[tuple[StagePlan, RunFolder]]) -> tuple[float, str]:
    """Return FLOPs per second: of the steps that were logged, else of a few passes."""
    flops = seconds = 0.0
    for stage, folder in stages:
        if folder.log(stage.name).is_file():
            steps = [each for each in read(folder.log(stage.name)) if isinstance(each, Step)]
            flops += len(steps) * stage.batch_tokens * stage.flops_per_token
            seconds += math.fsum(each.seconds for each in steps)
    if seconds > 0:
        return flops / seconds, "what ran already"
    largest = max((stage for stage, _ in stages), key=lambda stage: stage.flops_per_token)
    return _timed(largest), f"the fastest of {TIMED_PASSES} passes of the largest model"


def _timed(stage: StagePlan) -> float:
    """Return the FLOPs per second of one micro-batch, forward and backward."""
    device = choose_device()
    stream = torch.Generator().manual_seed(seed_for(0, "study", "speed"))
    model = GPT(stage.config)
    initialize(model, stream)
    model.to(device)
    shape = (stage.micro_sequences, stage.context + 1)
    ids_BT = torch.randint(stage.config.vocab_size, shape, generator=stream).to(device)
    seconds = list[float]()
    for _ in range(TIMED_PASSES):
        started = time.perf_counter()
        hidden_BTD = model(ids_BT[:, :-1])
        loss = cross_entropy_sum(
            hidden_BTD.flatten(0, 1),
            model.head_weight,
            ids_BT[:, 1:].flatten(),
            vocab_size=stage.config.vocab_size,
        )
        loss.backward()
        float(loss.detach())  # waits for a device that answers late
        seconds.append(time.perf_counter() - started)
    tokens = stage.micro_sequences * stage.context
    return tokens * stage.flops_per_token / max(min(seconds), 1e-9)


def carry_out(study: Study) -> Iterator[Event]:
    """Carry a study out, seed by seed; what is done already is skipped.

    The first seed tries all that may be a control; the others take the best, unless each tries
    all. Stages that are no controls train at the rate of the first seed's best, where they follow.
    """
    yield Notice(text=outlook(study).words())
    best = yield from _tune(study)
    others = study.design.peak_lr(best)
    views: list[RunView] = []
    for seed in study.seeds:
        known = bool(views) and not study.design.tuned_anew
        tuned = Tuned(controls=best if known else None, others=others)
        if views:
            yield Notice(text=outlook(study).words())
        with _opened(study, seed, tuned) as run:
            if views:
                yield from _prepared(run, seed)
            done = () if views else study.design.controlled()
            yield from _trained(run, seed, (s for s in run.plan.stages if s.name not in done))
            views.append(run_view(run.plan, run.folder, version=study.version))
        started = time.perf_counter()
        yield Begun(step="study")
        written = _write(study, views)
        seconds = time.perf_counter() - started
        yield Done(step="study", seconds=seconds, result=", ".join(map(str, written)))


def _tune(study: Study) -> Generator[Event, None, dict[float, Trial]]:
    """Train all that the first seed tries from scratch, and return the best of each compute."""
    seed = study.seeds[0]
    controls = study.design.controlled()
    with _opened(study, seed, UNTUNED) as run:
        yield from cautioned(run, run.plan.stages)  # what the others should be told is the same
        yield from _prepared(run, seed)
        yield from _trained(run, seed, (s for s in run.plan.stages if s.name in controls))
        return best_controls(run_view(run.plan, run.folder, version=study.version), study.design)


@contextmanager
def _opened(study: Study, seed: int, tuned: Tuned) -> Generator[Run, None, None]:
    """Open one seed's run for this process alone."""
    planned = study.plan(seed, tuned)
    with opened_for(
        study.folder(seed).path,
        name=study.name,
        content=toml(study.recipe(seed, tuned)).encode(),
        recipe_folder=study.recipe_folder,
    ) as folder:
        _take_corpus(study.folder(study.seeds[0]), folder)
        with deterministic_algorithms(asked=planned.experiment.deterministic):
            yield Run(
                plan=planned,
                folder=folder,
                stop=study.stop,
                version=study.version,
                allow_fallback=study.allow_fallback,
            )


def _trained(run: Run, seed: int, stages: Iterable[StagePlan]) -> Iterator[Event]:
    """Train stages; nothing is scored, since only losses are compared."""
    for stage in stages:
        for event in train_alone(run, stage):
            yield _of_seed(event, seed)


def _prepared(run: Run, seed: int) -> Iterator[Event]:
    for event in prepare(run):
        yield _of_seed(event, seed)


def _take_corpus(first: RunFolder, other: RunFolder) -> None:
    """Give a run what the first one prepared; its steps' keys still decide whether it holds."""
    if other.corpus.exists() or not first.corpus.exists():
        return
    with whole_folder(other.corpus) as place, storage(first.corpus):
        shutil.copytree(first.corpus, place, dirs_exist_ok=True)
    for record in sorted((first.path / "steps").glob("prepare.*")):
        write_bytes(other.path / "steps" / record.name, record.read_bytes())


def _of_seed(event: Event, seed: int) -> Event:
    """Return an event that says of which seed it is."""
    if isinstance(event, Notice):
        return replace(event, text=f"seed {seed}: {event.text}")
    return replace(event, step=f"seed {seed}, {event.step}")


def _write(study: Study, views: Sequence[RunView]) -> tuple[Path, ...]:
    """Write what the study found so far, each file whole or as it was before."""
    found = findings(views, study.design)
    told = Told(
        title=study.title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        growlm_version=study.version,
        planned_seeds=len(study.seeds),
        validation_share=validation_share(views, study.design, tokens=study.validation_tokens),
    )
    places = tuple(study.path / name for name in FILES)
    write_text(places[0], study_tables.page(found, views, told))
    write_bytes(places[1], study_chart.png(found, control_points(views, study.design)))
    write_json(places[2], {"format": FORMAT, "name": study.name, **asdict(told), **asdict(found)})
    return places
