"""The notes that the log raises by itself, each when its cause is in the run and only then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from growlm.report import contamination_notes, data_notes, growth_notes, score_notes, training_notes
from growlm.report.view import RunView

NOTES: Mapping[str, Callable[[RunView], tuple[str, ...]]] = {
    "No control": growth_notes.uncontrolled,
    "Unfinished": training_notes.unfinished,
    "Losses that are not finite": training_notes.not_finite,
    "Steps not taken": training_notes.skipped,
    "Divergence": training_notes.diverged,
    "One seed": growth_notes.one_seed,
    "Extrapolation": growth_notes.extrapolated,
    "The controls": growth_notes.controls,
    "Not comparable": growth_notes.not_comparable,
    "Benchmarks in the text": data_notes.exposed,
    "Scores that overlap helps": contamination_notes.evident,
    "Lineage of scores": contamination_notes.unknown_lineage,
    "The jump at growth": growth_notes.jump,
    "Copies that have not parted": growth_notes.unparted,
    "An annealed parent": growth_notes.annealed_parent,
    "An imported parent": growth_notes.imported_parent,
    "Repeated text": data_notes.repeated,
    "Text left out": data_notes.left_out,
    "Masked tokens": data_notes.unlearned,
    "Document masking": data_notes.masked,
    "Overfitting": training_notes.overfitting,
    "Longer contexts": score_notes.long_contexts,
    "Other contexts than in training": score_notes.task_contexts,
    "Capped documents": data_notes.capped,
    "Memory": training_notes.memory,
    "Time and FLOPs": training_notes.utilisation,
    "While training": training_notes.notices,
}
"""Every note by its topic, the gravest first: a function of the run that returns sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note that was raised."""

    topic: str
    """What it is about."""
    sentences: tuple[str, ...]
    """Markdown."""


def raised(view: RunView) -> tuple[Note, ...]:
    """Return the notes whose cause is in a run."""
    told = [Note(topic=topic, sentences=note(view)) for topic, note in NOTES.items()]
    return tuple(note for note in told if note.sentences)
