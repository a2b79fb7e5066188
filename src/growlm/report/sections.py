"""The log's sections in Markdown, in the order of the page."""

from dataclasses import dataclass

from growlm.report import (
    baseline_tables,
    contamination_tables,
    ledger_tables,
    result_tables,
    tables,
)
from growlm.report.limits import not_shown
from growlm.report.notes import raised
from growlm.report.opening import headlines, opening
from growlm.report.view import RunView
from growlm.report.words import code, moment, plain, quantity, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of the log."""

    title: str
    """Its heading."""
    body: str
    """Its text, Markdown without the heading."""
    figures: tuple[str, ...]
    """Names of the figures that follow the text."""


def sections(view: RunView) -> tuple[Section, ...]:
    """Return the sections that have something to say."""
    found = (
        Section(title="The run", body=body(opening(view), tables.stages(view)), figures=()),
        Section(title="Data", body=_data(view), figures=()),
        Section(title="Model", body=_model(view), figures=()),
        Section(title="Training", body=_training(view), figures=()),
        Section(title="Curves", body=_curves(view), figures=("perplexity", "compute")),
        Section(title="Results", body=_results(view), figures=("bits-per-byte",)),
        Section(title="Contamination", body=_contamination(view), figures=("overlap",)),
        Section(title="Ledger", body=_ledger(view), figures=()),
        Section(title="Growth", body=_growth(view), figures=()),
        Section(title="Notes", body=_notes(view), figures=()),
        Section(title="What this does not show", body=_limits(view), figures=()),
        Section(title="Sources", body=_sources(view), figures=()),
    )
    return tuple(section for section in found if section.body)


def about(view: RunView) -> str:
    """Return the line under the title."""
    return (
        f"Run {code(view.name)}, written by growlm {plain(view.growlm_version)} on "
        f"{moment(view.created)}. Hardware: {plain(view.hardware)}. Seed {view.seed}."
    )


def body(*parts: str) -> str:
    """Return parts one below the other, without those that say nothing."""
    return "\n\n".join(part for part in parts if part)


def headed(heading: str, *parts: str) -> str:
    """Return parts under a heading, or nothing when the last of them is empty."""
    return body(f"### {heading}", *parts) if parts[-1] else ""


def _data(view: RunView) -> str:
    draws = tables.draws(view)
    explained = (
        "What each stage drew. Epochs are counted over a stage and its parents: how often a source "
        "had been read when the stage ended."
    )
    return body(tables.sources(view), body(explained, draws) if draws else "")


def _model(view: RunView) -> str:
    found = tables.models(view)
    return body("Stages of one shape share a column.", found) if found else ""


def _training(view: RunView) -> str:
    return body(
        tables.training(view),
        headed(
            "Memory",
            "The most that was held at any validation, by the process and on its GPU.",
            tables.memory(view),
        ),
    )


def _curves(view: RunView) -> str:
    if not any(stage.train or stage.validation for stage in view.stages):
        return ""
    return (
        "Perplexity is exp of the loss per token, and tokens are this run's own: compare it across "
        "stages, never across tokenizers."
    )


def _results(view: RunView) -> str:
    return body(
        headed("Validation loss", result_tables.losses(view)),
        headed(
            "Bits per byte",
            "Over held-out documents; lower is better. Bold is the lowest of each "
            "source at each context. The multiple is of the stage's training context. Errors, "
            "where they stand, are standard errors over documents.",
            result_tables.bits_per_byte(view),
        ),
        headed(
            "Last word",
            "Passages in LAMBADA's form, built from held-out documents: right when the greedy "
            "choice gives the whole last word. The perplexity is per word.",
            result_tables.last_words(view),
        ),
        headed(
            "Tasks, beside published models",
            "Accuracies in % and the perplexity of a whole last word, each with its standard "
            "error; that of a published accuracy follows from the number of examples. Plain "
            "accuracy (acc) and accuracy by the length of the answer (acc\\_norm) do not compare.",
            baseline_tables.tasks(view),
        ),
        headed(
            "Components of the Pile, beside published models",
            "Bits per byte, which do not depend on the tokenizer; lower is better. They compare "
            "only where the documents are the same: a source of the run stands under the component "
            "that it is called after.",
            baseline_tables.components(view),
        ),
    )


def _contamination(view: RunView) -> str:
    return contamination_tables.section(view.contamination) if view.contamination else ""


def _ledger(view: RunView) -> str:
    """Return the ledger; the definitions are those of saved and speed-up at equal loss."""
    if not view.stages:
        return ""
    savings = ledger_tables.equal_loss(view)
    return body(
        *(() if savings else headlines(view)),
        headed(
            "Equal loss",
            "What training from scratch needs to end at the grown stage's final loss, C_scratch, "
            "against what the grown stage took, C_grown. Saved is 1 \u2212 C_grown / C_scratch, "
            "the speed-up is C_scratch / C_grown \u2212 1: two names of one comparison. Only the "
            "ends of finished scratch runs enter.".replace("_", r"\_"),
            savings,
        ),
        headed("Equal compute", ledger_tables.equal_compute(view)),
        headed(
            "Break-even",
            "With its parents charged, the grown stage saves compute only if it matches a control "
            "within so many tokens of its own: the control's tokens, less the parents' compute "
            "divided by the child's FLOPs per token.",
            ledger_tables.break_even(view),
        ),
        headed(
            "Compute and time",
            "Training FLOPs, forward and backward; validation, evaluation and the growth step "
            "itself are not counted.",
            ledger_tables.compute(view),
        ),
    )


def _growth(view: RunView) -> str:
    found = tables.certificates(view)
    explained = (
        "What was measured at each growth event, before the child took its first step. Exact means "
        "that the child computes what its parent computes, up to rounding; that says nothing yet "
        "of how well it trains."
    )
    return body(explained, found) if found else ""


def _notes(view: RunView) -> str:
    own = [f"- **{note.topic}.** {' '.join(note.sentences)}" for note in raised(view)]
    author = [_item(text) for text in view.author_notes]
    return body(
        headed("Raised by the program", "\n".join(own)),
        headed("By the author", "\n".join(author)),
    )


def _limits(view: RunView) -> str:
    return "\n".join(f"- **{question}:** {reason}" for question, reason in not_shown(view))


def _sources(view: RunView) -> str:
    tokenizer = view.tokenizer
    rows = [
        ["Run", code(view.name)],
        ["Written by", f"growlm {plain(view.growlm_version)}, {moment(view.created)}"],
        ["Hardware", plain(view.hardware)],
        ["Seed", str(view.seed)],
        ["Tokenizer", plain(tokenizer.origin)],
        [
            "Vocabulary",
            f"{quantity(tokenizer.vocab_size)} ids, {quantity(tokenizer.padded_vocab_size)} rows",
        ],
        ["Tokenizer's SHA-256", code(tokenizer.sha256)],
        ["Everything on this page", f"{code('results.json')}, beside it"],
    ]
    credits_ = "\n".join(_item(text) for text in view.credits)
    return body(credits_, table(["", ""], rows, words=(0, 1)))


def _item(text: str) -> str:
    """Return Markdown as one item of a list, whatever lines it has."""
    first, *rest = text.strip().splitlines() or [""]
    return "\n".join([f"- {first}", *(f"  {line}" for line in rest)])
