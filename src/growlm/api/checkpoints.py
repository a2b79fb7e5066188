"""Checkpoints from Python: open, grow, prove, shrink, average, import and export them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growlm.api.places import Place, Tell, nobody, told
from growlm.base.errors import RecipeError
from growlm.base.version import VERSION
from growlm.pipeline import (
    advising,
    averaging,
    certifying,
    converting,
    growing,
    inspecting,
    probing,
    shrinking,
)
from growlm.pipeline.carding import Wishes
from growlm.pipeline.certifying import Certificate, Certified, stored_certificate
from growlm.pipeline.converting import Exported
from growlm.pipeline.folder import RunFolder, existing
from growlm.pipeline.growing import Growth, Operators, Target, extended
from growlm.pipeline.models import GPT, GPTConfig, Model, Tokenizer, open_model
from growlm.pipeline.probing import Probe
from growlm.pipeline.shrinking import Shrunk


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of growlm's or a Hugging Face folder; its weights stay on the disk."""

    path: Path
    opened: Model
    """What is known of it."""

    @property
    def config(self) -> GPTConfig:
        """Its shape."""
        return self.opened.config

    @property
    def certificate(self) -> Certificate | None:
        """The evidence for its growth; None where it was not grown."""
        return stored_certificate(self.opened)

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self.opened.tokens().tokenizer

    def model(self) -> GPT:
        """Return the torch module with its weights, in fp32 on the CPU, in evaluation mode."""
        return self.opened.loaded()

    def inspect(self) -> dict[str, Any]:
        """Return all that a checkpoint of growlm's records of itself, once its files proved whole.

        Raises:
            CheckpointError: It is damaged, or a Hugging Face folder.
        """
        return inspecting.inspect(self.path)

    def export(
        self,
        folder: Place,
        *,
        family: str | None = None,
        context: int | None = None,
        license_id: str | None = None,
        base_model: str | None = None,
    ) -> Exported:
        """Make a Hugging Face folder of it, once that proved to compute the same.

        Args:
            folder: A folder that is not there yet.
            family: Whose layout, as ``config.json`` calls it; the first that holds it when None.
            context: Longest input that the folder admits; the checkpoint's when None.
            license_id: The model card's license, as the Hub spells it.
            base_model: The model on the Hub that it was grown from, for the model card.

        Raises:
            CheckpointError: No family holds it.
        """
        wishes = Wishes(license=license_id, base_model=base_model, version=VERSION)
        return converting.export(
            self.path, Path(folder), family=family, context=context, wishes=wishes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """Advice on a parent, and what a probe measured."""

    advice: advising.Advice
    probed: tuple[probing.Row, ...]
    """The parent and each candidate after the probe's steps; empty where none was asked for."""


def load(path: Place) -> Checkpoint:
    """Open a checkpoint or a Hugging Face folder.

    Raises:
        CheckpointError: There is none, or it is not whole, or of a kind that growlm cannot hold.
    """
    return Checkpoint(Path(path), open_model(Path(path)))


def advise(
    parent: Place | Checkpoint,
    *,
    tokens: int,
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    head_width: int | None = None,
    mlp: int | None = None,
    context: int | None = None,
    parent_tokens: int | None = None,
    depth: tuple[str, ...] = (),
    layer_map: tuple[int, ...] | None = None,
    copies: str = "plain",
    widen: str = "lemon",
    units: str = "noised",
    probe: Probe | None = None,
    tell: Tell = nobody,
) -> Advised:
    """Return whether a parent is worth growing, how, and what that must win by.

    Args:
        parent: The model to grow.
        tokens: What a scratch run of the child's shape would be trained on.
        layers: The child's; as every size, the parent's when None.
        width: The child's.
        heads: The child's.
        kv_heads: The child's.
        head_width: The child's.
        mlp: The child's.
        context: The child's training context; the parent's when None.
        parent_tokens: What an imported parent was trained on.
        depth: Depth operators to look at beside interleave, stack and insert.
        layer_map: For ``explicit``: the parent's layer of each layer.
        copies: How copies of layers differ.
        widen: The operator for a wider residual stream.
        units: How MLP units and heads are added.
        probe: Train each candidate for a few steps, which measures instead of guessing.
        tell: Told of every event of the probe.

    Raises:
        GrowlmError: It cannot be grown so, or has no size to grow.
    """
    wish = advising.Wish(
        target=Target(
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=kv_heads,
            head_width=head_width,
            mlp=mlp,
        ),
        depths=depth,
        operators=Operators(depth="", layer_map=layer_map, widen=widen, units=units, copies=copies),
        context=context,
        tokens=tokens,
        parent_tokens=parent_tokens,
    )
    opened, found = advising.parent_of(path_of(parent)), probing.Findings()
    advice = advising.advise(opened, wish)
    if probe is not None:
        bench = probing.bench_of(opened, probe)
        plans = advising.plans_of(opened.config, wish, seed=probe.seed)
        told(probing.run_probe(bench, plans, found), tell)
    return Advised(advice=advice, probed=tuple(found.rows))


def grow(
    parent: Place,
    child: Place,
    *,
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    head_width: int | None = None,
    mlp: int | None = None,
    depth: str = "insert",
    layer_map: tuple[int, ...] | None = None,
    copies: str = "plain",
    widen: str = "lemon",
    units: str = "noised",
    add_token: Sequence[str] = (),
    new_tokens: str = "pieces",
    optimizer_state: str = "asymmetric",
    context: int | None = None,
    seed: int = 0,
    run: Place | None = None,
    unmeasured: bool = False,
) -> Checkpoint:
    """Make a child of a checkpoint or a Hugging Face folder; its certificate comes with it.

    Args:
        parent: The model to grow.
        child: A folder that is not there yet.
        layers: The child's; as every size, the parent's when None.
        width: The child's.
        heads: The child's.
        kv_heads: The child's.
        head_width: The child's.
        mlp: The child's.
        depth: The operator for new layers.
        layer_map: For ``explicit``: the parent's layer of each layer.
        copies: How copies of layers differ.
        widen: The operator for a wider residual stream.
        units: How MLP units and heads are added.
        add_token: Special tokens that the child's tokenizer has too.
        new_tokens: What those begin as: the mean of the tokens that spell them, or of all.
        optimizer_state: What becomes of the optimizer's state.
        context: The child's training context; the parent's when None.
        seed: Of what the growth draws.
        run: The run whose held-out text is used; the one that the parent lies in when None.
        unmeasured: Whether to leave the comparison with the parent to ``certify``.

    Raises:
        GrowlmError: It cannot be grown so; no child is left behind.
    """
    target = Target(
        layers=layers, width=width, heads=heads, kv_heads=kv_heads, head_width=head_width, mlp=mlp
    )
    if target == Target() and not add_token:
        raise RecipeError("a size of the child", got="none", fix="layers=12")
    pieces = new_tokens == "pieces"
    tokens = extended(Path(parent), tuple(add_token), pieces=pieces) if add_token else None
    growth = Growth(
        parent=Path(parent),
        child=Path(child),
        target=target,
        operators=Operators(
            depth=depth, layer_map=layer_map, widen=widen, units=units, copies=copies
        ),
        optimizer_state=optimizer_state,
        seed=seed,
        context=context,
        stage=Path(child).name,
        tokenizer=tokens.tokenizer if tokens else None,
        new_tokens=tokens.new_tokens if tokens else (),
        measured=not unmeasured,
    )
    growing.grow(growth, run=_run(run))
    return load(child)


def certify(
    parent: Place | Checkpoint, child: Place | Checkpoint, *, run: Place | None = None
) -> Certified:
    """Compare a child with its parent, and make its certificate anew.

    Raises:
        GrowthError: What the child's certificate says does not hold.
    """
    return certifying.certify(path_of(parent), path_of(child), run=_run(run))


def shrink(child: Place | Checkpoint, parent: Place) -> Shrunk:
    """Write the parent that an exactly grown child came from.

    Raises:
        GrowthError: It was not grown, or not exactly.
    """
    return shrinking.shrink(path_of(child), Path(parent))


def average(checkpoints: Sequence[Place | Checkpoint], *, out: Place) -> Checkpoint:
    """Write the mean of checkpoints of one stage.

    Raises:
        CheckpointError: They are not of one stage and shape.
    """
    averaging.average([path_of(each) for each in checkpoints], Path(out))
    return load(out)


def import_folder(
    folder: Place, checkpoint: Place, *, end_of_text: str | None = None
) -> Checkpoint:
    """Make a checkpoint of a Hugging Face folder, as ``growlm import`` does.

    Raises:
        CheckpointError: The folder is not whole, or growlm has no place for what it holds.
    """
    converting.import_folder(Path(folder), Path(checkpoint), end_of_text=end_of_text)
    return load(checkpoint)


def export(
    checkpoint: Place | Checkpoint,
    folder: Place,
    *,
    family: str | None = None,
    context: int | None = None,
    license_id: str | None = None,
    base_model: str | None = None,
) -> Exported:
    """Make a Hugging Face folder of a checkpoint, as ``Checkpoint.export`` does.

    Raises:
        CheckpointError: It is damaged, or no family holds it.
    """
    return _opened(checkpoint).export(
        folder, family=family, context=context, license_id=license_id, base_model=base_model
    )


def inspect(checkpoint: Place | Checkpoint) -> dict[str, Any]:
    """Return all that a checkpoint of growlm's records of itself, once its files proved whole.

    Raises:
        CheckpointError: It is damaged, or a Hugging Face folder.
    """
    return inspecting.inspect(path_of(checkpoint))


def path_of(place: Place | Checkpoint) -> Path:
    """Return where a checkpoint lies."""
    return place.path if isinstance(place, Checkpoint) else Path(place)


def _opened(place: Place | Checkpoint) -> Checkpoint:
    return place if isinstance(place, Checkpoint) else load(place)


def _run(place: Place | None) -> RunFolder | None:
    return None if place is None else existing(Path(place))
