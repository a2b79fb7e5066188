"""Where each stage's first weights come from: a shape, a parent stage, or a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from growlm.base.errors import CorpusError, RecipeError
from growlm.base.seeds import seed_for
from growlm.checkpoint import load_tokenizer, read_meta
from growlm.corpus.tokenizer import added_pieces, from_json
from growlm.growth.target import Operators, Target, growth_plan
from growlm.model.config import GPTConfig, head_width_of, padded
from growlm.pipeline.stageplan import Origin, StagePlan
from growlm.recipe.grow import Control, Grow, is_checkpoint_path
from growlm.recipe.model import Model
from growlm.recipe.stage import Stage

NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The run's tokenizer, as far as it is known before it is there."""

    size: int
    """Ids it can give."""
    json: str | None
    """Its ``tokenizer.json``; None where it will be trained, or the file is not here."""


def origin_of(
    stage: Stage,
    earlier: Sequence[StagePlan],
    *,
    vocabulary: Vocabulary,
    recipe_folder: Path,
    seed: int,
) -> Origin:
    """Return where a stage's first weights come from.

    Raises:
        RecipeError: Sizes do not fit, or the parent's vocabulary is no part of the run's.
        CheckpointError: The parent's folder holds no checkpoint.
        GrowthError: The operator cannot grow the parent.
    """
    if stage.grow is not None and is_checkpoint_path(stage.grow.from_):
        found = _from_checkpoint(stage.grow, recipe_folder)
        return _planned(found, stage, seed=seed, added=_added(found, stage.grow, vocabulary))
    if stage.grow is not None:
        found = _from_stage(_named(earlier, stage.grow.from_))
        return _planned(found, stage, seed=seed)
    if stage.control is not None:
        return _as_control(stage.control, _named(earlier, stage.control.of), stage.context)
    if stage.model is None:
        raise RecipeError("a model, grow or control", got="none", fix="adding one")
    return _from_nothing(config_of(stage.model, context=stage.context, vocab_size=vocabulary.size))


def config_of(model: Model, *, context: int, vocab_size: int) -> GPTConfig:
    """Return the shape that a recipe's model section describes, its defaults filled in.

    Raises:
        RecipeError: Sizes that do not fit each other.
    """
    return GPTConfig(
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.kv_heads or model.heads,
        width=model.width,
        head_width=model.head_width or head_width_of(model.width, model.heads),
        mlp=model.mlp or 4 * model.width,
        context=context,
        vocab_size=vocab_size,
        padded_vocab_size=padded(vocab_size),
        positions=model.positions,
        norm=model.norm,
        activation=model.activation,
        parallel=model.parallel,
        qk_norm=model.qk_norm,
        qkv_bias=model.linear_bias,
        output_bias=model.linear_bias,
        mlp_bias=model.linear_bias,
        norm_bias=model.norm_bias,
        tied=model.tied,
        norm_eps=NORM_EPS,
        rotary_base=model.rotary_base,
        rotary_share=model.rotary_share,
        dropout=model.dropout,
        attention_dropout=model.attention_dropout,
    )


def at_context(config: GPTConfig, context: int) -> GPTConfig:
    """Return a shape for training at another context.

    Raises:
        RecipeError: Its positions were learned for fewer tokens.
    """
    if config.positions != "learned":
        return replace(config, context=context)
    if context > config.context:
        raise RecipeError(
            "a context within the parent's learned positions",
            got=f"{context} tokens, {config.context} positions",
            fix=f"context={config.context}",
        )
    return config


def _from_nothing(config: GPTConfig) -> Origin:
    return Origin(
        kind="scratch",
        config=config,
        parent=None,
        parent_path=None,
        parent_slot=None,
        grow=None,
        plan=None,
        spare_rows=0,
        control_of=None,
        control_compute=None,
        tokens_before=0,
        flops_before=0.0,
    )


def _as_control(control: Control, grown: StagePlan, context: int) -> Origin:
    return replace(
        _from_nothing(at_context(grown.config, context)),
        kind="control",
        control_of=control.of,
        control_compute=control.compute,
    )


def target_of(grow: Grow) -> Target:
    """Return the child's sizes as a recipe gives them."""
    return Target(
        layers=grow.layers,
        width=grow.width,
        heads=grow.heads,
        kv_heads=grow.kv_heads,
        head_width=grow.head_width,
        mlp=grow.mlp,
    )


def operators_of(grow: Grow) -> Operators:
    """Return the operators as a recipe names them."""
    return Operators(
        depth=grow.depth,
        layer_map=grow.layer_map,
        widen=grow.widen,
        units=grow.units,
        copies=grow.copies,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Added:
    """The tokens that the run's tokenizer has beyond a parent's."""

    rows: tuple[tuple[int, ...], ...]
    """For each that needs a new row, the old tokens whose mean it begins as."""
    spare_rows: int
    """How many others there are: they take rows that the parent has to spare, as they are."""


def _planned(parent: Origin, stage: Stage, *, seed: int, added: _Added | None = None) -> Origin:
    """Return the origin of a stage that grows, from what is known of its parent."""
    grow, new_tokens = stage.grow, added.rows if added else ()
    if grow is None:
        return parent
    if target_of(grow) == Target() and added is None:
        raise RecipeError(
            "a growth that changes a size, or a tokenizer with more tokens than the parent's",
            got="neither",
            fix="layers, width, or a tokenizer.file with the new tokens behind the parent's",
        )
    plan = growth_plan(
        parent.config,
        target_of(grow),
        operators_of(grow),
        new_tokens=new_tokens,
        seed=seed_for(seed, "growth", stage.name),
    )
    return replace(
        parent,
        kind="grown",
        config=at_context(plan.child, stage.context),
        grow=grow,
        plan=plan,
        spare_rows=added.spare_rows if added else 0,
    )


def _from_stage(parent: StagePlan) -> Origin:
    return replace(
        _from_nothing(parent.config),
        parent=parent.name,
        tokens_before=parent.origin.tokens_before + parent.tokens,
        flops_before=parent.origin.flops_before + parent.flops,
    )


def _from_checkpoint(grow: Grow, recipe_folder: Path) -> Origin:
    path = recipe_folder / grow.from_
    meta = read_meta(path)
    return replace(
        _from_nothing(meta.gpt_config()),
        parent_path=path,
        parent_slot=meta.data.sampler.get("slot") if meta.data else None,
        tokens_before=meta.tokens,
        flops_before=sum(ancestor.flops for ancestor in meta.lineage),
    )


def _added(parent: Origin, grow: Grow, vocabulary: Vocabulary) -> _Added | None:
    """Return what the run's tokenizer adds to that of a parent outside the recipe.

    An imported model may have rows beyond the ids of its tokenizer; new ids take those first.

    Raises:
        RecipeError: It is another tokenizer, and no extension of the parent's.
    """
    path, rows = parent.parent_path, parent.config.vocab_size
    if path is None:
        return None
    known = load_tokenizer(path)
    if vocabulary.json == known:
        return None
    ids = from_json(known, end_of_text=read_meta(path).end_of_text).vocab_size
    if vocabulary.json is None or vocabulary.size < ids:
        if vocabulary.size in (ids, rows):
            return None
        raise _other_tokenizer(grow, ids, got=f"a tokenizer of {vocabulary.size}")
    try:
        pieces = added_pieces(known, vocabulary.json)
    except CorpusError as error:
        raise _other_tokenizer(grow, ids, got=f"another: {error.got}") from error
    if not pieces:
        return None
    spare = min(rows - ids, len(pieces))
    new = pieces[spare:] if grow.new_tokens == "pieces" else ((),) * (len(pieces) - spare)
    return _Added(rows=new, spare_rows=spare)


def _other_tokenizer(grow: Grow, ids: int, *, got: str) -> RecipeError:
    return RecipeError(
        f"the parent's tokenizer, of {ids} tokens, or a file with more behind them",
        got=got,
        fix=f'tokenizer.file = "{grow.from_}/tokenizer.json"',
    )


def _named(stages: Sequence[StagePlan], name: str) -> StagePlan:
    return next(stage for stage in stages if stage.name == name)
