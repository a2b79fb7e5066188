"""What a family is: the words of its config, its fixed choices, and where its tensors lie."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from growlm.base.errors import CheckpointError, RecipeError
from growlm.model.config import GPTConfig, padded
from growlm.model.families.scaling import read_scaling, write_scaling

Values = Mapping[str, Any]
"""A ``config.json``, read."""

Kind = Literal["size", "number", "flag", "word", "scaling"]

ABSENT = object()
"""What a config says of a key that it does not have."""

REQUIRED = object()
"""What stands for a key that has no default: a config without it is refused."""

NOT_COMPARED = frozenset({"dropout", "attention_dropout", "padded_vocab_size", "context"})
"""Fields that do not change what a trained model computes of the tokens it can take."""

OF_ROTARY = frozenset({"rotary_base", "rotary_share", "rotary_scaling"})
"""Fields that matter with rotary positions only."""

_EXPECTED = {
    "size": "a whole number above 0",
    "number": "a number",
    "flag": "true or false",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Where a family's config keeps one of our fields."""

    names: tuple[str, ...]
    """Its names, a dot for each level; the first that is there is read, the last is written."""
    kind: Kind
    absent: Any
    """Its value where it is left out; None where the sizes decide; else ``REQUIRED``."""
    words: Mapping[str, str]
    """For words: what each of theirs is in ours. The first for one of ours is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Must:
    """A key of a family's config that has to have a value, because ours has no place for others."""

    name: str
    """A dot for each level."""
    right: tuple[Any, ...]
    absent: Any
    """What leaving it out means."""
    otherwise: str
    """What another value would mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A layout of Hugging Face's transformers, as data."""

    name: str
    """How people call it."""
    model_type: str
    """How ``config.json`` calls it."""
    architecture: str
    """The class of transformers that computes logits."""
    keys: Mapping[str, Key]
    """For each of our fields that its config decides, where."""
    fixed: Mapping[str, Any]
    """For each of our fields that it leaves no choice, the value."""
    narrow: Mapping[str, Any]
    """Fields that its config decides, but that other programs read as this, whatever it says."""
    musts: tuple[Must, ...]
    constants: Mapping[str, Any]
    """What its config says besides, whatever the model."""
    modules: Mapping[str, tuple[str, ...]]
    """For each of its modules, ``{}`` for the layer, which of ours lie in it, in order."""
    prefix: str
    """How all names but the head's begin, unless the model was saved without its head."""
    by_head: bool
    """Whether a module that holds several of ours holds them head by head."""
    transposed: tuple[str, ...]
    """Ends of the names of modules whose matrices are stored ``[in, out]``."""
    buffers: tuple[str, ...]
    """Ends of the names of tensors that are no weights."""


def required(name: str) -> Key:
    """Return a size that a config must give."""
    return Key(names=(name,), kind="size", absent=REQUIRED, words={})


def size(name: str) -> Key:
    """Return a size that others decide where a config leaves it out."""
    return Key(names=(name,), kind="size", absent=None, words={})


def number(*names: str, absent: float) -> Key:
    """Return a number, by several names if older or newer configs call it otherwise."""
    return Key(names=names, kind="number", absent=absent, words={})


def flag(name: str, *, absent: bool) -> Key:
    """Return a choice of two."""
    return Key(names=(name,), kind="flag", absent=absent, words={})


def word(name: str, words: Mapping[str, str], *, absent: str) -> Key:
    """Return a choice of several: for each of theirs, which of ours."""
    return Key(names=(name,), kind="word", absent=absent, words=words)


COMMON_MUSTS = (
    Must(name="quantization_config", right=(None,), absent=None, otherwise="quantised weights"),
    Must(name="is_encoder_decoder", right=(False,), absent=False, otherwise="an encoder"),
    Must(name="add_cross_attention", right=(False,), absent=False, otherwise="an encoder"),
    *(
        Must(name=name, right=(None, 0), absent=None, otherwise="a mixture of experts")
        for name in ("num_experts", "num_local_experts", "n_routed_experts")
    ),
)
"""What holds for every family."""

ROPE_MUSTS = tuple(
    Must(
        name=f"rope_parameters.{name}",
        right=(None,),
        absent=None,
        otherwise="rotary positions that differ from layer to layer",
    )
    for name in ("full_attention", "sliding_attention")
)
"""What holds for every family with rotary positions."""

ROPE_BASE = "rope_parameters.rope_theta"
"""Where transformers 5 writes the base of rotary positions; it reads the older names too."""

ROPE_SCALING = Key(names=("rope_parameters", "rope_scaling"), kind="scaling", absent=None, words={})
"""Where newer and older configs say that rotary positions are scaled."""

ROPE_SHARE = "rope_parameters.partial_rotary_factor"
"""Where transformers 5 writes the share of a head that is turned."""


def read_config(family: Family, values: Values) -> GPTConfig:
    """Return our shape of a model that a family's config describes.

    Raises:
        CheckpointError: The config asks for what ours has no place for, or lacks a size.
    """
    for must in (*COMMON_MUSTS, *family.musts):
        _check(must, values)
    found = {field: _read(key, values) for field, key in family.keys.items()}
    found = {**family.fixed, **found}
    heads, width, vocab_size = found["heads"], found["width"], found["vocab_size"]
    found["kv_heads"] = found.get("kv_heads") or heads
    found["mlp"] = found.get("mlp") or 4 * width
    found["head_width"] = found.get("head_width") or _head_width(family, width, heads)
    found["padded_vocab_size"] = padded(vocab_size)
    try:
        return GPTConfig(**found)
    except RecipeError as error:
        raise _refusal(error.expected, got=error.got) from error


def write_config(family: Family, config: GPTConfig, *, context: int) -> dict[str, Any]:
    """Return a family's config for a model of our shape that it holds, by ``misfits``.

    Args:
        family: Whose words.
        config: The shape.
        context: Longest input that the config should admit.

    Raises:
        CheckpointError: The positions were learned, and are not that many.
    """
    if config.positions == "learned" and context != config.context:
        raise CheckpointError(
            f"a context of {config.context}: that many positions were learned",
            got=f"{context}",
            fix=f"--context {config.context}",
        )
    values: dict[str, Any] = {
        "model_type": family.model_type,
        "architectures": [family.architecture],
        "torch_dtype": "float32",
        **family.constants,
    }
    shape = {**config.as_dict(), "context": context}
    for field, key in family.keys.items():
        if key.kind != "scaling":
            values[key.names[-1]] = _written(key, shape[field])
        elif config.rotary_scaling is not None:
            values[key.names[-1]] = write_scaling(config.rotary_scaling)
    return values


def _written(key: Key, value: Any) -> Any:
    if key.kind != "word":
        return value
    return next(each for each, ours in key.words.items() if ours == value)


def misfits(family: Family, config: GPTConfig) -> tuple[str, ...]:
    """Return why a family cannot hold a model: each field that would not come back as it was.

    A family holds a model if its config, read again, describes the same function.
    """
    sayable = replace(config, **_sayable(family, config))
    try:
        back = read_config(family, write_config(family, sayable, context=config.context))
    except CheckpointError as error:
        reason = f"{error.got} where it wants {error.expected}"
        return (reason, *_differences(config, family.fixed))
    return _differences(config, {**asdict(back), **family.narrow})


def _sayable(family: Family, config: GPTConfig) -> dict[str, str]:
    """Return for each choice that a family has no word for one that it has."""
    shape = config.as_dict()
    return {
        field: next(iter(key.words.values()))
        for field, key in family.keys.items()
        if key.kind == "word" and shape[field] not in key.words.values()
    }


def _differences(config: GPTConfig, theirs: Mapping[str, Any]) -> tuple[str, ...]:
    left_out = NOT_COMPARED if config.positions == "rotary" else NOT_COMPARED | OF_ROTARY
    return tuple(
        f"{field}={shown(value)} where it has {shown(theirs[field])}"
        for field, value in asdict(config).items()
        if field in theirs.keys() - left_out and value != theirs[field]
    )


def shown(value: Any) -> str:
    """Return a value as JSON writes it.

    >>> shown(None), shown(True), shown("mean"), shown(0.5)
    ('null', 'true', '"mean"', '0.5')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def looked_up(values: Values, name: str) -> Any:
    """Return what a config says under a name with dots, or ``ABSENT``."""
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return ABSENT
        found = cast(Values, found).get(part, ABSENT)
    return found


def _check(must: Must, values: Values) -> None:
    found = looked_up(values, must.name)
    value = must.absent if found is ABSENT else found
    if value not in must.right:
        raise _refusal(
            f"{must.name} to be {shown(must.right[0])}",
            got=f"{shown(value)}{' by default' * (found is ABSENT)}: {must.otherwise}",
            fix="a model without that",
        )


def _read(key: Key, values: Values) -> Any:
    every = {name: looked_up(values, name) for name in key.names}
    if key.kind == "scaling":
        return read_scaling({name: value for name, value in every.items() if value is not ABSENT})
    given = [name for name, value in every.items() if value is not ABSENT and value is not None]
    name = given[0] if given else key.names[-1]
    if not given and key.absent is REQUIRED:
        raise _refusal(f"a size called {name}", got="none")
    value = every[name] if given else key.absent
    if value is None:
        return None
    if key.kind == "word":
        return _word(name, key, value)
    if not _is(key.kind, value):
        raise _refusal(f"{name} to be {_EXPECTED[key.kind]}", got=shown(value))
    return float(value) if key.kind == "number" else value


def _word(name: str, key: Key, value: Any) -> str:
    if value not in key.words:
        raise _refusal(
            f"{name} to be one of {', '.join(key.words)}",
            got=shown(value),
            fix="a model with one of them",
        )
    return key.words[value]


def _is(kind: Kind, value: Any) -> bool:
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "size":
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    return isinstance(value, int | float) and not isinstance(value, bool)


def _head_width(family: Family, width: int, heads: int) -> int:
    if width % heads:
        width_name, heads_name = (family.keys[field].names[-1] for field in ("width", "heads"))
        raise _refusal(f"{width_name} to be a multiple of {heads_name}", got=f"{width} and {heads}")
    return width // heads


def _refusal(
    expected: str, *, got: str, fix: str = "the config.json that belongs to the weights"
) -> CheckpointError:
    return CheckpointError(expected, got=got, fix=fix, where="config.json")
