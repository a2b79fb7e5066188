"""Where each stage's first weights come from: a shape, a parent stage, or a checkpoint."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from growlm.base.errors import RecipeError
from growlm.base.seeds import seed_for
from growlm.checkpoint import Meta, load_tokenizer, read_meta
from growlm.corpus.tokenizer import from_json
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Operators, Target, growth_plan
from growlm.model.config import GPTConfig, head_width_of, padded
from growlm.pipeline.stageplan import Origin, StagePlan
from growlm.recipe.grow import Control, Grow, is_checkpoint_path
from growlm.recipe.model import Model
from growlm.recipe.stage import Stage

NORM_EPS = 1e-5


def origin_of(
    stage: Stage, earlier: Sequence[StagePlan], *, vocab_size: int, recipe_folder: Path, seed: int
) -> Origin:
    """Return where a stage's first weights come from.

    Raises:
        RecipeError: Sizes do not fit, or the parent has another vocabulary.
        CheckpointError: The parent's folder holds no checkpoint.
        GrowthError: The operator cannot grow the parent.
    """
    if stage.grow is not None and is_checkpoint_path(stage.grow.from_):
        found = _from_checkpoint(stage.grow, recipe_folder, vocab_size)
        return _planned(found, stage, seed=seed)
    if stage.grow is not None:
        found = _from_stage(_named(earlier, stage.grow.from_))
        return _planned(found, stage, seed=seed)
    if stage.control is not None:
        return _as_control(stage.control, _named(earlier, stage.control.of), stage.context)
    if stage.model is None:
        raise RecipeError("a model, grow or control", got="none", fix="adding one")
    return _from_nothing(config_of(stage.model, context=stage.context, vocab_size=vocab_size))


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


def plan_growth(grow: Grow, parent: GPTConfig, *, seed: int) -> GrowthPlan:
    """Return the plan of a recipe's growth.

    Raises:
        GrowthError: An operator cannot grow this parent.
    """
    return growth_plan(parent, target_of(grow), operators_of(grow), seed=seed)


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


def _planned(parent: Origin, stage: Stage, *, seed: int) -> Origin:
    """Return the origin of a stage that grows, from what is known of its parent."""
    if stage.grow is None:
        return parent
    plan = plan_growth(stage.grow, parent.config, seed=seed_for(seed, "growth", stage.name))
    config = at_context(plan.child, stage.context)
    return replace(parent, kind="grown", config=config, grow=stage.grow, plan=plan)


def _from_stage(parent: StagePlan) -> Origin:
    return replace(
        _from_nothing(parent.config),
        parent=parent.name,
        tokens_before=parent.origin.tokens_before + parent.tokens,
        flops_before=parent.origin.flops_before + parent.flops,
    )


def _from_checkpoint(grow: Grow, recipe_folder: Path, vocab_size: int) -> Origin:
    path = recipe_folder / grow.from_
    meta = read_meta(path)
    config = meta.gpt_config()
    if vocab_size != config.vocab_size and vocab_size != _ids(path, meta):
        raise RecipeError(
            f"the parent's tokenizer, of {config.vocab_size} tokens",
            got=f"a tokenizer of {vocab_size}",
            fix=f'tokenizer.file = "{grow.from_}/tokenizer.json"',
        )
    return replace(
        _from_nothing(config),
        parent_path=path,
        parent_slot=meta.data.sampler.get("slot") if meta.data else None,
        tokens_before=meta.tokens,
        flops_before=sum(ancestor.flops for ancestor in meta.lineage),
    )


def _ids(path: Path, meta: Meta) -> int:
    """Return the ids of a parent's tokenizer; an imported model may have rows beyond them."""
    return from_json(load_tokenizer(path), end_of_text=meta.end_of_text).vocab_size


def _named(stages: Sequence[StagePlan], name: str) -> StagePlan:
    return next(stage for stage in stages if stage.name == name)
