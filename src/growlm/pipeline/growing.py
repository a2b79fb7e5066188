"""The grow step: a parent in, a child with its certificate out, tensor by tensor."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from growlm import checkpoint
from growlm.base.errors import CheckpointError, GrowthError, StorageError
from growlm.base.files import whole_folder, write_json
from growlm.checkpoint import Ancestor, Contents, Meta
from growlm.corpus.tokenizer import added_pieces, from_json, with_tokens
from growlm.growth.apply import Grower
from growlm.growth.certificate import Certificate
from growlm.growth.moments import check_lawful, check_mode, grown_moments
from growlm.growth.plan import GrowthPlan
from growlm.growth.target import Asked, Operators, Target
from growlm.huggingface.reading import Folder, read_folder, reader
from growlm.huggingface.tokens import with_more
from growlm.huggingface.writing import Outgoing, write
from growlm.model.config import GPTConfig
from growlm.model.families.family import Family, misfits
from growlm.pipeline.certifying import (
    CERTIFICATE,
    Pair,
    batches_for,
    certificate_of,
    check_tokenizer,
)
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.models import Model, ModelTokens, open_model
from growlm.pipeline.origin import at_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One growth to be done."""

    parent: Path
    """A checkpoint of ours or a Hugging Face folder; the child becomes the same."""
    child: Path
    target: Target
    operators: Operators
    optimizer_state: str
    seed: int
    """Of what the growth draws."""
    context: int | None
    """The child's training context; the parent's when None."""
    stage: str
    """What the child is called in its lineage."""
    tokenizer: str | None = None
    """The child's ``tokenizer.json``; the parent's when None."""
    new_tokens: tuple[tuple[int, ...], ...] = ()
    """For each token that it has more, the old ones whose mean it begins as; none stands for all.
    """
    measured: bool = True
    """Whether the certificate is proved now; ``certify`` can do it later."""

    @property
    def asked(self) -> Asked:
        """Return what is asked for, whoever the parent is."""
        return Asked(
            target=self.target,
            operators=self.operators,
            new_tokens=self.new_tokens,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """A tokenizer with more tokens."""

    tokenizer: str
    """Its ``tokenizer.json``."""
    new_tokens: tuple[tuple[int, ...], ...]
    """For each new one, the old ones whose mean it begins as; none stands for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A growth whose parent is open and whose plan is made; nothing is written yet."""

    growth: Growth
    parent: Model
    plan: GrowthPlan
    config: GPTConfig
    """The child's, at its own context."""
    tokens: ModelTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """What the certificate needs beside parent and child."""

    run: RunFolder | None
    """Whose held-out windows they are compared on."""
    parent_sha256: Future[str]


def grow(growth: Growth, *, run: RunFolder | None) -> Certificate:
    """Write the child and its certificate; nothing is left behind where that fails.

    One tensor at a time is in memory, and of the vocabulary's only a block of rows. The child is
    compared with its parent as it was read back.

    Args:
        growth: What to grow, how, and where to.
        run: The run whose held-out windows parent and child are compared on. When None, the run
            that the parent lies in; random tokens when it lies in none.

    Raises:
        CheckpointError: The parent is damaged or missing, or no layout of its family holds the
            child.
        CorpusError: The run's texts are not in the parent's tokens.
        GrowthError: The operator cannot grow it, or its child breaks what it claims.
        StorageError: Something is at the child's path already, or the disk refused.
    """
    if growth.child.exists():
        raise StorageError(
            f"no file or folder at {growth.child} yet", got="one", fix="another name for the child"
        )
    check_mode(growth.optimizer_state)
    job = _job(growth)
    if run is not None:
        check_tokenizer(job.parent, run)
    job.parent.verify()
    with ThreadPoolExecutor(1) as beside, whole_folder(growth.child) as place:
        # A Hugging Face folder must be read through for it; the writing takes longer.
        proof = _Proof(run=run, parent_sha256=beside.submit(job.parent.identity))
        if job.parent.folder is not None:
            return _grow_folder(job, job.parent.folder, place, proof)
        return _grow_checkpoint(job, place, proof)


def extended(parent: Path, tokens: tuple[str, ...], *, pieces: bool) -> Extended:
    """Return a model's tokenizer with special tokens added, and what each begins as.

    Args:
        parent: The model.
        tokens: The new tokens.
        pieces: Whether a token begins as the mean of those that spell it, else of all.

    Raises:
        CheckpointError: There is no such model.
        CorpusError: A token is known already, or empty.
        GrowthError: The model has rows to spare.
    """
    model = open_model(parent)
    known = model.tokens()
    json = known.json
    ids = from_json(json, end_of_text=known.end_of_text).vocab_size
    rows = model.config.vocab_size
    if ids < rows:
        raise GrowthError(
            "a model with a row for each id of its tokenizer, so that new tokens get new rows",
            got=f"{rows:,} rows for {ids:,} ids",
            fix=f"adding them to tokenizer.json by hand: the next {rows - ids:,} have rows already",
        )
    more = with_tokens(json, tokens)
    found = added_pieces(json, more)
    return Extended(tokenizer=more, new_tokens=found if pieces else ((),) * len(found))


def _job(growth: Growth) -> _Job:
    parent = open_model(growth.parent)
    plan = growth.asked.plan(parent.config)
    if growth.optimizer_state == "exact":
        check_lawful(plan)
    context = growth.context
    config = plan.child if context is None else at_context(plan.child, context)
    if parent.folder is not None:
        _check_family(parent.folder.family, config)
    tokens = parent.tokens()
    if growth.tokenizer is not None:
        files = with_more(tokens.files, before=tokens.json, after=growth.tokenizer)
        tokens = replace(tokens, json=growth.tokenizer, files=files)
    return _Job(growth=growth, parent=parent, plan=plan, config=config, tokens=tokens)


def _check_family(family: Family, child: GPTConfig) -> None:
    """Refuse a child that the parent's family has no place for."""
    reasons = misfits(family, child)
    if reasons:
        raise CheckpointError(
            f"a child that {family.name}, its parent's layout, holds",
            got=", ".join(reasons),
            fix="other sizes, or growlm import first: a checkpoint of ours holds them",
        )


def _grow_folder(job: _Job, parent: Folder, place: Path, proof: _Proof) -> Certificate:
    """Grow a Hugging Face folder into another of its family."""
    outgoing = Outgoing(
        family=parent.family,
        config=job.config,
        context=job.config.context,
        end_of_text=job.tokens.end_of_text,
        tokenizer=job.tokens.json,
        tokenizer_files=job.tokens.files,
    )
    write(place, outgoing, Grower(job.plan).reader(job.parent.read))
    child = read_folder(place)
    read_back = replace(
        job.parent, path=place, config=child.config, read=reader(child), folder=child
    )
    found = _certificate(job, read_back, proof, optimizer_state="none")
    write_json(place / CERTIFICATE, found.model_dump(mode="json"))
    return found


def _grow_checkpoint(job: _Job, place: Path, proof: _Proof) -> Certificate:
    """Grow a checkpoint of ours into another."""
    meta = job.parent.known_meta
    digest = checkpoint.write_weights(place, job.config, Grower(job.plan).reader(job.parent.read))
    read_back = replace(job.parent, path=place, config=job.config, read=checkpoint.reader(place))
    optimizer = checkpoint.unread_optimizer(job.parent.path)
    mode = job.growth.optimizer_state
    if optimizer and mode != "drop":
        moments = grown_moments(optimizer, job.plan, mode=mode)
        checkpoint.write_optimizer(place, job.config, moments)
    state = mode if optimizer else "none"
    found = _certificate(job, read_back, proof, optimizer_state=state)
    contents = Contents(
        config=job.config,
        stage=job.growth.stage,
        step=0,
        lineage=_lineage(job, meta),
        data=meta.data,
        training={},
        end_of_text=job.tokens.end_of_text,
        tokenizer=job.tokens.json,
        tokenizer_files=job.tokens.files,
        certificate=found.model_dump(mode="json"),
        weights=None,
        optimizer={},
        random={},
        exposure=checkpoint.load_exposure(job.parent.path, meta),
    )
    checkpoint.write(place, contents, known={checkpoint.WEIGHTS: digest})
    return found


def _certificate(job: _Job, child: Model, proof: _Proof, *, optimizer_state: str) -> Certificate:
    batches = batches_for(job.parent, child, proof.run) if job.growth.measured else None
    pair = Pair(
        parent=job.parent,
        child=child,
        asked=job.growth.asked,
        plan=job.plan,
        optimizer_state=optimizer_state,
        parent_sha256=proof.parent_sha256.result(),
    )
    return certificate_of(pair, batches)


def changes(found: Certificate) -> str:
    """Return what a growth did, as ``3 -> 6 layers by insert, 96 -> 128 width (exact)``."""
    sizes = ", ".join(
        f"{before} -> {after} {size}" + (f" by {found.operator}" if size == "layers" else "")
        for size, (before, after) in found.sizes.items()
    )
    return f"{sizes or 'nothing'} ({found.claim})"


def lock(found: Certificate) -> str | None:
    """Return a warning that some copies will stay copies, or None."""
    if not found.locked:
        return None
    return (
        f"copies of {', '.join(found.locked)} start equal and nothing parts them, so they add "
        "nothing: --units noised parts them, and keeps an exact growth exact"
    )


def comparison(found: Certificate) -> str:
    """Return what was measured of a growth, in fp32 at the longest context."""
    measured, kind = found.main, found.batches.removesuffix(" tokens")
    if measured is None:
        return "not measured yet: growlm certify does it"
    return (
        f"on {measured.tokens:,} {kind} tokens: largest logit difference "
        f"{measured.max_logit_difference:.3g}, loss {measured.loss_before:.4f} -> "
        f"{measured.loss_after:.4f}"
    )


def _lineage(job: _Job, meta: Meta) -> tuple[Ancestor, ...]:
    *older, last = meta.lineage
    ended = last.model_copy(update={"weights_sha256": meta.weights_sha256})
    own = Ancestor(
        stage=job.growth.stage,
        origin=f"grown by {job.growth.operators.depth}",
        layers=job.plan.depth.layers,
        tokens=0,
        flops=0.0,
        weights_sha256="",
    )
    return (*older, ended, own)
