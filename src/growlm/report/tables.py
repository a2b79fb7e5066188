"""The log's tables of what was trained: stages, data, shapes, settings, certificates."""

from collections.abc import Callable, Sequence

from growlm.base.units import format_bytes
from growlm.report.curves import last_loss, perplexity
from growlm.report.view import CertificateView, MemoryView, RunView, StageView
from growlm.report.words import (
    ARROW,
    COPIED,
    NOTHING,
    code,
    count,
    flops,
    label,
    number,
    plain,
    quantity,
    share,
    short,
    table,
)

HASH_DIGITS = 12
"""Digits of a SHA-256 that the log prints; ``results.json`` holds them all."""

_ORIGINS = {"scratch": "scratch", "control": "scratch, control"}


def stages(view: RunView) -> str:
    """Return the table of all stages at a glance."""
    header = (
        "Stage",
        "From",
        "Layers",
        "Parameters",
        "Tokens",
        "FLOPs, parents included",
        "Validation loss",
        "Perplexity",
    )
    return table(header, map(_stage, view.stages), words=(0, 1))


def _stage(stage: StageView) -> list[str]:
    loss = last_loss(stage)
    mark = "" if stage.complete else " (unfinished)"
    origin = plain(stage.parent or "") if stage.kind == "grown" else _ORIGINS[stage.kind]
    return [
        code(stage.name),
        origin,
        quantity(stage.shape.get("layers", NOTHING)),
        count(stage.parameters),
        count(stage.tokens),
        flops(stage.flops_before + stage.flops),
        NOTHING if loss is None else number(loss) + mark,
        NOTHING if loss is None else short(perplexity(loss)),
    ]


def sources(view: RunView) -> str:
    """Return the table of what each source holds."""
    header = (
        "Source",
        "Origin",
        "Documents",
        "held out",
        "Tokens",
        "held out",
        "Bytes",
        "held out",
        "Bytes per token",
    )
    rows = [
        [
            code(source.name),
            plain(source.origin),
            f"{source.documents:,}",
            f"{source.heldout_documents:,}",
            count(source.train_tokens),
            count(source.heldout_tokens),
            format_bytes(float(source.train_bytes)),
            format_bytes(float(source.heldout_bytes)),
            f"{source.train_bytes / source.train_tokens:.2f}" if source.train_tokens else NOTHING,
        ]
        for source in view.sources
    ]
    return table(header, rows, words=(0, 1))


def draws(view: RunView) -> str:
    """Return the table of what each stage read of each source."""
    names = [source.name for source in view.sources]
    header = [
        "Stage",
        *(f"{code(name)}{what}" for name in names for what in (", tokens", ", epochs")),
    ]
    return table(header, [[code(stage.name), *_draws(stage, names)] for stage in view.stages])


def _draws(stage: StageView, names: Sequence[str]) -> list[str]:
    cells: list[str] = []
    for name in names:
        drawn, epochs = stage.source_tokens.get(name), stage.source_epochs.get(name)
        cells.append(NOTHING if drawn is None else count(drawn))
        cells.append(NOTHING if epochs is None else f"{epochs:.2f}")
    return cells


def models(view: RunView) -> str:
    """Return the table of shapes, one column for all stages of one shape."""
    return _side_by_side(view.stages, _shape)


def _shape(stage: StageView) -> dict[str, str]:
    return {
        "Parameters": f"{stage.parameters:,}",
        "without the embedding": f"{stage.non_embedding_parameters:,}",
        **{label(key): quantity(value) for key, value in stage.shape.items()},
        "Training context": f"{stage.context:,}",
        "Training FLOPs per token": flops(stage.flops_per_token),
    }


def training(view: RunView) -> str:
    """Return the table of training settings, one column a stage."""
    return _side_by_side(view.stages, _settings)


def _settings(stage: StageView) -> dict[str, str]:
    return {
        "Tokens": f"{stage.tokens:,}",
        "Steps": f"{stage.steps:,}",
        "Tokens per batch": f"{stage.batch_tokens:,}",
        "Context": f"{stage.context:,}",
        "Document masking": quantity(stage.document_masking),
        **{label(key): plain(value) for key, value in stage.hyperparameters.items()},
    }


def memory(view: RunView) -> str:
    """Return the table of the most memory that each stage held, where it was watched."""
    held = [(stage.name, stage.memory) for stage in view.stages if stage.memory is not None]
    gpu = any(found.peak_reserved_bytes for _, found in held)
    header = ["Stage", "Main memory"]
    header += ["GPU, in tensors", "reserved", "of it in no tensor", "retries", "failures"] * gpu
    rows = [
        [code(name), format_bytes(float(found.peak_resident_bytes)), *_gpu(found, shown=gpu)]
        for name, found in held
    ]
    return table(header, rows, words=(0,))


def _gpu(found: MemoryView, *, shown: bool) -> list[str]:
    if not shown:
        return []
    if found.peak_reserved_bytes is None or found.peak_allocated_bytes is None:
        return [NOTHING] * 5
    gap = found.peak_reserved_bytes - found.peak_allocated_bytes
    return [
        format_bytes(float(found.peak_allocated_bytes)),
        format_bytes(float(found.peak_reserved_bytes)),
        share(gap / max(found.peak_reserved_bytes, 1)),
        f"{found.retries:,}",
        f"{found.ooms:,}",
    ]


def _side_by_side(shown: Sequence[StageView], rows: Callable[[StageView], dict[str, str]]) -> str:
    """Return stages as columns; those that agree in every row share one."""
    columns: list[tuple[list[str], dict[str, str]]] = []
    for stage in shown:
        cells = rows(stage)
        for names, others in columns:
            if others == cells:
                names.append(code(stage.name))
                break
        else:
            columns.append(([code(stage.name)], cells))
    keys = dict.fromkeys(key for _, cells in columns for key in cells)
    header = ["", *(", ".join(names) for names, _ in columns)]
    return table(
        header,
        [[key, *(cells.get(key, NOTHING) for _, cells in columns)] for key in keys],
        words=range(len(header)),
    )


def certificates(view: RunView) -> str:
    """Return the table of growth certificates, one column a grown stage."""
    columns = {
        stage.name: {**_certificate(stage.certificate), **_copies(stage)}
        for stage in view.stages
        if stage.certificate
    }
    keys = dict.fromkeys(key for cells in columns.values() for key in cells)
    rows = [[key, *(cells.get(key, NOTHING) for cells in columns.values())] for key in keys]
    header = ["", *map(code, columns)]
    return table(header, rows, words=range(len(header)))


def _certificate(certificate: CertificateView) -> dict[str, str]:
    agrees = certificate.child_parameters == certificate.expected_parameters
    verdict = "as the formula says" if agrees else f"expected {certificate.expected_parameters:,}"
    jump = certificate.loss_after - certificate.loss_before
    side = "less" if jump < 0 else "more"
    return {
        "Operator": plain(certificate.operator),
        **_sizes(certificate),
        "Parent layer of each child layer": _layer_map(certificate),
        "Layers with zero output": ", ".join(map(str, certificate.new_layers)) or "none",
        "Optimizer moments": plain(certificate.optimizer_state),
        "Claim": _claim(certificate),
        "Compared on": plain(certificate.batches),
        **_differences(certificate),
        "Loss of the parent": number(certificate.loss_before, 4),
        "Loss of the child": f"{number(certificate.loss_after, 4)} ({number(abs(jump), 4)} {side})",
        "Largest step between layers' norms": f"{certificate.norm_cliff:.2f} of the parent's mean",
        "Neighbouring layers that stayed so": share(certificate.adjacency),
        "Parameters of the parent": f"{certificate.parent_parameters:,}",
        "Parameters of the child": f"{certificate.child_parameters:,}, {verdict}",
        "Parent's weights, SHA-256": _digest(certificate.parent_sha256),
        "Child's weights, SHA-256": _digest(certificate.child_sha256),
        "Plan, SHA-256": _digest(certificate.plan_sha256),
    }


def _copies(stage: StageView) -> dict[str, str]:
    """Return how far copies moved apart; 0 would mean that they never learned apart."""
    if not stage.copies:
        return {}
    first, last = stage.copies[0], stage.copies[-1]
    pairs = [("layers", first.distance, last.distance)] + [
        (COPIED[space], first.spaces[space].relative, found.relative)
        for space, found in last.spaces.items()
        if space in first.spaces
    ]
    return {
        f"Copied {name} apart, after {last.step:,} steps": (
            f"{number(before)} {ARROW} {number(after)} of their norm"
        )
        for name, before, after in pairs
        if before is not None and after is not None
    }


def _sizes(certificate: CertificateView) -> dict[str, str]:
    """Return the layers, and every other size that changed."""
    layers = {"layers": (certificate.layers_from, certificate.layers_to)}
    return {
        label(name): f"{before:,} {ARROW} {after:,}"
        for name, (before, after) in {**layers, **certificate.sizes}.items()
    }


def _claim(certificate: CertificateView) -> str:
    reasons = "; ".join(map(plain, certificate.departures))
    return f"{certificate.claim}: {reasons}" if reasons else certificate.claim


def _differences(certificate: CertificateView) -> dict[str, str]:
    return {
        f"Largest logit difference, {plain(each.dtype)}, context {each.context:,}": (
            f"{each.max_logit_difference:.3g}"
        )
        for each in certificate.comparisons
    }


def _layer_map(certificate: CertificateView) -> str:
    return " ".join("new" if layer is None else str(layer) for layer in certificate.layer_map)


def _digest(sha256: str) -> str:
    return code(sha256[:HASH_DIGITS])
