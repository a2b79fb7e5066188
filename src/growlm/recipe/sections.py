"""The sections of a recipe: frozen, strict about types, closed to unknown keys."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from growlm.base.units import COUNT_PATTERN, parse_count

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

SMALLEST_VOCAB_SIZE = 257
"""Every byte, and the end of text."""

TAKEN_NAMES = {
    "blk": "the sampler",
    "tokenizer": "the run's tokenizer",
    "tokenizer.json": "the run's tokenizer",
}
"""Names that no source may have, and who uses them: for a stream, a step, and a file."""


def refusal(expected: str, *, got: str, fix: str) -> PydanticCustomError:
    """Return what a validator raises: a finding that knows its own got and fix.

    Args:
        expected: What would have been right, as what follows the section's name: "to have ...".
        got: What was there instead.
        fix: The next thing to try.
    """
    return PydanticCustomError(
        "refusal", "{expected}", {"expected": expected, "got": got, "fix": fix}
    )


def _check_one_of(section: BaseModel, names: tuple[str, ...]) -> None:
    """Refuse a section that gives none of these keys, or several of them."""
    given = [name for name in names if getattr(section, name) not in (None, ())]
    if len(given) != 1:
        raise refusal(
            f"to have exactly one of {', '.join(names)}",
            got=" and ".join(given) or "none of them",
            fix=f"keeping {given[0]} alone" if given else f"adding {names[0]}",
        )


def _count(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_count(value)
    except ValueError as error:
        raise refusal(
            f"to be {error}", got=f'"{value}"', fix='4096, "350K", "1.5M" or "48B"'
        ) from None


Tokens = Annotated[
    int,
    BeforeValidator(_count),
    Field(gt=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0},
                {"type": "string", "pattern": COUNT_PATTERN},
            ]
        }
    ),
]
"""A number of tokens: ``4096``, or ``"350K"``, ``"1.5M"``, ``"48B"``."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""Lower-case letters, digits, ``.``, ``_`` and ``-``."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
"""A share of a whole, above 0, at most 1."""

Beta = Annotated[float, Field(ge=0.0, lt=1.0)]
"""The decay of a running mean; at 1 it would never move."""


class Section(
    BaseModel,
    frozen=True,
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    use_attribute_docstrings=True,
):
    """Part of a recipe: frozen, strict about types, closed to unknown keys."""


class Tokenizer(Section, frozen=True):
    """The tokenizer: trained on the sources, or brought along."""

    vocab_size: PositiveInt | None = None
    """Train a byte-level BPE with this many ids on the training documents."""

    file: str | None = None
    """A ``tokenizer.json`` to use as it is."""

    end_of_text: str = "<|endoftext|>"
    """The token that closes every document."""

    train_documents: PositiveInt = 20_000
    """Documents per source that the BPE is trained on, at most."""

    declared_vocab_size: PositiveInt | None = None
    """Ids in ``file``, so that a recipe can be checked where the file is not."""

    @model_validator(mode="after")
    def one_origin(self) -> "Tokenizer":
        """Refuse a tokenizer with no origin, with two, or with too few ids for every byte."""
        _check_one_of(self, ("vocab_size", "file"))
        if self.vocab_size is not None and self.vocab_size < SMALLEST_VOCAB_SIZE:
            raise refusal(
                f"to have {SMALLEST_VOCAB_SIZE} ids or more: the bytes and the end of text",
                got=f"vocab_size = {self.vocab_size}",
                fix=f"vocab_size = {SMALLEST_VOCAB_SIZE}",
            )
        return self


class Source(Section, frozen=True):
    """A named stream of documents."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """How mixture, log and shards call it; ``blk``, ``tokenizer``, ``tokenizer.json`` are taken."""

    builtin: Literal["docs", "code"] | None = None
    """Text that every Python installation carries: its prose, or its library's modules."""

    files: tuple[str, ...] = ()
    """Files, folders or globs, relative to the recipe: ``.txt``, ``.md``, ``.tex`` (one document
    each), ``.jsonl`` (one a line); each also as ``.gz``."""

    text_field: str = "text"
    """The field of a JSON line that holds the text."""

    weight: NonNegativeFloat
    """Its weight in the mixture, relative to the others."""

    declared_tokens: Tokens | None = None
    """Training tokens it is known to hold, so that a recipe can be checked where it is not."""

    @model_validator(mode="after")
    def one_origin(self) -> "Source":
        """Refuse a source with no origin, with two, or under a name that is taken."""
        _check_one_of(self, ("builtin", "files"))
        if self.name in TAKEN_NAMES:
            raise refusal(
                f"to have a name that {TAKEN_NAMES[self.name]} does not use itself",
                got=f"'{self.name}'",
                fix="another name",
            )
        return self


class Validation(Section, frozen=True):
    """The documents that no stage trains on."""

    share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    """Share of the documents held out, chosen by the hash of what they say."""

    tokens: Tokens = 131_072
    """Held-out tokens per source scored at every validation, at most."""


class Mixture(Section, frozen=True):
    """How the sampler deals the sources out."""

    block: PositiveInt = 4_096
    """Draws between points where weights or context may change; a power of two."""

    jitter: bool = True
    """Cut each epoch of a source at another offset."""

    max_epochs: PositiveFloat = 16.0
    """Refuse a recipe that repeats a source more often than this."""

    @model_validator(mode="after")
    def power_of_two(self) -> "Mixture":
        """Refuse a block that the draw permutation cannot take."""
        if self.block & (self.block - 1):
            raise refusal(
                "to have a block that is a power of two",
                got=str(self.block),
                fix=f"block = {1 << self.block.bit_length()}",
            )
        return self


class Model(Section, frozen=True):
    """The shape of a model trained from scratch."""

    layers: PositiveInt
    """Transformer blocks."""

    heads: PositiveInt
    """Query heads."""

    kv_heads: PositiveInt | None = None
    """Key/value heads; as many as heads when absent."""

    width: PositiveInt
    """Residual width."""

    head_width: PositiveInt | None = None
    """Width of one head; width / heads when absent."""

    mlp: PositiveInt | None = None
    """Hidden units of the MLP; 4 x width when absent."""

    positions: Literal["alibi", "learned", "rotary", "none"] = "alibi"
    """How a token knows its place."""

    rotary_base: PositiveFloat = 10_000.0
    """Rotary positions: the slowest pair turns about once in 2 pi times this many tokens."""

    rotary_share: Share = 1.0
    """Rotary positions: the share of each head's width that is turned."""

    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    """The normalisation before each sub-layer."""

    qk_norm: bool = False
    """An RMSNorm over each head's queries and keys, with gains that all heads share."""

    parallel: bool = False
    """Attention and MLP both read a layer's input, rather than one after the other."""

    activation: Literal["gelu", "gelu-tanh", "swiglu"] = "gelu"
    """The MLP's non-linearity: the exact GELU, its approximation by tanh, or gated SiLU."""

    linear_bias: bool = False
    """Biases in the linear layers, of attention and MLP alike."""

    norm_bias: bool = False
    """Offsets in the norms."""

    tied: bool = True
    """The head is the embedding."""

    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Residual dropout in training."""

    attention_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout of attention weights in training."""


class Grow(Section, frozen=True):
    """How a stage's model grows from its parent."""

    from_: Annotated[str, Field(alias="from")]
    """The parent: a stage of this recipe, or a checkpoint's folder (written with a ``/``)."""

    layers: PositiveInt | None = None
    """Layers of the child; the parent's when absent, as for every size here."""

    width: PositiveInt | None = None
    """Residual width of the child."""

    heads: PositiveInt | None = None
    """Query heads of the child."""

    kv_heads: PositiveInt | None = None
    """Key/value heads of the child; they follow the heads where the parent has as many."""

    head_width: PositiveInt | None = None
    """Width of one head of the child."""

    mlp: PositiveInt | None = None
    """Hidden units of the child's MLP."""

    depth: Literal[
        "interleave",
        "stack",
        "insert",
        "solar",
        "middle",
        "middle-layerwise",
        "append",
        "explicit",
    ] = "interleave"
    """Which parent layers the child's layers come from."""

    layer_map: tuple[int, ...] | None = None
    """For ``explicit``: the parent's layer of each layer of the child, -1 - i for a silent copy
    of layer i."""

    copies: Literal["plain", "scaled", "noised"] = "plain"
    """How copied layers are treated: as they are, sharing one output, or with noise."""

    widen: Literal["lemon", "sparkling", "shrink-pad-perturb"] = "lemon"
    """How the residual stream grows: exactly, keeping the RMS, or shrunk and perturbed."""

    units: Literal["new", "even", "uneven"] = "uneven"
    """How MLP units are added, and heads where positions let them be cloned."""

    optimizer_state: Literal["drop", "copy", "asymmetric", "exact"] = "asymmetric"
    """What becomes of the parent's optimizer moments."""

    @model_validator(mode="after")
    def grows(self) -> "Grow":
        """Refuse a growth that changes no size."""
        sizes = (self.layers, self.width, self.heads, self.kv_heads, self.head_width, self.mlp)
        if all(size is None for size in sizes):
            raise refusal("to grow something", got="no size", fix="adding layers or width")
        return self


class Control(Section, frozen=True):
    """A scratch control: the shape of a grown stage, trained from nothing."""

    of: Name
    """The grown stage it answers."""

    compute: PositiveFloat = 1.0
    """Its compute, as a multiple of what the grown stage and all its parents took together."""


class Optimizer(Section, frozen=True):
    """AdamW."""

    peak_lr: PositiveFloat
    """Learning rate at the top of the schedule."""

    betas: tuple[Beta, Beta] = (0.9, 0.95)
    """Decay of the two moments."""

    eps: PositiveFloat = 1e-8
    """Added to the root of the second moment."""

    weight_decay: NonNegativeFloat = 0.1
    """On matrices only."""

    clip_norm: PositiveFloat | None = None
    """Largest norm of the whole gradient."""

    clip_value: PositiveFloat | None = None
    """Largest absolute value of each gradient entry."""


class Cosine(Section, frozen=True):
    """Linear warm-up, then half a cosine down to a share of the peak."""

    kind: Literal["cosine"]
    """Which schedule."""

    warmup_steps: NonNegativeInt
    """Steps from 0 to the peak."""

    final_lr_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Learning rate at the end, as a share of the peak."""


class WarmupStableDecay(Section, frozen=True):
    """Linear warm-up, a plateau, and a linear decay at the end."""

    kind: Literal["warmup-stable-decay"]
    """Which schedule."""

    warmup_steps: NonNegativeInt
    """Steps from 0 to the peak."""

    decay_share: Share = 0.2
    """Share of all steps that the decay takes."""

    final_lr_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Learning rate at the end, as a share of the peak."""


Schedule = Annotated[Cosine | WarmupStableDecay, Field(discriminator="kind")]


class Stage(Section, frozen=True):
    """One stretch of training at a fixed shape."""

    name: Name
    """How commands and the log call it."""

    model: Model | None = None
    """Train this shape from scratch."""

    grow: Grow | None = None
    """Train a child grown from a parent."""

    control: Control | None = None
    """Train the shape of a grown stage from scratch, as its control."""

    context: PositiveInt
    """Tokens in a training sequence."""

    tokens: Tokens | None = None
    """Tokens to train on; a control takes them from its compute."""

    batch: Tokens
    """Tokens in a batch, that is, per optimizer step."""

    micro_batch: Tokens | None = None
    """Tokens in one forward pass; the largest part of the batch up to 16,384 when absent."""

    optimizer: Optimizer
    """The optimizer."""

    schedule: Schedule
    """The learning rate over the steps."""

    weights: dict[str, NonNegativeFloat] = Field(default_factory=dict[str, NonNegativeFloat])
    """Mixture weights by source, where they differ from the sources' own."""

    validate_every: Tokens | None = None
    """Tokens between validations; a twentieth of the stage when absent."""

    checkpoint_every: Tokens | None = None
    """Tokens between checkpoints to resume from; a tenth of the stage when absent."""

    keep: PositiveInt = 2
    """Checkpoints to resume from that are kept."""

    @model_validator(mode="after")
    def one_origin(self) -> "Stage":
        """Refuse a stage whose weights come from nowhere, or from two places."""
        _check_one_of(self, ("model", "grow", "control"))
        if self.control is None and self.tokens is None:
            raise refusal("to say how many tokens it trains on", got="nothing", fix="adding tokens")
        if self.control is not None and self.tokens is not None:
            raise refusal(
                "to leave tokens out: a control's compute decides them",
                got=f"tokens = {self.tokens}",
                fix="removing tokens",
            )
        return self


class Average(Section, frozen=True):
    """Uniform averages of a stage's last checkpoints, evaluated beside its end."""

    stages: tuple[Name, ...]
    """The stages that get one."""

    checkpoints: Annotated[int, Field(ge=2)] = 4
    """Checkpoints in the average."""

    last: Share = 0.2
    """Share of the stage's steps that they are taken from, evenly."""


class LastWord(Section, frozen=True):
    """A last-word task in LAMBADA's form, built from held-out documents."""

    source: Name
    """The source whose held-out documents give the passages."""

    examples: PositiveInt = 500
    """Passages, at most."""


class Evaluate(Section, frozen=True):
    """What every finished stage is scored on."""

    context_multiples: tuple[PositiveInt, ...] = (1, 2, 4)
    """Contexts, as multiples of the training context."""

    documents: PositiveInt = 3_000
    """Held-out documents per source, at most; the log states the cap."""

    last_word: LastWord | None = None
    """The last-word task, if any."""

    batch: Tokens = 16_384
    """Tokens scored at once."""


class Log(Section, frozen=True):
    """What the training log says beyond what the program measures."""

    title: str
    """The heading."""

    notes: tuple[str, ...] = ()
    """Notes of the author, Markdown."""

    sources: tuple[str, ...] = ()
    """Sources and credits, Markdown, one line each."""


def is_checkpoint_path(origin: str) -> bool:
    """Return whether ``grow.from`` names a checkpoint's folder rather than a stage.

    >>> is_checkpoint_path("base"), is_checkpoint_path("runs/demo/stages/base/final")
    (False, True)
    """
    return len(PurePosixPath(origin).parts) > 1 or origin.startswith((".", "/"))
