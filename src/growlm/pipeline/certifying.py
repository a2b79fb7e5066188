"""The certify step: a child beside its parent, on the disk, and what its certificate is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from growlm.base.errors import CheckpointError, CorpusError, GrowthError
from growlm.base.files import digest_of, sha256_bytes
from growlm.base.seeds import seed_for
from growlm.growth.apply import Grower
from growlm.growth.certificate import (
    Certificate,
    adjacency,
    changed_sizes,
    check_claim,
    check_parameters,
    layer_norms,
    norm_cliff,
    same_weights,
)
from growlm.growth.comparison import Measurement, measure
from growlm.growth.plan import GrowthPlan
from growlm.growth.symmetry import locked
from growlm.growth.target import Asked
from growlm.huggingface.reading import read_object
from growlm.model.cost import parameters
from growlm.model.families.family import NOT_COMPARED
from growlm.model.gpt import weight_shapes
from growlm.model.streamed import Streamed
from growlm.model.weights import cast
from growlm.optim.adamw import groups_of
from growlm.pipeline.data import first_windows, held_out_tokenizers
from growlm.pipeline.folder import RunFolder, enclosing
from growlm.pipeline.models import Model, open_model

CERTIFICATE = "growlm_certificate.json"
"""Where a grown Hugging Face folder keeps its certificate; a checkpoint of ours has it inside."""

SEQUENCES = 4
"""Sequences of each source that parent and child are compared on."""

LONGEST = 1024
"""Tokens of the longest context that they are compared at."""


MEASURED = {"batches", "measurements", "regrown", "norm_cliff"}
"""Entries of a certificate that depend on what was measured, and on what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A parent and the child that was made of it, both on the disk."""

    parent: Model
    child: Model
    asked: Asked
    plan: GrowthPlan
    optimizer_state: str
    """What became of the optimizer's state; ``none`` where the parent had none."""
    parent_sha256: str
    """The parent's identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """What two models are compared on: one batch for each context."""

    ids: tuple[Tensor, ...]
    kind: Literal["held-out", "random tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What was found of a pair."""

    certificate: Certificate | None
    """The certificate, made anew; None where the child claims nothing that could be checked."""
    unclaimed: str | None
    """Why there is none."""
    measurements: tuple[Measurement, ...]
    parent_parameters: int
    child_parameters: int


def certify(parent: Path, child: Path, *, run: RunFolder | None) -> Certified:
    """Compare a child with its parent, and make its certificate anew where it has one.

    Args:
        parent: A checkpoint of ours or a Hugging Face folder.
        child: The same.
        run: The run whose held-out windows they are compared on; None as in ``batches_for``.

    Raises:
        CheckpointError: One is damaged or missing, or they cannot be compared.
        CorpusError: The run's texts are not in the parent's tokens.
        GrowthError: What the child's certificate says does not hold.
    """
    before, after = open_model(parent), open_model(child)
    stored = stored_certificate(after)
    _check_comparable(before, after)
    for model in (before, after):
        model.verify()
    batches = batches_for(before, after, run)
    unclaimed = _unclaimed(after, stored)
    if stored is None or unclaimed is not None:
        return Certified(
            certificate=None,
            unclaimed=unclaimed,
            measurements=measure(before.streamed, after.streamed, after.streamed, batches.ids),
            parent_parameters=parameters(before.config),
            child_parameters=check_parameters(after.config, weight_shapes(after.config)),
        )
    pair = Pair(
        parent=before,
        child=after,
        asked=stored.asked,
        plan=stored.asked.plan(before.config),
        optimizer_state=stored.optimizer_state,
        parent_sha256=_checked_identity(before, stored),
    )
    _check_plan(pair.plan, stored)
    _check_shape(pair)
    found = certificate_of(pair, batches)
    _check_stored(stored, found)
    return Certified(
        certificate=found,
        unclaimed=None,
        measurements=found.measurements,
        parent_parameters=found.parent_parameters,
        child_parameters=found.child_parameters,
    )


def certificate_of(pair: Pair, batches: Batches | None) -> Certificate:
    """Return the certificate of a pair, once everything in it has proved true.

    Args:
        pair: Parent, child and plan.
        batches: What to compare them on; None puts that off, and then nothing is proved.

    Raises:
        GrowthError: The child is not what the plan makes of the parent, or breaks its claim.
    """
    plan = pair.plan
    parent, child = pair.parent.streamed, pair.child.streamed
    measurements: tuple[Measurement, ...] = ()
    cliff: float | None = None
    if batches is not None:
        _check_regrown(pair)
        exact = Grower(plan).reader(cast(pair.parent.read, torch.float64))
        exact_child = Streamed(plan.child, exact)
        measurements = measure(parent, child, exact_child, batches.ids)
        for measured in measurements:
            check_claim(plan, measured)
        cliff = norm_cliff(layer_norms(parent), layer_norms(child))
    shapes = weight_shapes(pair.child.config)
    return Certificate(
        parent_config=pair.parent.config.as_dict(),
        asked=pair.asked,
        sizes=changed_sizes(plan),
        optimizer_state=pair.optimizer_state,
        locked=locked(plan, "drop" if pair.optimizer_state == "none" else pair.optimizer_state),
        sources=plan.depth.sources,
        silent=plan.depth.silent,
        claim=plan.claim,
        departures=plan.departures,
        batches=batches.kind if batches is not None else "none",
        measurements=measurements,
        regrown=True if batches is not None else None,
        optimizer_groups=_groups(pair.child),
        norm_cliff=cliff,
        adjacency=adjacency(plan.depth.sources, plan.depth.silent),
        parent_parameters=parameters(pair.parent.config),
        child_parameters=check_parameters(pair.child.config, shapes),
        expected_parameters=parameters(pair.child.config),
        plan_sha256=digest_of(plan.as_dict()),
        parent_sha256=pair.parent_sha256,
    )


def batches_for(parent: Model, child: Model, run: RunFolder | None) -> Batches:
    """Return what two models are compared on, at their context and at half of it.

    Args:
        parent: The model before.
        child: The model after.
        run: The run whose held-out windows are used. When None, the run that the parent lies in;
            random tokens when it lies in none.

    Raises:
        CorpusError: The run's texts are not in the parent's tokens.
    """
    longest = min(parent.config.context, child.config.context, LONGEST)
    contexts = list(dict.fromkeys((longest, max(longest // 2, 1))))
    if run is not None:
        check_tokenizer(parent, run)
    held_out = run or enclosing(parent.path)
    if held_out is not None:
        tokenizer = _tokenizer_sha256(parent)
        windows = [
            first_windows(held_out, context, count=SEQUENCES, tokenizer_sha256=tokenizer)
            for context in contexts
        ]
        if all(windows):
            return Batches(ids=tuple(map(torch.cat, windows)), kind="held-out")
    stream = torch.Generator().manual_seed(seed_for(0, "certificate"))
    shapes = [(SEQUENCES, context + 1) for context in contexts]
    tokens = min(parent.config.vocab_size, child.config.vocab_size)
    drawn = [torch.randint(tokens, shape, generator=stream) for shape in shapes]
    return Batches(ids=tuple(drawn), kind="random tokens")


def check_tokenizer(parent: Model, run: RunFolder) -> None:
    """Refuse a run whose held-out texts are not in a model's tokens.

    Raises:
        CorpusError: As said.
    """
    if _tokenizer_sha256(parent) not in held_out_tokenizers(run):
        raise CorpusError(
            f"run {run.path} to hold texts in the tokens of {parent.path}",
            got="texts in those of another tokenizer, or none",
            fix="leaving --run out",
        )


def stored_certificate(child: Model) -> Certificate | None:
    """Return the certificate that a model carries, if it does.

    Raises:
        CheckpointError: It is not one of this version.
    """
    values = _stored(child)
    try:
        return Certificate.model_validate(values) if values is not None else None
    except ValidationError as error:
        raise CheckpointError(
            f"the certificate in {child.path} to be one of this version",
            got=str(error.errors()[0]["msg"]),
            fix="the growlm that wrote it",
        ) from None


def _stored(child: Model) -> Mapping[str, Any] | None:
    if child.meta is not None:
        return child.meta.certificate
    path = child.path / CERTIFICATE
    return read_object(path) if path.is_file() else None


def _tokenizer_sha256(model: Model) -> str:
    return sha256_bytes(model.tokens().json.encode())


def _unclaimed(child: Model, stored: Certificate | None) -> str | None:
    """Return why a child claims nothing that could be checked, or None."""
    if stored is None:
        return "it has no certificate, so it claims nothing"
    tokens = child.meta.lineage[-1].tokens if child.meta is not None else 0
    if tokens:
        return f"it was trained for {tokens:,} tokens since it was grown, and claims nothing now"
    return None


def _check_comparable(parent: Model, child: Model) -> None:
    if child.config.vocab_size < parent.config.vocab_size:
        raise CheckpointError(
            f"a child with its parent's vocabulary, of {parent.config.vocab_size:,} tokens",
            got=f"one of {child.config.vocab_size:,}",
            fix="the child that was grown from this parent",
        )


def _checked_identity(parent: Model, stored: Certificate) -> str:
    """Return the parent's identity, which must be the one that the certificate names."""
    found = parent.identity()
    if found != stored.parent_sha256:
        raise GrowthError(
            f"the parent that the certificate names, {stored.parent_sha256[:12]}…",
            got=f"{found[:12]}… in {parent.path}",
            fix="the parent as it was when the child was grown",
        )
    return found


def _check_plan(plan: GrowthPlan, stored: Certificate) -> None:
    """Refuse a certificate that does not ask for the plan whose digest it gives."""
    found = digest_of(plan.as_dict())
    if found != stored.plan_sha256:
        raise GrowthError(
            f"the plan {stored.plan_sha256[:12]}…, as the certificate says",
            got=f"{found[:12]}… from what it was asked for",
            fix="the growlm that grew the child",
        )


def _check_shape(pair: Pair) -> None:
    """Refuse a child of another shape than its plan's; it may be trained at any context."""
    planned, found = pair.plan.child.as_dict(), pair.child.config.as_dict()
    odd = [name for name in planned if planned[name] != found[name] and name not in NOT_COMPARED]
    if odd:
        raise GrowthError(
            "a child of the shape that its certificate's plan gives it, "
            + ", ".join(f"{name}={planned[name]}" for name in odd),
            got=", ".join(f"{name}={found[name]}" for name in odd),
            fix="the child as it was grown, with its own certificate",
        )


def _check_stored(stored: Certificate, found: Certificate) -> None:
    """Refuse a certificate that says anything else than what is found now, measurements aside."""
    said, says = (each.model_dump(mode="json", exclude=MEASURED) for each in (stored, found))
    odd = [name for name in says if said[name] != says[name]]
    if odd:
        raise GrowthError(
            f"{odd[0]} to be {str(says[odd[0]])[:60]}, as it is found now",
            got=f"{str(said[odd[0]])[:60]} in the certificate",
            fix="the certificate as it was written",
        )


def _check_regrown(pair: Pair) -> None:
    """Refuse a child that is not, to the last bit, what its plan makes of its parent."""
    regrown = Grower(pair.plan).reader(pair.parent.read)
    if not same_weights(pair.plan.child, pair.child.read, regrown):
        raise GrowthError(
            "a child whose weights are, to the last bit, those that its plan makes of the parent",
            got="others",
            fix="the child as it was grown: it was changed, or trained, since",
        )


def _groups(child: Model) -> dict[str, int]:
    """Return how many weights AdamW will decay and how many not."""
    shapes = weight_shapes(child.config)
    with torch.device("meta"):
        groups = groups_of({name: torch.empty(shape) for name, shape in shapes.items()})
    return {name: len(members) for name, members in groups.items()}
