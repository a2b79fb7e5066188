"""A synthetic run: a base of 3 layers, its child of 6, and two scratch controls of the child."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from growlm.report.contamination_view import (
    ContaminationView,
    DifferenceView,
    DoseView,
    SubsetView,
    ThresholdView,
)
from growlm.report.frozen import MeanView
from growlm.report.view import (
    CertificateView,
    ComparisonView,
    EvaluationView,
    LastWordView,
    RunView,
    SourceView,
    StageView,
    TokenizerView,
    TrainPoint,
    ValidationPoint,
)

BATCH = 32_768
BASE_FLOPS_PER_TOKEN = 9.0e6
CHILD_FLOPS_PER_TOKEN = 1.4e7
BASE_STEPS = 250
CHILD_STEPS = 250
BASE_FLOPS = BASE_STEPS * BATCH * BASE_FLOPS_PER_TOKEN
CHILD_FLOPS = CHILD_STEPS * BATCH * CHILD_FLOPS_PER_TOKEN
SHARES = {"docs": 0.6, "code": 0.4}

Edit = Callable[..., RunView]


def rate(step: int, steps: int) -> float:
    """Return a learning rate that warms up for a twentieth and falls along a cosine to a tenth."""
    warmup = steps // 20
    if step < warmup:
        return 1e-3 * step / warmup
    return 1e-3 * (0.55 + 0.45 * math.cos(math.pi * (step - warmup) / (steps - warmup)))


def descent(step: int, steps: int, *, first: float, last: float) -> float:
    """Return a loss that falls from one value to another, fast at first."""
    share = step / steps
    return last + (first - last) * (math.exp(-9 * share) + 0.06 * (1 - share)) / 1.06


def wobble(step: int) -> float:
    """Return a deterministic noise within 0.06 nats."""
    return 0.06 * math.sin(12.9898 * step + 78.233 * math.sin(0.37 * step))


def train_points(steps: int, *, first: float, last: float) -> tuple[TrainPoint, ...]:
    return tuple(
        TrainPoint(
            step=step,
            tokens=step * BATCH,
            loss=descent(step, steps, first=first, last=last - 0.03) + wobble(step),
            lr=rate(step, steps),
            seconds=0.5 * step,
        )
        for step in range(1, steps + 1)
    )


def validation_points(steps: int, *, first: float, last: float) -> tuple[ValidationPoint, ...]:
    steps_done = [round(steps * place / 20) for place in range(21)]
    losses = [descent(step, steps, first=first, last=last) for step in steps_done]
    return tuple(
        ValidationPoint(
            step=step,
            tokens=step * BATCH,
            loss=loss,
            losses={"docs": loss + 0.12, "code": loss - 0.18},
            seconds=0.5 * step,
        )
        for step, loss in zip(steps_done, losses, strict=True)
    )


def shape(layers: int) -> dict[str, Any]:
    return {
        "layers": layers,
        "heads": 4,
        "kv_heads": 4,
        "width": 128,
        "head_width": 32,
        "mlp": 512,
        "vocab_size": 4096,
        "positions": "alibi",
        "norm": "layernorm",
        "activation": "gelu",
        "parallel": False,
        "qk_norm": False,
        "qkv_bias": False,
        "output_bias": False,
        "mlp_bias": False,
        "norm_bias": False,
        "tied": True,
        "dropout": 0.0,
    }


def hyperparameters(steps: int) -> dict[str, str]:
    return {
        "optimizer": "AdamW",
        "peak learning rate": "1e-3",
        "schedule": "cosine to 10%",
        "warm-up steps": str(steps // 20),
        "betas": "0.9, 0.95",
        "weight decay": "0.1",
        "clipping": "norm 1.0",
        "precision": "bfloat16 with float32 master weights",
    }


def evaluations(loss: float, kinds: tuple[str, ...]) -> tuple[EvaluationView, ...]:
    return tuple(
        evaluation(loss + {"final": 0.0, "average": -0.015, "grown": 0.5}[kind], kind, multiple)
        for kind in kinds
        for multiple in (1, 2, 4)
    )


def evaluation(loss: float, kind: Any, multiple: int) -> EvaluationView:
    gain = 0.03 * math.log2(multiple)
    word = LastWordView(
        source="docs",
        examples=500,
        accuracy=0.5 - 0.08 * loss,
        accuracy_stderr=0.0181,
        perplexity=math.exp(1.6 * loss),
    )
    return EvaluationView(
        checkpoint=kind,
        context=256 * multiple,
        multiple=multiple,
        bits_per_byte={"docs": 0.46 * loss - gain, "code": 0.38 * loss - 1.5 * gain},
        documents={"docs": 412, "code": 318},
        capped=(),
        last_word=word if multiple == 1 else None,
    )


def certificate() -> CertificateView:
    return CertificateView(
        operator="interleave",
        layers_from=3,
        layers_to=6,
        sizes={"layers": (3, 6)},
        optimizer_state="asymmetric",
        layer_map=(0, 0, 1, 1, 2, 2),
        new_layers=(),
        claim="approximate",
        dtype="float32",
        batches="held-out",
        departures=("layers are repeated and all of them are heard",),
        comparisons=(
            ComparisonView(
                dtype="float32",
                context=256,
                tokens=8_192,
                max_logit_difference=3.417,
                loss_before=4.301,
                loss_after=4.712,
            ),
        ),
        norm_cliff=1.38,
        adjacency=0.4,
        max_logit_difference=3.417,
        loss_before=4.301,
        loss_after=4.712,
        parent_parameters=1_115_776,
        child_parameters=1_705_216,
        expected_parameters=1_705_216,
        parent_sha256="1f" * 32,
        child_sha256="2e" * 32,
        plan_sha256="3d" * 32,
    )


def stage(name: str, *, steps: int, layers: int, first: float, last: float) -> StageView:
    tokens = steps * BATCH
    flops_per_token = BASE_FLOPS_PER_TOKEN if layers == 3 else CHILD_FLOPS_PER_TOKEN
    return StageView(
        name=name,
        kind="scratch",
        parent=None,
        control_of=None,
        control_compute=None,
        context=256,
        document_masking=False,
        batch_tokens=BATCH,
        steps=steps,
        tokens=tokens,
        tokens_before=0,
        flops_per_token=flops_per_token,
        flops=tokens * flops_per_token,
        flops_before=0.0,
        parameters=1_115_776 if layers == 3 else 1_705_216,
        non_embedding_parameters=591_488 if layers == 3 else 1_180_928,
        shape=shape(layers),
        hyperparameters=hyperparameters(steps),
        source_tokens={name: round(share * tokens) for name, share in SHARES.items()},
        source_epochs={name: share * tokens / 2e7 for name, share in SHARES.items()},
        train=train_points(steps, first=first, last=last),
        validation=validation_points(steps, first=first, last=last),
        seconds=0.5 * steps,
        complete=True,
        notices=(),
        certificate=None,
        copies=(),
        evaluations=evaluations(last, ("final",)),
    )


def control(name: str, *, compute: float, last: float) -> StageView:
    steps = round(compute * (BASE_FLOPS + CHILD_FLOPS) / (BATCH * CHILD_FLOPS_PER_TOKEN))
    made = stage(name, steps=steps, layers=6, first=8.31, last=last)
    return made.model_copy(
        update={
            "kind": "control",
            "control_of": "grown",
            "control_compute": compute,
            "flops": compute * (BASE_FLOPS + CHILD_FLOPS),
        }
    )


def synthetic() -> RunView:
    """Return the run that most tests look at: everything finished, everything measured."""
    base = stage("base", steps=BASE_STEPS, layers=3, first=8.31, last=4.30)
    base = base.model_copy(update={"evaluations": evaluations(4.30, ("final", "average"))})
    child = stage("grown", steps=CHILD_STEPS, layers=6, first=4.71, last=3.88)
    child = child.model_copy(
        update={
            "kind": "grown",
            "parent": "base",
            "tokens_before": base.tokens,
            "flops_before": base.flops,
            "seconds_before": base.seconds,
            "certificate": certificate(),
            "evaluations": evaluations(3.88, ("grown", "final", "average")),
            "source_epochs": {name: share * 1.6384e7 / 2e7 for name, share in SHARES.items()},
        }
    )
    return RunView(
        title="A GPT of 6 layers, grown from one of 3",
        name="demo",
        growlm_version="0.1.0",
        created="2031-05-04T09:12:33+00:00",
        hardware="CPU, 2 cores",
        seed=1,
        author_notes=("The batch was chosen so that the run ends within a lunch break.",),
        credits=(
            "Interleaved growth: the log of a 1.1B model, [example](https://example.org/log).",
        ),
        tokenizer=TokenizerView(
            origin="byte-level BPE, trained on the sources",
            vocab_size=4_096,
            padded_vocab_size=4_096,
            sha256="ab" * 32,
        ),
        sources=(source("docs", 4_120), source("code", 3_180)),
        stages=(
            base,
            child,
            control("scratch", compute=1.0, last=3.93),
            control("scratch-half", compute=0.5, last=4.11),
        ),
        document_cap=3_000,
    )


def source(name: str, documents: int) -> SourceView:
    return SourceView(
        name=name,
        origin="text that every Python installation carries",
        documents=documents,
        heldout_documents=documents // 10,
        train_tokens=20_000_000,
        heldout_tokens=200_000,
        train_bytes=71_000_000,
        heldout_bytes=712_000,
        left_out=0,
        masked_tokens=0,
        lost=0,
    )


def edited(view: RunView, name: str, changes: Mapping[str, Any]) -> RunView:
    stages = [
        other.model_copy(update=dict(changes)) if other.name == name else other
        for other in view.stages
    ]
    return view.model_copy(update={"stages": tuple(stages)})


@pytest.fixture(scope="session")
def run() -> RunView:
    return synthetic()


@pytest.fixture(scope="session")
def empty_run(run: RunView) -> RunView:
    return run.model_copy(update={"stages": ()})


@pytest.fixture(scope="session")
def edit() -> Edit:
    """Return a function that changes fields of one stage of a run."""

    def change(view: RunView, name: str, **changes: Any) -> RunView:
        return edited(view, name, changes)

    return change


def mean(value: float, stderr: float, count: int) -> MeanView:
    return MeanView(value=value, stderr=stderr, count=count)


def dose(above: float | None, most: float, exposures: float, found: MeanView) -> DoseView:
    gain = None if above is None else found.value - 0.2
    return DoseView(
        above=above,
        most=most,
        exposures=exposures,
        mean=found,
        gain=gain,
        gain_stderr=None if above is None else 0.06,
        gain_per_exposure=None if gain is None else gain / exposures,
    )


def threshold(edge: float, flagged: int) -> ThresholdView:
    rest = mean(0.2, 0.052, 100 - flagged)
    return ThresholdView(edge=edge, flagged=flagged, rest=rest, gain=0.3, gain_stderr=0.065)


def leak() -> ContaminationView:
    """Return a hundred examples of which forty were leaked, and learned."""
    clean, dirty = mean(0.2, 0.052, 60), mean(0.95, 0.035, 40)
    return ContaminationView(
        stage="leaked",
        checkpoint="final",
        task="quiz",
        metric="acc",
        known="known",
        everything=mean(0.5, 0.05, 100),
        labels={"clean": 60, "dirty": 40, "short_hit": 3},
        subsets=(
            SubsetView(name="clean", mean=clean, z=-4.6, z_finite=-7.3),
            SubsetView(name="not clean", mean=dirty, z=5.7, z_finite=7.3),
            SubsetView(name="not dirty", mean=clean, z=-4.6, z_finite=-7.3),
            SubsetView(name="dirty", mean=dirty, z=5.7, z_finite=7.3),
        ),
        verdict="evidence",
        thresholds=(
            threshold(0.0, 45),
            threshold(0.1, 40),
            threshold(0.2, 40),
            threshold(0.8, 40),
        ),
        answered=mean(1.0, 0.0, 12),
        doses=(
            dose(None, 0.0, 0.0, mean(0.2, 0.052, 60)),
            dose(0.0, 1.5, 0.95, mean(0.9, 0.05, 20)),
            dose(24.0, math.inf, 32.0, mean(1.0, 0.0, 20)),
        ),
        parent="base",
        parent_known="known",
        gains=(
            dose(None, 0.0, 0.0, mean(0.05, 0.03, 60)),
            dose(3.0, 6.0, 3.5, mean(0.6, 0.04, 40)),
        ),
        difference=DifferenceView(
            exposed=mean(0.6, 0.04, 40),
            unexposed=mean(0.05, 0.03, 60),
            value=0.55,
            stderr=0.05,
            verdict="evidence",
        ),
    )


@pytest.fixture(scope="session")
def contamination() -> Callable[..., ContaminationView]:
    """Return a function: changes -> a leak as the log shows it."""

    def change(**changes: Any) -> ContaminationView:
        return leak().model_copy(update=changes)

    return change
