"""What the training log shows: frozen records, the same in memory and in ``results.json``."""

from collections.abc import Mapping
from typing import Literal

from growlm.report.contamination_view import ContaminationView
from growlm.report.frozen import MeanView, View


class TokenizerView(View, frozen=True):
    """The tokenizer all stages share."""

    origin: str
    """Where it comes from, in words."""
    vocab_size: int
    """Ids that stand for something."""
    padded_vocab_size: int
    """Rows of the embedding."""
    sha256: str
    """Of its file, in hex."""


class SourceView(View, frozen=True):
    """A named stream of documents."""

    name: str
    """How the mixture calls it."""
    origin: str
    """Where its documents come from, in words."""
    documents: int
    """Documents to train on."""
    heldout_documents: int
    """Documents no stage trains on."""
    train_tokens: int
    """Tokens of the former."""
    heldout_tokens: int
    """Tokens of the latter."""
    train_bytes: int
    """UTF-8 bytes of the former."""
    heldout_bytes: int
    """UTF-8 bytes of the latter."""
    left_out: int
    """Documents that stand elsewhere in the sources, and so neither."""
    masked_tokens: int
    """Tokens to train on that carry no loss, because they stand in a benchmark."""
    lost: int
    """Records that could not be read."""


class TrainPoint(View, frozen=True):
    """One optimizer step."""

    step: int
    """Steps done in this stage."""
    tokens: int
    """Tokens seen in this stage."""
    loss: float
    """Training loss, nats per token."""
    lr: float
    """Learning rate."""
    seconds: float = 0.0
    """Wall-clock time of the stage's training up to here."""


class ValidationPoint(View, frozen=True):
    """One pass over the held-out tokens."""

    step: int
    """Steps done in this stage."""
    tokens: int
    """Tokens seen in this stage."""
    loss: float
    """Mean over the sources by the mixture's weights, nats per token."""
    losses: Mapping[str, float]
    """By source, nats per token."""
    seconds: float = 0.0
    """Wall-clock time of the stage's training up to here."""


class ApartView(View, frozen=True):
    """How far the copies in one space had moved apart."""

    copies: int
    """Copies beside the first of each source, in all layers."""
    equal: int
    """How many of them still equalled another copy of their source, up to rounding."""
    largest: float
    """Largest absolute difference of two copies' weights."""
    relative: float
    """Mean of |copy - first| / |first| over the matrices that write the space."""


class CopiesPoint(View, frozen=True):
    """How far copies had moved apart."""

    step: int
    """Steps done in this stage."""
    tokens: int
    """Tokens seen in this stage."""
    distance: float | None
    """Of layers: the mean of |copy - first| / |first| over their matrices."""
    spaces: Mapping[str, ApartView]
    """Of units, by the size that counts them."""


class ComparisonView(View, frozen=True):
    """Parent and child on the same batches, in one number format at one context."""

    dtype: str
    """Number format of both."""
    context: int
    """Tokens in a sequence."""
    tokens: int
    """Tokens compared."""
    max_logit_difference: float
    """Largest absolute difference between a logit of the parent and one of the child."""
    loss_before: float
    """The parent's loss, nats per token."""
    loss_after: float
    """The child's."""


class CertificateView(View, frozen=True):
    """What was measured of one growth event, before any training of the child."""

    operator: str
    """How the child's layers were chosen: interleave, stack, insert, and the like."""
    layers_from: int
    """Layers of the parent."""
    layers_to: int
    """Layers of the child."""
    sizes: Mapping[str, tuple[int, int]]
    """Every size that changed, before and after."""
    optimizer_state: str
    """What became of the parent's moments: drop, copy, asymmetric, exact."""
    layer_map: tuple[int | None, ...]
    """For each layer of the child, the parent's layer it was copied from; None for a fresh one."""
    new_layers: tuple[int, ...]
    """Positions in the child whose output matrices were set to zero."""
    claim: Literal["exact", "approximate"]
    """Whether the child computes what its parent computed."""
    departures: tuple[str, ...]
    """Why it does not, if it does not claim to."""
    comparisons: tuple[ComparisonView, ...]
    """Every number format at every context."""
    norm_cliff: float
    """Largest step between neighbouring layers' norms, over the parent's mean step."""
    adjacency: float
    """Share of neighbouring layers that were neighbours in the parent."""
    dtype: str
    """Number format of the comparison that the log quotes."""
    batches: str
    """What the two were compared on, in words."""
    max_logit_difference: float
    """Largest absolute difference between a logit of the parent and one of the child."""
    loss_before: float
    """The parent's loss on those batches, nats per token."""
    loss_after: float
    """The child's, nats per token."""
    parent_parameters: int
    """Parameters of the parent."""
    child_parameters: int
    """Parameters of the child."""
    expected_parameters: int
    """What the formula says the child should have."""
    parent_sha256: str
    """Of the parent's weights, in hex."""
    child_sha256: str
    """Of the child's weights, in hex."""
    plan_sha256: str
    """Of the growth plan, in hex."""


class LastWordView(View, frozen=True):
    """A last-word task in LAMBADA's form."""

    source: str
    """The source its passages were held out from."""
    examples: int
    """Passages scored."""
    accuracy: float
    """Share of passages whose whole last word is the greedy choice, in [0, 1]."""
    accuracy_stderr: float
    """Its standard error."""
    perplexity: float
    """exp of the mean negative log-likelihood of a last word, per word."""


class TaskView(View, frozen=True):
    """What a checkpoint makes of a task of lm-evaluation-harness."""

    task: str
    """By the harness's name: ``lambada_openai``."""
    scores: Mapping[str, MeanView]
    """By metric: ``acc`` and ``acc_norm`` in [0, 1]; ``log_likelihood_nats`` of the right answer,
    whose mean makes a last word's perplexity."""


class EvaluationView(View, frozen=True):
    """Scores of one checkpoint at one context."""

    checkpoint: Literal["final", "average", "ema", "grown"]
    """The stage's end, an average of its last checkpoints, the moving average of its weights, or
    its start, straight after growth."""
    context: int
    """Tokens the model could see."""
    multiple: int
    """That context over the training context."""
    bits_per_byte: Mapping[str, float]
    """By source."""
    documents: Mapping[str, int]
    """Documents scored, by source."""
    capped: tuple[str, ...]
    """Sources of which only the first documents were scored."""
    last_word: LastWordView | None
    """The last-word task, if it was run."""
    tasks: tuple[TaskView, ...] = ()
    """Tasks of lm-evaluation-harness, if any were run."""
    bits_per_byte_stderr: Mapping[str, float] = {}
    """Standard errors of the bits per byte over documents, by source, where they were found."""


class BenchmarkView(View, frozen=True):
    """What a model was trained on of a benchmark, its parents included."""

    benchmark: str
    """How the recipe calls it."""
    examples: int
    """Examples that were trained on, in part at least."""
    answered: int
    """Those of them with their answer."""
    exposures: float
    """How often all of their tokens were trained on, together."""
    most: float
    """How often those of the one that was trained on most were."""
    masked: int
    """Examples that were only read."""


class ExposureView(View, frozen=True):
    """What is known of the benchmarks in a model's training data."""

    unsearched: tuple[str, ...]
    """Stages of its lineage whose data were not searched, though they could have been."""
    partly: tuple[str, ...]
    """Stages of its lineage of which only some sources were searched, or not for everything."""
    unknown: tuple[str, ...]
    """Stages of its lineage whose data nobody knows."""
    benchmarks: tuple[BenchmarkView, ...]
    """What was searched for."""


class MemoryView(View, frozen=True):
    """What memory a stage's training held."""

    peak_resident_bytes: int
    """The most of the process in main memory."""
    peak_allocated_bytes: int | None = None
    """The most in tensors of a GPU; None on a CPU."""
    peak_reserved_bytes: int | None = None
    """The most asked of its driver."""
    retries: int = 0
    """Times that the GPU's allocator gave back what it kept, for nothing that fits was free."""
    ooms: int = 0
    """Times that it found no memory even so."""


class StageView(View, frozen=True):
    """One stretch of training at a fixed shape."""

    name: str
    """How the recipe calls it."""
    kind: Literal["scratch", "grown", "control"]
    """From nothing, from a parent, or from nothing as the control of a grown stage."""
    parent: str | None
    """A stage's name or a checkpoint's path; None unless grown."""
    control_of: str | None
    """The grown stage a control answers."""
    control_compute: float | None
    """A control's compute, as a multiple of what the grown stage and its parents took."""
    context: int
    """Tokens in a training sequence."""
    document_masking: bool
    """Whether a token saw only tokens of its own document."""
    batch_tokens: int
    """Tokens per optimizer step."""
    steps: int
    """Optimizer steps of the whole stage."""
    tokens: int
    """Tokens trained on in this stage."""
    tokens_before: int
    """Tokens its parents were trained on."""
    flops_per_token: float
    """Training FLOPs per token, forward and backward."""
    flops: float
    """Training FLOPs of this stage."""
    flops_before: float
    """Training FLOPs of its parents."""
    parameters: int
    """All parameters."""
    non_embedding_parameters: int
    """Parameters without the embedding."""
    shape: Mapping[str, str | int | float | bool]
    """Rows of the model table, in order."""
    hyperparameters: Mapping[str, str]
    """Rows of the training table, in order."""
    source_tokens: Mapping[str, int]
    """Tokens drawn in this stage, by source."""
    source_epochs: Mapping[str, float]
    """Times each source had been read at the stage's end, by the stage and its parents."""
    train: tuple[TrainPoint, ...]
    """Training loss over the steps."""
    validation: tuple[ValidationPoint, ...]
    """Validation loss over the steps."""
    seconds: float
    """Wall-clock time of training."""
    seconds_before: float = 0.0
    """Wall-clock time of its parents in this run."""
    complete: bool
    """Whether all steps are done."""
    skipped: Mapping[str, tuple[int, ...]] = {}
    """Steps that were read and not learned, by why."""
    notices: tuple[str, ...]
    """What the trainer wanted said."""
    certificate: CertificateView | None
    """The growth certificate of a grown stage."""
    copies: tuple[CopiesPoint, ...]
    """How far its copies had moved apart, at every validation."""
    evaluations: tuple[EvaluationView, ...]
    """Scores of the stage's checkpoints."""
    exposure: ExposureView | None = None
    """Of its last checkpoint; None before there is one."""
    memory: MemoryView | None = None
    """The most at any of its validations; None before there is one."""


class BaselineView(View, frozen=True):
    """Scores of another model, published or found here, to stand beside a run's own."""

    name: str
    """What the model is called."""
    source: str
    """Where the numbers stand, plain text."""
    scores: Mapping[str, Mapping[str, float]] = {}
    """By task and metric, shares in [0, 1] where the run's own are; ``perplexity`` of a last
    word."""
    bits_per_byte: Mapping[str, float] = {}
    """By component."""
    documents: int | None = None
    """Documents of a component that were scored, at most; None for all."""
    context: int | None = None
    """Tokens that the model could see; None where nobody says."""
    remark: str = ""
    """What its reader should know, plain text."""
    here: bool = False
    """Whether the run itself scored it, on the questions and documents of its own checkpoints."""
    errors: Mapping[str, Mapping[str, float]] = {}
    """Standard errors of the scores, by task and metric, where it was scored here."""
    bits_per_byte_stderr: Mapping[str, float] = {}
    """Standard errors of the bits per byte, by component, where they were found."""


class RunView(View, frozen=True):
    """A whole run."""

    title: str
    """Heading of the log."""
    name: str
    """The run's name."""
    growlm_version: str
    """What wrote it."""
    created: str
    """UTC, ISO 8601."""
    hardware: str
    """What it ran on, in words."""
    seed: int
    """The one seed."""
    author_notes: tuple[str, ...]
    """Notes of the author, Markdown."""
    credits: tuple[str, ...]
    """Sources and credits, Markdown."""
    tokenizer: TokenizerView
    """The tokenizer."""
    sources: tuple[SourceView, ...]
    """The sources, in the order of the mixture."""
    stages: tuple[StageView, ...]
    """The stages, each after its parents."""
    document_cap: int
    """Documents per source that are scored, at most."""
    baselines: tuple[BaselineView, ...] = ()
    """The recipe's own baselines."""
    contamination: tuple[ContaminationView, ...] = ()
    """Scores on tasks held against what was trained on of them."""
