"""Notes on the data: text read again, left out, lost or not learned, documents unscored."""

from collections.abc import Iterator

from growlm.report.view import BenchmarkView, RunView, StageView
from growlm.report.words import code, listing, plural


def repeated(view: RunView) -> tuple[str, ...]:
    """Say which sources were read more than once."""
    told = [_repeats(stage) for stage in view.stages]
    found = [text for text in told if text]
    if not found:
        return ()
    meaning = (
        "Text read again teaches less than new text, though up to about four readings the "
        "difference was found to be small (Muennighoff et al., arXiv:2305.16264)."
    )
    return (*found, meaning)


def _repeats(stage: StageView) -> str:
    often = {name: times for name, times in stage.source_epochs.items() if times > 1}
    if not often:
        return ""
    times = listing([f"{code(name)} {epochs:.2f} times" for name, epochs in often.items()])
    readers = "it and its parents had" if stage.kind == "grown" else "it had"
    return f"By the end of {code(stage.name)}, {readers} read {times}."


def left_out(view: RunView) -> tuple[str, ...]:
    """Say which sources lost documents to duplicates, or records that could not be read."""
    copies = [
        f"{plural(source.left_out, 'document')} of {code(source.name)}"
        for source in view.sources
        if source.left_out
    ]
    lost = [
        f"{plural(source.lost, 'record')} of {code(source.name)}"
        for source in view.sources
        if source.lost
    ]
    told = [f"Copies of texts that were kept: {listing(copies)}."] if copies else []
    told += [f"Not readable, and named in `problems.jsonl`: {listing(lost)}."] if lost else []
    return tuple(told)


def exposed(view: RunView) -> tuple[str, ...]:
    """Say which examples of benchmarks each model was trained on, and what nobody knows."""
    told = [text for stage in view.stages for text in _exposed(stage)]
    if not told:
        return ()
    return (
        *told,
        "Only what stands there word for word is found. `growlm exposure` names every example, "
        "document and step.",
    )


def _exposed(stage: StageView) -> Iterator[str]:
    found, name = stage.exposure, code(stage.name)
    if found is None:
        return
    if found.unknown:
        ancestors = listing([code(each) for each in found.unknown])
        yield f"Nobody knows what {ancestors} was trained on, which {name} goes back to."
    if found.unsearched and found.benchmarks:
        ancestors = listing([code(each) for each in found.unsearched])
        yield f"Of the data of {name}, those of {ancestors} were not searched for benchmarks."
    if found.partly:
        ancestors = listing([code(each) for each in found.partly])
        yield f"Of the data of {name}, not all those of {ancestors} were searched for benchmarks."
    for each in found.benchmarks:
        yield _benchmark(name, each)


def _benchmark(name: str, found: BenchmarkView) -> str:
    masked = f"; {plural(found.masked, 'example')} it only read" if found.masked else ""
    if not found.examples:
        return f"{name} was trained on no example of {found.benchmark}{masked}."
    return (
        f"{name} was trained on {plural(found.examples, 'example')} of {found.benchmark} "
        f"({found.answered:,} with the answer), {found.exposures:.1f} times in all and "
        f"{found.most:.1f} times at most{masked}."
    )


def unlearned(view: RunView) -> tuple[str, ...]:
    """Say how many tokens of which sources carry no loss."""
    found = [
        f"{plural(source.masked_tokens, 'token')} of {code(source.name)}"
        for source in view.sources
        if source.masked_tokens
    ]
    if not found:
        return ()
    return (
        f"These stand in benchmarks, and were read but not learned: {listing(found)}. Training "
        "losses are means over the other tokens; tokens and FLOPs count all that was read.",
    )


def masked(view: RunView) -> tuple[str, ...]:
    """Say where a token saw only tokens of its own document."""
    names = [code(stage.name) for stage in view.stages if stage.document_masking]
    if not names:
        return ()
    return (
        f"In {listing(names)}, documents were masked from each other: a token saw only tokens of "
        "its own document, in training and in validation. The tokens were those of a stage without "
        "masking, and FLOPs are counted as there. Scores take documents one at a time either way.",
    )


def capped(view: RunView) -> tuple[str, ...]:
    """Say which sources were scored on their first documents only."""
    names = {name for stage in view.stages for score in stage.evaluations for name in score.capped}
    if not names:
        return ()
    cap = plural(view.document_cap, "document")
    return (
        f"Bits per byte count at most {cap} per source; "
        f"{listing([code(name) for name in sorted(names)])} had more, and the first {cap} were "
        "taken. Compare such a score only with one under the same cap.",
    )
