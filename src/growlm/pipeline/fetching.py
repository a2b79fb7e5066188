"""Sources that come as shards: what a plan asks of them, and the step that fetches them."""

import time
from collections.abc import Iterator

from growlm.base.errors import CorpusError
from growlm.corpus import elsewhere, tokenizer as tokenizers
from growlm.corpus.elsewhere import Packed
from growlm.corpus.remote import is_address
from growlm.corpus.source_facts import SourceFacts
from growlm.pipeline.events import Event, Notice, Progress
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.plan import Plan
from growlm.pipeline.screening import benchmark_digests
from growlm.recipe.sections import Source


def packed_elsewhere(plan: Plan, source: Source) -> Packed:
    """Return what a source's shards say of themselves, without fetching them.

    Raises:
        CorpusError: There are none, or another tokenizer wrote them than the recipe's.
    """
    found = elsewhere.look(elsewhere.place_of(str(source.shards), folder=plan.recipe_folder))
    _check_tokenizer(plan, source, found)
    return found


def fetch(plan: Plan, folder: RunFolder, source: Source, packed: Packed) -> Iterator[Event]:
    """Fetch a source's shards into a run's folder, and say what nobody looked for in them.

    Raises:
        CorpusError: A file cannot be had, or is damaged.
        StorageError: They do not fit, or cannot be written.
    """
    out = folder.corpus / source.name
    started = time.perf_counter()
    first: int | None = None
    for done, total in elsewhere.fetch(packed, out, source=source.name):
        first = done if first is None else first
        passed = time.perf_counter() - started
        yield Progress(
            step=f"prepare:{source.name}",
            done=done,
            total=total,
            unit="files",
            loss=None,
            tokens_per_second=None,
            seconds_left=passed / max(1, done - first) * (total - done),
        )
    for text in unsearched(plan, source, packed.facts):
        yield Notice(text=text)


def unsearched(plan: Plan, source: Source, facts: SourceFacts) -> Iterator[str]:
    """Yield what the recipe asks of its sources and nobody did to one that comes as shards."""
    if plan.experiment.duplicates is not None:
        yield (
            f"source '{source.name}' comes as shards: [duplicates] does not look for its texts in "
            "the other sources"
        )
    section = plan.experiment.overlap
    wanted = benchmark_digests(plan, section) if section is not None else {}
    missing = [name for name in wanted if facts.benchmarks.get(name) != wanted[name]]
    if missing:
        yield (
            f"source '{source.name}' comes as shards that nobody searched for "
            f"{', '.join(missing)}: what of it stands in them is not known"
        )


def check_apart(plan: Plan, folder: RunFolder) -> None:
    """Refuse to take from a run's own corpus, where steps begin by removing what was there.

    Raises:
        CorpusError: A source's shards or the tokenizer lie there.
    """
    experiment = plan.experiment
    taken = {f"source '{each.name}'": each.shards for each in experiment.source}
    for what, path in {**taken, "tokenizer.file": experiment.tokenizer.file}.items():
        if path is None or is_address(path):
            continue
        if (plan.recipe_folder / path).resolve().is_relative_to(folder.corpus.resolve()):
            raise CorpusError(
                f"{what} to come from elsewhere than the run's own corpus",
                got=path,
                fix="another --out, or a copy of it",
            )


def _check_tokenizer(plan: Plan, source: Source, packed: Packed) -> None:
    section = plan.experiment.tokenizer
    path = plan.recipe_folder / str(section.file)
    if not path.is_file():  # a recipe can be checked where it is not
        return
    own = tokenizers.load(path, end_of_text=section.end_of_text)
    for manifest in (packed.train, packed.validation):
        theirs = manifest.tokenizer
        if theirs.sha256 != own.sha256:
            raise CorpusError(
                f"shards of source '{source.name}' by {path}, SHA-256 {own.sha256}",
                got=f"those of another tokenizer, {theirs.sha256}, at {packed.place}",
                fix="the tokenizer.json of the run that packed them, or packing the text again",
            )
        if theirs.eos != own.end_of_text:
            raise CorpusError(
                f"shards of source '{source.name}' whose documents end in id {own.end_of_text}",
                got=f"id {theirs.eos}",
                fix="tokenizer.end_of_text as the run that packed them has it",
            )
