"""The prepare steps: duplicates, a tokenizer, then the shards and held-out texts of each source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import unidata_version

from growlm import checkpoint
from growlm.base.errors import CorpusError
from growlm.base.files import (
    read_json,
    remove,
    sha256_bytes,
    sha256_file,
    storage,
    write_bytes,
    write_text,
)
from growlm.base.units import format_count
from growlm.corpus import duplicates, source_facts, tokenizer as tokenizers
from growlm.corpus.canonical import CANONICAL_VERSION
from growlm.corpus.engine import Engine, LocalEngine, cores
from growlm.corpus.prepare import pack, train_tokenizer
from growlm.corpus.source_facts import SourceFacts
from growlm.corpus.tokenizer import Tokenizer
from growlm.corpus.trove import TroveEngine
from growlm.pipeline import fetching
from growlm.pipeline.engine import Step
from growlm.pipeline.events import Event
from growlm.pipeline.folder import RunFolder
from growlm.pipeline.inputs import inputs
from growlm.pipeline.plan import Plan
from growlm.pipeline.screening import selection, selection_key
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.sections import Source

SHARD_TOKENS = 1 << 30

SMALL_BYTES = 1 << 22
"""Text that is quickly encoded, with tiktoken or without."""


def duplicates_step(plan: Plan, folder: RunFolder, section: Duplicates) -> Step:
    """Return the step that finds what the sources hold more than once."""
    found = folder.duplicates / duplicates.REPORT
    return Step(
        name="prepare:duplicates",
        key={
            "inputs": [inputs(source, plan) for source in plan.experiment.texts],
            "section": section.model_dump(exclude={"workers", "engine", "engine_options"}),
            "canonical": [CANONICAL_VERSION, unidata_version],
        },
        outputs=(folder.duplicates,),
        precious=False,
        work=lambda: _search(plan, folder, section),
        result=lambda: _searched(read_json(found)),
    )


def tokenizer_step(plan: Plan, folder: RunFolder) -> Step:
    """Return the step that trains the tokenizer, or takes the one that was brought."""
    section = plan.experiment.tokenizer
    key: dict[str, Any] = {"tokenizer": section.model_dump(), "share": None, "inputs": []}
    if section.file is None:
        key["share"] = plan.experiment.validation.share
        sources = plan.experiment.texts
        key["selections"] = [selection_key(plan, folder, each.name) for each in sources]
        key["inputs"] = [inputs(source, plan) for source in sources]
    else:
        brought = tokenizers.load(
            plan.recipe_folder / section.file, end_of_text=section.end_of_text
        )
        key["inputs"] = [brought.sha256]
    return Step(
        name="prepare:tokenizer",
        key=key,
        outputs=(folder.tokenizer, folder.tokenizer_digest),
        precious=False,
        work=lambda: _make_tokenizer(plan, folder),
        result=lambda: f"{tokenizer_of(plan, folder).vocab_size:,} tokens",
    )


def source_step(plan: Plan, folder: RunFolder, source: Source) -> Step:
    """Return the step that packs one source, or fetches it where it was packed elsewhere."""
    if source.shards is not None:
        return _fetch_step(plan, folder, source)
    out = folder.corpus / source.name
    return Step(
        name=f"prepare:{source.name}",
        key={
            "inputs": inputs(source, plan),
            "tokenizer": tokenizer_of(plan, folder).sha256,
            "share": plan.experiment.validation.share,
            **selection_key(plan, folder, source.name),
        },
        outputs=(out,),
        precious=False,
        work=lambda: _pack(plan, folder, source),
        result=lambda: _packed(facts_of(folder, source.name)),
    )


def _fetch_step(plan: Plan, folder: RunFolder, source: Source) -> Step:
    packed = fetching.packed_elsewhere(plan, source)
    return Step(
        name=f"prepare:{source.name}",
        key={"packed": packed.sha256, "tokenizer": tokenizer_of(plan, folder).sha256},
        outputs=(folder.corpus / source.name,),
        precious=False,
        work=lambda: fetching.fetch(plan, folder, source, packed),
        result=lambda: _packed(facts_of(folder, source.name)),
    )


def tokenizer_of(plan: Plan, folder: RunFolder) -> Tokenizer:
    """Return the run's tokenizer."""
    end_of_text = plan.experiment.tokenizer.end_of_text
    return tokenizers.load(folder.tokenizer, end_of_text=end_of_text)


def check_tokenizer(plan: Plan, folder: RunFolder) -> None:
    """Refuse a tokenizer that is not the one the run made, or neither an outside parent's nor more.

    Raises:
        CorpusError: As said.
    """
    found = sha256_file(folder.tokenizer)
    with storage(folder.tokenizer_digest):
        made = folder.tokenizer_digest.read_text(encoding="utf-8").strip()
    if found != made:
        raise CorpusError(
            f"{folder.tokenizer} as this run made it: shards and checkpoints depend on it",
            got="another tokenizer, or a damaged one",
            fix="restoring it, or removing it: it is then made again",
        )
    for stage in plan.stages:
        path = stage.origin.parent_path
        if path is not None and not _reads(path, folder):
            raise CorpusError(
                f"stage.{stage.name} to read its text with the tokenizer of its parent {path}",
                got="another tokenizer of the same size",
                fix=f'tokenizer.file = "{path / checkpoint.TOKENIZER}"',
            )


def _reads(parent: Path, folder: RunFolder) -> bool:
    """Return whether a run's tokenizer is that of a parent, or adds tokens to it."""
    with storage(folder.tokenizer):
        content = folder.tokenizer.read_bytes()
    if checkpoint.read_meta(parent).files[checkpoint.TOKENIZER] == sha256_bytes(content):
        return True
    try:
        added = tokenizers.added_pieces(checkpoint.load_tokenizer(parent), content.decode())
    except CorpusError:
        return False
    return bool(added)


def facts_of(folder: RunFolder, source: str) -> SourceFacts:
    """Return what packing a source came to.

    Raises:
        CorpusError: Another version wrote it, or it was changed.
        StorageError: It cannot be read.
    """
    return source_facts.read(folder.corpus / source)


def _search(plan: Plan, folder: RunFolder, section: Duplicates) -> Iterator[Event]:
    duplicates.search(
        plan.experiment.texts,
        section,
        folder=plan.recipe_folder,
        out=folder.duplicates,
        engine=_engine(section),
    )
    yield from ()


def _engine(section: Duplicates) -> Engine:
    workers = section.workers or cores()
    if section.engine == "local":
        return LocalEngine(workers=workers)
    return TroveEngine(executor=section.engine, workers=workers, options=section.engine_options)


def _searched(report: dict[str, Any]) -> str:
    counts = report["dropped"].values()
    told = [
        f"{sum(each[reason] for each in counts):,} {words}"
        for reason, words in (("exact", "the same"), ("near", "nearly the same"))
    ]
    books = f", {len(report['books']):,} books in others" if report["books"] else ""
    return f"of {report['documents']:,} documents, {' and '.join(told)} as another{books}"


def _make_tokenizer(plan: Plan, folder: RunFolder) -> Iterator[Event]:
    section = plan.experiment.tokenizer
    if section.file is not None:
        path = plan.recipe_folder / section.file
        brought = tokenizers.load(path, end_of_text=section.end_of_text)
        write_bytes(folder.tokenizer, brought.to_json().encode())
    else:
        train_tokenizer(
            plan.experiment.texts,
            selections={
                source.name: selection(plan, folder, source.name)
                for source in plan.experiment.texts
            },
            folder=plan.recipe_folder,
            out=folder.tokenizer,
            vocab_size=plan.vocab_size,
            end_of_text=section.end_of_text,
            train_documents=section.train_documents,
            share=plan.experiment.validation.share,
        )
    _check_vocabulary(plan, folder)
    write_text(folder.tokenizer_digest, sha256_file(folder.tokenizer) + "\n")
    yield from ()


def _check_vocabulary(plan: Plan, folder: RunFolder) -> None:
    found = tokenizer_of(plan, folder).vocab_size
    if found != plan.vocab_size:
        remove(folder.tokenizer)
        raise CorpusError(
            f"sources with enough text for a tokenizer of {plan.vocab_size:,} tokens",
            got=f"enough for {found:,}",
            fix=f"tokenizer.vocab_size = {found}, or more text",
        )


def _pack(plan: Plan, folder: RunFolder, source: Source) -> Iterator[Event]:
    out = folder.corpus / source.name
    if not out.exists():  # it was packed, but killed before that was noted
        pack(
            source,
            selection=selection(plan, folder, source.name),
            folder=plan.recipe_folder,
            out=out,
            tokenizer=tokenizer_of(plan, folder),
            share=plan.experiment.validation.share,
            shard_tokens=SHARD_TOKENS,
        )
    yield from ()


def _packed(facts: SourceFacts) -> str:
    told = {
        "with invalid UTF-8": facts.bad_utf8,
        "too short": facts.too_short,
        "in another language": facts.other_language,
        "that stand elsewhere": facts.duplicates,
        "books trimmed": facts.trimmed,
        "in which benchmarks stand": facts.overlap_dropped,
        "cut where benchmarks stand": facts.overlap_cut,
        "tokens masked": facts.masked_tokens,
        "records lost": facts.bad_json + facts.no_field,
        "broken files": facts.broken_file,
        **{f"changed by {step}": number for step, number in facts.cleaned.items()},
    }
    rest = "".join(f", {number:,} {words}" for words, number in told.items() if number)
    return (
        f"{facts.train_documents:,} documents, {format_count(facts.train_tokens)} tokens to train "
        f"on; {facts.heldout_documents:,} documents held out{rest}{_without_tiktoken(facts)}"
    )


def _without_tiktoken(facts: SourceFacts) -> str:
    """Return why the reference encoded, where tiktoken was wrong or would save some time."""
    size = facts.train_bytes + facts.heldout_bytes
    if facts.without_tiktoken is None or not (facts.fast_faults or size > SMALL_BYTES):
        return ""
    which = "the rest" if facts.fast_documents else "all"
    return f"; {which} encoded without tiktoken: {facts.without_tiktoken}"
