"""Notes on the scores: what contexts beyond training mean."""

from growlm.report.view import EvaluationView, RunView, StageView
from growlm.report.words import TIMES, code, listing, number

POSITIONS = {
    "alibi": "ALiBi penalises distance, which carries on beyond the training context.",
    "rotary": "Rotary positions were never seen at such distances.",
    "learned": "Learned positions beyond the training context were never trained.",
    "none": "Without positions, only the causal mask tells the order.",
}
"""What a longer context means to each kind of position."""


def long_contexts(view: RunView) -> tuple[str, ...]:
    """Say what scores beyond the training context mean, and which got worse there."""
    multiples = sorted(
        {
            score.multiple
            for stage in view.stages
            for score in stage.evaluations
            if score.multiple > 1
        }
    )
    if not multiples:
        return ()
    shown = listing([f"{multiple}{TIMES}" for multiple in multiples])
    kinds = dict.fromkeys(str(stage.shape.get("positions", "")) for stage in view.stages)
    meaning = [POSITIONS[kind] for kind in kinds if kind in POSITIONS]
    general = (
        f"Scores at {shown} the training context ask for something no stage was trained on. "
        + " ".join(meaning)
        + " A lower score there says that the model puts the longer past to use, or at least is "
        "not thrown by it; documents shorter than the context score the same at any."
    )
    worse = [text for stage in view.stages if (text := _worse(stage))]
    return (general, *worse)


def task_contexts(view: RunView) -> tuple[str, ...]:
    """Say which stages' tasks were scored at another context than they were trained at."""
    told = [(stage, _other_contexts(stage)) for stage in view.stages]
    return tuple(
        f"{code(stage.name)} was trained at context {stage.context:,}, and its tasks were scored "
        f"at {listing([f'{context:,}' for context in contexts])}."
        for stage, contexts in told
        if contexts
    )


def _other_contexts(stage: StageView) -> list[int]:
    found = {each.context for each in stage.evaluations if each.tasks}
    return sorted(found - {stage.context})


def _worse(stage: StageView) -> str:
    """Return a sentence when a finished stage scores worse at a longer context."""
    final = [score for score in stage.evaluations if score.checkpoint == "final"]
    trained = next((score for score in final if score.multiple == 1), None)
    if trained is None:
        return ""
    longest = max(final, key=lambda score: score.multiple)
    told = [_change(trained, longest, name) for name in trained.bits_per_byte]
    found = [text for text in told if text]
    if not found:
        return ""
    return (
        f"{code(stage.name)} is worse at {longest.multiple}{TIMES} its training context than at "
        f"it: {listing(found)} bits per byte."
    )


def _change(trained: EvaluationView, longest: EvaluationView, name: str) -> str:
    before, after = trained.bits_per_byte[name], longest.bits_per_byte.get(name)
    if after is None or not after > before:
        return ""
    return f"{code(name)} {number(after, 4)} against {number(before, 4)}"
