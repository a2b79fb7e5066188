"""The other sections: the texts and how they are read, the averages, the scores, the log."""

import re
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from growlm.recipe.values import NAME_PATTERN, Name, Section, Share, Tokens, check_one_of, refusal

SMALLEST_VOCAB_SIZE = 257
"""Every byte, and the end of text."""

CleaningStep = Literal["ftfy", "nfc", "spaces", "gutenberg", "undecodable"]
"""A cleaning step that a source may ask for."""

TEXT_KEYS = (
    "kind",
    "split",
    "text_field",
    "id_field",
    "clean",
    "min_characters",
    "language",
    "max_lost_share",
    "max_bad_utf8_share",
)
"""Keys of a source that say how its text is read."""

TAKEN_NAMES = {
    "blk": "the sampler",
    "tokenizer": "the run's tokenizer",
    "tokenizer.json": "the run's tokenizer",
    "duplicates": "the search for duplicates",
    "overlap": "the search for benchmarks",
}
"""Names that no source may have, and who uses them: for a stream, a step, and a file."""


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
        check_one_of(self, ("vocab_size", "file"))
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
    """How mixture, log and shards call it; ``blk``, ``tokenizer``, ``tokenizer.json``,
    ``duplicates`` and ``overlap`` are taken."""

    builtin: Literal["docs", "code"] | None = None
    """Text that every Python installation carries: its prose, or its library's modules."""

    files: tuple[str, ...] = ()
    """Files, folders or globs, relative to the recipe: ``.txt``, ``.md``, ``.tex`` (one document
    each, or ``split``), ``.jsonl`` and ``.parquet`` (one a line or row); each also as ``.gz``,
    ``.zst`` or ``.bz2``. Addresses too: ``https://``, ``s3://``, ``gs://``, and data sets of the
    Hub as ``hf://datasets/OWNER/NAME@COMMIT?split=train``."""

    shards: str | None = None
    """A folder of one source as a run packed it, ``corpus/NAME``, by a path relative to the recipe
    or an address. Its text is not read again, so no key about text stands beside it."""

    kind: Literal["prose", "book", "code"] = "prose"
    """What its documents are: books are compared in parts, code with its punctuation."""

    split: str | None = None
    """A regular expression: what stands between the documents of a ``.txt``, ``.md`` or ``.tex``
    file."""

    text_field: str = "text"
    """The field of a JSON line or of a row that holds the text; dots reach into objects."""

    id_field: str | None = None
    """The field that holds the id that a record gives itself."""

    clean: tuple[CleaningStep, ...] = ()
    """Cleaning beyond the least, in this order: ``ftfy`` mends mojibake, ``nfc`` composes letters,
    ``spaces`` trims lines and empty lines, ``gutenberg`` takes Project Gutenberg's head and foot
    off, ``undecodable`` drops what is more than 1% U+FFFD."""

    min_characters: PositiveInt = 1
    """Drop documents that are shorter, when they are cleaned."""

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    """Keep documents in this language only, told by py3langid: ``en``."""

    max_lost_share: Annotated[float, Field(ge=0.0, le=1.0)] = 1e-4
    """Share of its records that may be lost: no JSON, no text, in a file that is not whole."""

    max_bad_utf8_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """Share of its records that may have bytes that are not UTF-8, which become U+FFFD."""

    weight: NonNegativeFloat
    """Its weight in the mixture, relative to the others."""

    declared_tokens: Tokens | None = None
    """Training tokens it is known to hold, so that a recipe can be checked where it is not."""

    @model_validator(mode="after")
    def one_origin(self) -> "Source":
        """Refuse a source with no origin, with two, or under a name that is taken."""
        check_one_of(self, ("builtin", "files", "shards"))
        if self.name in TAKEN_NAMES:
            raise refusal(
                f"to have a name that {TAKEN_NAMES[self.name]} does not use itself",
                got=f"'{self.name}'",
                fix="another name",
            )
        return self

    @model_validator(mode="after")
    def no_text(self) -> "Source":
        """Refuse shards with a key about text, which they were packed from already."""
        given = [key for key in TEXT_KEYS if key in self.model_fields_set]
        if self.shards is not None and given:
            raise refusal(
                "to say how text is read only where text is read",
                got=f"{given[0]} beside shards",
                fix=f"removing {given[0]}",
            )
        return self

    @model_validator(mode="after")
    def a_pattern(self) -> "Source":
        """Refuse a split that is no regular expression."""
        try:
            re.compile(self.split or "")
        except re.error as error:
            raise refusal(
                "to have a split that is a regular expression",
                got=f"'{self.split}': {error}",
                fix=r"split = '\n\n\n+', which cuts at two empty lines",
            ) from None
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


class Average(Section, frozen=True):
    """Uniform averages of a stage's last checkpoints, evaluated beside its end."""

    stages: tuple[Name, ...]
    """The stages that get one."""

    checkpoints: Annotated[int, Field(ge=2)] = 4
    """Checkpoints in the average."""

    last: Share = 0.2
    """Share of the stage's steps that they are taken from, evenly."""


class Ema(Section, frozen=True):
    """An exponential moving average of a stage's weights, evaluated beside its end."""

    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    """Share of the average that a step keeps; the steps before count for less and less."""

    every: PositiveInt = 1
    """Steps between two weights that it takes in."""


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

    tasks: tuple[str, ...] = ()
    """Tasks, such as ``lambada_openai``, ``piqa`` and ``hellaswag``."""

    data: str | None = None
    """The folder of the tasks' files, relative to the recipe; lm-evaluation-harness fetches its own
    tasks when absent."""

    task_limit: PositiveInt | None = None
    """Rows of a task, at most, the first ones; all when absent."""

    batch: Tokens = 16_384
    """Tokens scored at once."""


MirrorName = Literal["wandb", "trackio"]
"""A service that can show a run as it goes."""


class Log(Section, frozen=True):
    """What the training log says beyond what the program measures, and who else shows it."""

    title: str
    """The heading."""

    notes: tuple[str, ...] = ()
    """Notes of the author, Markdown."""

    sources: tuple[str, ...] = ()
    """Sources and credits, Markdown, one line each."""

    mirrors: tuple[MirrorName, ...] = ()
    """Services that show the run log as it grows, where they are installed; TensorBoard's files are
    written always."""
