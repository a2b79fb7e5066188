"""Several runs on one page: their curves overlaid, what differs between them, and their spread."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from growlm.report import ledger_tables, result_tables, tables
from growlm.report.curves import final_loss
from growlm.report.document import Document
from growlm.report.limits import not_shown
from growlm.report.sections import Section, body, headed
from growlm.report.view import RunView, StageView
from growlm.report.words import PLUS_MINUS, code, listing, number, plain, plural, table


def overlay(views: Sequence[RunView]) -> Document:
    """Return the log of several runs, each stage under its run's name."""
    names = labels(views)
    merged = together(views)
    found = (
        Section(
            title="The runs", body=body(_runs(views, names), tables.stages(merged)), figures=()
        ),
        Section(title="What differs", body=_differences(views, names), figures=()),
        Section(title="Curves", body=_curves(views), figures=("perplexity", "compute")),
        Section(title="Results", body=_results(views, merged), figures=("bits-per-byte",)),
        Section(title="Ledger", body=_ledger(merged), figures=()),
        Section(title="What this does not show", body=_limits(views, names), figures=()),
    )
    return Document(
        title=f"{plural(len(views), 'run')}: {listing(list(names))}",
        about="Each run's own log says what it read and how it was made.",
        sections=tuple(section for section in found if section.body),
        view=merged,
    )


def labels(views: Sequence[RunView]) -> tuple[str, ...]:
    """Return what the page calls each run: its name, with seed or number where two share it."""
    names = [view.name for view in views]
    if len(set(names)) == len(names):
        return tuple(names)
    seeded = [f"{view.name}, seed {view.seed}" for view in views]
    if len(set(seeded)) == len(seeded):
        return tuple(seeded)
    return tuple(f"{name}, {at}" for at, name in enumerate(seeded, 1))


def together(views: Sequence[RunView]) -> RunView:
    """Return the stages of several runs as those of one, for charts and tables."""
    stages = [
        _renamed(stage, label, {other.name for other in view.stages})
        for view, label in zip(views, labels(views), strict=True)
        for stage in view.stages
    ]
    sources = {source.name: source for view in views for source in view.sources}
    first = views[0]
    return first.model_copy(
        update={
            "stages": tuple(stages),
            "sources": tuple(sources.values()),
            "baselines": tuple(
                {each.name: each for view in views for each in view.baselines}.values()
            ),
            "document_cap": max(view.document_cap for view in views),
        }
    )


def _renamed(stage: StageView, label: str, known: set[str]) -> StageView:
    """Return a stage under its run's name, and so the stages of its run that it names."""

    def of(name: str | None) -> str | None:
        return f"{label}: {name}" if name in known else name

    changes = {
        "name": of(stage.name),
        "parent": of(stage.parent),
        "control_of": of(stage.control_of),
    }
    return stage.model_copy(update=changes)


def _runs(views: Sequence[RunView], names: Sequence[str]) -> str:
    rows = [
        [code(name), plain(view.title), str(view.seed), str(len(view.stages)), plain(view.hardware)]
        for view, name in zip(views, names, strict=True)
    ]
    return table(("Run", "Title", "Seed", "Stages", "Hardware"), rows, words=(0, 1, 4))


def _facts(view: RunView) -> dict[str, str]:
    """Return what makes two runs comparable or not, in words."""
    facts = {
        "Seed": str(view.seed),
        "Tokenizer, SHA-256": code(view.tokenizer.sha256[: tables.HASH_DIGITS]),
        "Sources": ", ".join(code(source.name) for source in view.sources),
        "Tokens of the sources": ", ".join(f"{source.train_tokens:,}" for source in view.sources),
        "Documents scored per source": f"{view.document_cap:,}",
    }
    for stage in view.stages:
        settings = {"layers": stage.shape.get("layers"), "tokens": stage.tokens} | {
            name: stage.hyperparameters[name]
            for name in ("optimizer", "peak learning rate", "schedule")
            if name in stage.hyperparameters
        }
        facts |= {
            f"{code(stage.name)}, {key}": plain(str(value)) for key, value in settings.items()
        }
    return facts


def _differences(views: Sequence[RunView], names: Sequence[str]) -> str:
    found = [_facts(view) for view in views]
    keys = dict.fromkeys(key for facts in found for key in facts)
    rows = [
        [key, *(facts.get(key, "not there") for facts in found)]
        for key in keys
        if len({facts.get(key) for facts in found}) > 1
    ]
    header = ["", *map(code, names)]
    differing = table(header, rows, words=range(len(header)))
    return differing or "Nothing that the logs record of tokenizer, sources and settings differs."


def one_tokenizer(views: Sequence[RunView]) -> bool:
    """Return whether losses per token of several runs compare."""
    return len({view.tokenizer.sha256 for view in views}) == 1


def _curves(views: Sequence[RunView]) -> str:
    if one_tokenizer(views):
        return "All runs have one tokenizer, so perplexity per token compares across them."
    return (
        "**The runs have different tokenizers: perplexity and loss per token do not compare across "
        "them.** Bits per byte do, on the same documents."
    )


def _results(views: Sequence[RunView], merged: RunView) -> str:
    return body(
        headed(
            "Over runs",
            "Final validation loss of the stages that several runs have under one name and at one "
            "shape: mean, standard deviation over runs, and the single values.",
            _spread(views),
        ),
        headed("Validation loss", result_tables.losses(merged)),
        headed("Bits per byte", result_tables.bits_per_byte(merged)),
        headed("Last word", result_tables.last_words(merged)),
    )


def spread(views: Sequence[RunView]) -> Mapping[str, tuple[float, ...]]:
    """Return the final losses of each stage that two runs or more finished at one shape.

    Only runs with one tokenizer have losses that compare.
    """
    if not one_tokenizer(views):
        return {}
    found: dict[str, list[tuple[str, float]]] = {}
    for view in views:
        for stage in view.stages:
            loss = final_loss(stage)
            if loss is not None:
                shape = f"{sorted(stage.shape.items())}{stage.tokens}"
                found.setdefault(stage.name, []).append((shape, loss))
    return {
        name: tuple(loss for _, loss in ends)
        for name, ends in found.items()
        if len(ends) > 1 and len({shape for shape, _ in ends}) == 1
    }


def _spread(views: Sequence[RunView]) -> str:
    rows = [
        [
            code(name),
            str(len(losses)),
            f"{number(fmean(losses), 4)} {PLUS_MINUS} {number(stdev(losses), 4)}",
            ", ".join(number(loss, 4) for loss in losses),
        ]
        for name, losses in spread(views).items()
        if all(map(math.isfinite, losses))
    ]
    return table(("Stage", "Runs", "Mean", "Each"), rows, words=(0, 3))


def _ledger(merged: RunView) -> str:
    return body(
        headed("Equal loss", ledger_tables.equal_loss(merged)),
        headed("Equal compute", ledger_tables.equal_compute(merged)),
        headed("Compute and time", ledger_tables.compute(merged)),
    )


def _limits(views: Sequence[RunView], names: Sequence[str]) -> str:
    """Return what each question lacks, with the runs that leave it open."""
    open_: dict[tuple[str, str], list[str]] = {}
    for view, name in zip(views, names, strict=True):
        for limit in not_shown(view):
            open_.setdefault(limit, []).append(code(name))
    everywhere = len(views)
    lines = [
        f"- **{question}:** {reason}" + ("" if len(where) == everywhere else f" ({listing(where)})")
        for (question, reason), where in open_.items()
        if question != "What chance does" or len({view.seed for view in views}) == 1
    ]
    return "\n".join(lines)
