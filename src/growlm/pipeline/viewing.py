"""The log step's material: everything a run has shown so far, as the report wants it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from pydantic import ValidationError

from growlm import checkpoint
from growlm.base.errors import StorageError
from growlm.base.files import read_json, sha256_file
from growlm.checkpoint import Meta
from growlm.corpus.ledger import Ledger, Status
from growlm.growth.certificate import Certificate
from growlm.model.config import GPTConfig, padded
from growlm.model.cost import non_embedding_parameters
from growlm.pipeline import optimizing, rates
from growlm.pipeline.baselining import baseline_views
from growlm.pipeline.data import Sources, packed_sources, stage_data
from growlm.pipeline.exposing import ledger_of
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.preparing import facts_of
from growlm.pipeline.recomputing import checkpointing_words
from growlm.pipeline.stageplan import StagePlan
from growlm.pipeline.tasking import Marked, contamination, marked, task_view
from growlm.recipe.sections import Source
from growlm.report.view import (
    ApartView,
    BenchmarkView,
    CertificateView,
    ComparisonView,
    CopiesPoint,
    EvaluationView,
    ExposureView,
    MemoryView,
    RunView,
    SourceView,
    StageView,
    TaskView,
    TokenizerView,
    TrainPoint,
    ValidationPoint,
)
from growlm.runlog import (
    AnyRecord,
    Copies,
    Memory,
    Notice,
    Rollback,
    Start,
    Step,
    ValidationLoss,
    read,
)
from growlm.training.spikes import UNDONE


def run_view(plan: Plan, folder: RunFolder, *, version: str) -> RunView:
    """Return what the log of a run shows, of stages finished or not."""
    experiment = plan.experiment
    sources = packed_sources(plan, folder)
    stages = tuple(stage_view(plan, stage, folder, sources) for stage in plan.stages)
    return RunView(
        title=experiment.log.title,
        name=experiment.name,
        growlm_version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hardware=_hardware(plan, folder),
        seed=experiment.seed,
        author_notes=experiment.log.notes,
        credits=experiment.log.sources,
        tokenizer=_tokenizer(plan, folder),
        sources=tuple(_source(source, folder) for source in experiment.source),
        stages=stages,
        document_cap=experiment.evaluate.documents,
        baselines=baseline_views(plan, folder),
        contamination=contamination(plan, folder),
    )


def stage_view(plan: Plan, stage: StagePlan, folder: RunFolder, sources: Sources) -> StageView:
    """Return what the log shows of one stage."""
    records = _records(folder, stage.name)
    train = [each for each in records if isinstance(each, Step)]
    clock = _clock(train)
    data = stage_data(plan, stage, sources)
    origin = stage.origin
    return StageView(
        name=stage.name,
        kind=origin.kind,
        parent=str(origin.parent_path) if origin.parent_path else origin.parent,
        control_of=origin.control_of,
        control_compute=origin.control_compute,
        context=stage.context,
        document_masking=stage.document_masking,
        batch_tokens=stage.batch_tokens,
        steps=stage.pace.steps,
        tokens=stage.tokens,
        tokens_before=origin.tokens_before,
        flops_per_token=stage.flops_per_token,
        flops=stage.flops,
        flops_before=origin.flops_before,
        parameters=stage.parameters,
        non_embedding_parameters=non_embedding_parameters(stage.config),
        shape=_shape(stage),
        hyperparameters=_hyperparameters(stage),
        source_tokens=data.tokens_drawn(),
        source_epochs=data.epochs(),
        train=tuple(
            TrainPoint(
                step=each.step,
                tokens=each.tokens,
                loss=each.loss,
                lr=each.lr,
                seconds=clock[each.step],
            )
            for each in train
        ),
        validation=tuple(
            ValidationPoint(
                step=each.step,
                tokens=each.tokens,
                loss=each.loss,
                losses=each.losses,
                seconds=clock.get(each.step, 0.0),
            )
            for each in records
            if isinstance(each, ValidationLoss)
        ),
        seconds=sum(each.seconds for each in train),
        seconds_before=_seconds_before(plan, stage, folder),
        complete=folder.final(stage.name).exists(),
        skipped=_skipped(records),
        notices=tuple(each.text for each in records if isinstance(each, Notice)),
        certificate=_certificate(folder, stage),
        copies=tuple(
            CopiesPoint(
                step=each.step,
                tokens=each.tokens,
                distance=each.distance,
                spaces={
                    space: ApartView(**found.model_dump()) for space, found in each.spaces.items()
                },
            )
            for each in records
            if isinstance(each, Copies)
        ),
        evaluations=_evaluations(folder, stage.name),
        exposure=_exposure(folder.final(stage.name)),
        memory=_memory([each for each in records if isinstance(each, Memory)]),
    )


def _clock(train: Sequence[Step]) -> dict[int, float]:
    """Return the time of training up to each step."""
    steps = [each.step for each in train]
    return dict(zip(steps, accumulate(each.seconds for each in train), strict=True))


def _seconds_before(plan: Plan, stage: StagePlan, folder: RunFolder) -> float:
    """Return the time of training of a stage's parents in this run."""
    if stage.origin.parent is None:
        return 0.0
    parent = plan.stage(stage.origin.parent)
    own = [each for each in _records(folder, parent.name) if isinstance(each, Step)]
    return sum(each.seconds for each in own) + _seconds_before(plan, parent, folder)


def _memory(records: Sequence[Memory]) -> MemoryView | None:
    """Return the most of what a stage held, over all times that it was begun."""
    if not records:
        return None
    gpus = [each.gpu for each in records if each.gpu is not None]
    return MemoryView(
        peak_resident_bytes=max(each.peak_resident_bytes for each in records),
        peak_allocated_bytes=max((each.peak_allocated_bytes for each in gpus), default=None),
        peak_reserved_bytes=max((each.peak_reserved_bytes for each in gpus), default=None),
        retries=max((each.retries for each in gpus), default=0),
        ooms=max((each.ooms for each in gpus), default=0),
    )


def _skipped(records: Sequence[AnyRecord]) -> dict[str, tuple[int, ...]]:
    """Return the steps that left no trace in the weights, by why."""
    whys: dict[int, str] = {}
    for each in records:
        if isinstance(each, Step) and each.skipped:
            whys[each.step] = each.skipped
        elif isinstance(each, Rollback):
            whys |= dict.fromkeys(range(each.to + 1, each.step + 1), UNDONE)
    return {
        why: tuple(sorted(step for step, other in whys.items() if other == why))
        for why in sorted({*whys.values()})
    }


def _exposure(path: Path) -> ExposureView | None:
    if not path.exists():
        return None
    found = ledger_of(path)
    return ExposureView(
        unsearched=_stages(found, "not scanned"),
        partly=_stages(found, "partly scanned"),
        unknown=_stages(found, "unknown"),
        benchmarks=tuple(BenchmarkView(**asdict(total)) for total in found.totals()),
    )


def _stages(found: Ledger, status: Status) -> tuple[str, ...]:
    return tuple(each.stage for each in found.segments if each.status == status)


def _records(folder: RunFolder, stage: str) -> list[AnyRecord]:
    return list(read(folder.log(stage))) if folder.log(stage).is_file() else []


def _hardware(plan: Plan, folder: RunFolder) -> str:
    devices = {
        record.device
        for stage in plan.stages
        for record in _records(folder, stage.name)
        if isinstance(record, Start)
    }
    return "; ".join(sorted(devices)) or "nothing has run yet"


def _tokenizer(plan: Plan, folder: RunFolder) -> TokenizerView:
    section = plan.experiment.tokenizer
    return TokenizerView(
        origin=section.file or "byte-level BPE, trained on the training documents",
        vocab_size=plan.vocab_size,
        padded_vocab_size=padded(plan.vocab_size),
        sha256=sha256_file(folder.tokenizer),
    )


def _source(source: Source, folder: RunFolder) -> SourceView:
    facts, files = facts_of(folder, source.name), ", ".join(source.files)
    origins = {
        "docs": "the documentation that every Python carries: topics and docstrings",
        "code": "the modules of Python's standard library",
    }
    return SourceView(
        name=source.name,
        origin=origins[source.builtin] if source.builtin else source.shards or files,
        documents=facts.train_documents,
        heldout_documents=facts.heldout_documents,
        train_tokens=facts.train_tokens,
        heldout_tokens=facts.heldout_tokens,
        train_bytes=facts.train_bytes,
        heldout_bytes=facts.heldout_bytes,
        left_out=facts.duplicates,
        masked_tokens=facts.masked_tokens,
        lost=facts.bad_json + facts.no_field + facts.broken_file,
    )


def _shape(stage: StagePlan) -> dict[str, str | int | float | bool]:
    config = stage.config
    return {
        "layers": config.layers,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "width": config.width,
        "head_width": config.head_width,
        "mlp": config.mlp,
        "vocab_size": config.vocab_size,
        "padded_vocab_size": config.padded_vocab_size,
        "positions": config.positions,
        **_rotary(config),
        "norm": config.norm,
        "activation": config.activation,
        "parallel": config.parallel,
        "qk_norm": config.qk_norm,
        "qkv_bias": config.qkv_bias,
        "output_bias": config.output_bias,
        "mlp_bias": config.mlp_bias,
        "norm_bias": config.norm_bias,
        "tied": config.tied,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
    }


def _rotary(config: GPTConfig) -> dict[str, float]:
    if config.positions != "rotary":
        return {}
    told = {"rotary_base": config.rotary_base, "rotary_share": config.rotary_share}
    scaling = config.rotary_scaling
    return told if scaling is None else {**told, "rotary_factor": scaling.factor}


def _hyperparameters(stage: StagePlan) -> dict[str, str]:
    optimizer = stage.optimizer
    clips = {"norm": optimizer.clip_norm, "value": optimizer.clip_value}
    clip = ", ".join(f"{kind} {limit:g}" for kind, limit in clips.items() if limit is not None)
    return {
        **optimizing.words(optimizer),
        **rates.words(stage),
        "weight decay": f"{optimizer.weight_decay:g}, matrices only",
        "gradient clipping": clip or "none",
        **_ema(stage),
        "activation checkpointing": checkpointing_words(stage),
        **_spikes(stage),
        "mixture": ", ".join(f"{name} {weight:g}" for name, weight in stage.weights.items()),
    }


def _ema(stage: StagePlan) -> dict[str, str]:
    if stage.ema is None:
        return {}
    rhythm = "every step" if stage.ema.every == 1 else f"every {stage.ema.every:,} steps"
    return {"moving average": f"decay {stage.ema.decay:g} a step, taken {rhythm}"}


def _spikes(stage: StagePlan) -> dict[str, str]:
    rule = stage.spikes
    if rule is None:
        return {}
    words = f"not finite, or {rule.deviations:g} deviations over the latest {rule.size:,} steps"
    back = f"; {rule.roll_back_after:,} of them: rolled back" if rule.roll_back_after else ""
    return {"steps not taken": words + back}


def _certificate(folder: RunFolder, stage: StagePlan) -> CertificateView | None:
    path = folder.grown(stage.name)
    if not (path / checkpoint.META).is_file():
        return None
    meta = checkpoint.read_meta(path)
    return certificate_view(meta)


def certificate_view(meta: Meta) -> CertificateView | None:
    """Return a checkpoint's certificate as the report shows it, if it has one."""
    if meta.certificate is None:
        return None
    found = Certificate.model_validate(meta.certificate)
    main = found.main
    if main is None or found.norm_cliff is None:  # it was never measured
        return None
    return CertificateView(
        operator=found.operator,
        layers_from=max(found.sources) + 1,
        layers_to=len(found.sources),
        sizes=found.sizes,
        optimizer_state=found.optimizer_state,
        layer_map=found.sources,
        new_layers=found.silent,
        claim=found.claim,
        departures=found.departures,
        comparisons=tuple(
            ComparisonView(
                dtype=each.dtype,
                context=each.context,
                tokens=each.tokens,
                max_logit_difference=each.max_logit_difference,
                loss_before=each.loss_before,
                loss_after=each.loss_after,
            )
            for each in found.measurements
        ),
        norm_cliff=found.norm_cliff,
        adjacency=found.adjacency,
        dtype=main.dtype,
        batches=found.batches,
        max_logit_difference=main.max_logit_difference,
        loss_before=main.loss_before,
        loss_after=main.loss_after,
        parent_parameters=found.parent_parameters,
        child_parameters=found.child_parameters,
        expected_parameters=found.expected_parameters,
        parent_sha256=found.parent_sha256,
        child_sha256=meta.weights_sha256,
        plan_sha256=found.plan_sha256,
    )


def _evaluations(folder: RunFolder, stage: str) -> tuple[EvaluationView, ...]:
    path = folder.evaluation(stage)
    if not path.is_file():
        return ()
    values: list[Mapping[str, object]] = read_json(path)
    tasks = marked(folder.tasks(stage))
    try:
        found = [EvaluationView.model_validate(each) for each in values]
        return tuple(each.model_copy(update={"tasks": _tasks(each, tasks)}) for each in found)
    except ValidationError as error:
        raise StorageError(
            f"{path} to hold this growlm's scores",
            got=str(error.errors()[0]["msg"]),
            fix="removing it: the stage is then scored again",
        ) from None


def _tasks(score: EvaluationView, found: Sequence[Marked]) -> tuple[TaskView, ...]:
    """Return what the checkpoint of some scores made of the tasks, at the same context."""
    return tuple(
        task_view(each.score)
        for each in found
        if (each.checkpoint, each.context) == (score.checkpoint, score.context)
    )
