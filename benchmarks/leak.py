"""A benchmark leaked on purpose: does the report find it, count it, and give the clean score?

``python benchmarks/leak.py --seeds 3`` makes questions with four endings from held-out prose that
every Python carries, and puts some of them into a training source, once, four and sixteen times.
A base is trained on other text; one child of it on the source with the leak, the other on the same
source without. Both are scored, and the scores held against ``overlap.json`` and the ledgers, as
``growlm`` does it. The child without the leak is judged twice: by its own sources, and as if it had
had the other's, where what is found is a false alarm. ``--out`` keeps the tables.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from setting import setting

from growlm import checkpoint
from growlm.base.version import VERSION
from growlm.corpus import builtin
from growlm.corpus.overlap.reading import read_report
from growlm.corpus.tokenizer import from_json, train as train_tokenizer
from growlm.evaluation.prose import join, prose_runs
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.scorer import Request, score
from growlm.model.gpt import GPT, with_weights
from growlm.pipeline.contamination import Graded, contamination_views, lineage_sources
from growlm.pipeline.events import Stop
from growlm.pipeline.open import run_of
from growlm.pipeline.overlapping import REPORT, asked, overlap
from growlm.pipeline.preparing import facts_of
from growlm.pipeline.run import Run, prepare, train
from growlm.report.contamination_tables import section
from growlm.report.contamination_view import ContaminationView

TASK = "endings"
COPIES = (0, 1, 4, 16)
"""How often an item is put into the source, by its group."""

LEAST_WORDS, MOST_WORDS = 28, 44
"""Of an item, its right ending included."""

ENDING_WORDS = 12
LEAST_LETTERS = 130
"""Of an item: shorter ones that stand in many documents would count as common phrases."""

CHOICES = 4
CONTEXT = 128
BATCH = 1024
VOCABULARY = 1024
END_OF_TEXT = "<|endoftext|>"

RECIPE = """\
name = "leak"
seed = {seed}
compile = false

[tokenizer]
file = "tokenizer.json"

[[source]]
name = "plain"
files = ["plain.jsonl"]
weight = 1.0

[[source]]
name = "leaked"
files = ["leaked.jsonl"]
weight = 0.0

[[source]]
name = "unleaked"
files = ["unleaked.jsonl"]
weight = 0.0

[overlap]
against = [{{ name = "{task}", file = "{task}.jsonl", fields = {fields} }}]
action = "report"

[validation]
share = 0.06
tokens = 2048

[mixture]
block = 64

[[stage]]
name = "base"
model = {{ layers = {layers}, heads = 4, width = {width} }}
context = {context}
tokens = {base_tokens}
batch = {batch}
optimizer = {{ peak_lr = 2.5e-3, clip_norm = 1.0 }}
schedule = {{ kind = "cosine", warmup_steps = 20 }}
"""

CHILD = """\

[[stage]]
name = "{name}"
grow = {{ from = "base", layers = {layers}, depth = "interleave", optimizer_state = "asymmetric" }}
weights = {weights}
context = {context}
tokens = {tokens}
batch = {batch}
optimizer = {{ peak_lr = 2.5e-3, clip_norm = 1.0 }}
schedule = {{ kind = "cosine", warmup_steps = 20 }}
"""

FIELDS = '{ text = "text", answer = "endings[label]" }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large all of it is."""

    groups: tuple[int, ...]
    """Items that are put into the source as often as ``COPIES`` says."""
    characters: int
    """Of each of the two texts that are trained on, before the leak."""
    base_tokens: int
    layers: int
    """Of the base; the children have twice as many."""
    width: int


WHOLE = Size(groups=(120, 60, 60, 60), characters=500_000, base_tokens=180_224, layers=2, width=96)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question: how a passage goes on."""

    text: str
    endings: tuple[str, ...]
    label: int
    copies: int
    """How often it is put into the source."""

    @property
    def passage(self) -> str:
        """The text with its right ending."""
        return f"{self.text} {self.endings[self.label]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What is trained on, and the questions."""

    plain: tuple[str, ...]
    unleaked: tuple[str, ...]
    items: tuple[Item, ...]


def passages(text: str) -> Iterator[str]:
    """Yield stretches of prose of the right length; none overlaps another."""
    for run in prose_runs(text):
        start = 0
        for end in range(1, len(run) + 1):
            found = " ".join(join(run[start:end]).split())
            words = len(found.split())
            if words < LEAST_WORDS:
                continue
            start = end
            if words <= MOST_WORDS and sum(map(str.isalnum, found)) >= LEAST_LETTERS:
                yield found


def parted(size: Size, stream: np.random.Generator) -> tuple[list[str], list[str], list[str]]:
    """Return the built-in prose in three: two texts to train on, and what items are made of."""
    documents = [text for _, text in builtin.texts("docs")]
    order = [documents[at] for at in shuffled(len(documents), stream)]
    parts: list[list[str]] = [[], [], []]
    for text in order:
        at = next((n for n in (0, 1) if sum(map(len, parts[n])) < size.characters), 2)
        parts[at].append(text)
    return parts[0], parts[1], parts[2]


def shuffled(count: int, stream: np.random.Generator) -> list[int]:
    """Return the numbers below a count in a random order."""
    return stream.permutation(count).tolist()


def unheard(found: Sequence[str], training: Mapping[str, Sequence[str]], folder: Path) -> list[str]:
    """Return the passages of which the texts to train on hold nothing, by growlm's own scan."""
    lines(folder / "passages.jsonl", [{"text": text} for text in found])
    for name, texts in training.items():
        lines(folder / f"{name}.jsonl", [{"text": text} for text in texts])
    what = asked(
        [f"{name}={folder / name}.jsonl" for name in training],
        [f"passages={folder / 'passages.jsonl'}"],
        [],
        text_field="text",
        rules="fast",
    )
    for _ in overlap(what, out=folder / "scan", version=VERSION):
        pass
    contacts = read_report(folder / "scan" / REPORT).contacts("passages")
    return [
        text
        for index, text in enumerate(found)
        if contacts[index].label == "clean" and not contacts[index].score
    ]


def texts_of(size: Size, seed: int, folder: Path) -> Texts:
    """Return what is trained on and the questions; the seed decides which text is which."""
    stream = np.random.default_rng(seed)
    plain, unleaked, rest = parted(size, stream)
    found = dict.fromkeys(passage for text in rest for passage in passages(text))
    endings: dict[str, str] = {}
    for passage in found:
        endings.setdefault(" ".join(passage.split()[-ENDING_WORDS:]), passage)
    clean = unheard(list(endings.values()), {"plain": plain, "unleaked": unleaked}, folder)
    chosen = [clean[at] for at in shuffled(len(clean), stream)]
    wanted = sum(size.groups)
    if len(chosen) < wanted + CHOICES:
        raise SystemExit(f"expected {wanted + CHOICES} passages or more; got {len(chosen)}")
    spare = [" ".join(text.split()[-ENDING_WORDS:]) for text in chosen[wanted:]]
    copies = [
        times for times, number in zip(COPIES, size.groups, strict=True) for _ in range(number)
    ]
    items = [
        question(passage, spare, times, stream)
        for passage, times in zip(chosen[:wanted], copies, strict=True)
    ]
    order = shuffled(len(items), stream)
    return Texts(
        plain=tuple(plain), unleaked=tuple(unleaked), items=tuple(items[at] for at in order)
    )


def question(passage: str, spare: Sequence[str], copies: int, stream: np.random.Generator) -> Item:
    """Return a passage as a question; wrong endings are of passages that are asked nowhere."""
    words = passage.split()
    others = [spare[at] for at in shuffled(len(spare), stream)[: CHOICES - 1]]
    label = int(stream.integers(CHOICES))
    right = " ".join(words[-ENDING_WORDS:])
    return Item(
        text=" ".join(words[:-ENDING_WORDS]),
        endings=(*others[:label], right, *others[label:]),
        label=label,
        copies=copies,
    )


def leaked(texts: Texts, seed: int) -> list[str]:
    """Return the second text with the items in it, each copy a paragraph in another document."""
    stream = np.random.default_rng([seed, 1])
    inside: list[list[str]] = [text.split("\n\n") for text in texts.unleaked]
    for item in texts.items:
        for at in shuffled(len(inside), stream)[: item.copies]:
            place = int(stream.integers(len(inside[at]) + 1))
            inside[at].insert(place, item.passage)
    return ["\n\n".join(paragraphs) for paragraphs in inside]


def lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def written(texts: Texts, size: Size, seed: int, folder: Path) -> None:
    """Write the sources, the questions, and the recipe without its children."""
    sources = {"plain": texts.plain, "unleaked": texts.unleaked, "leaked": leaked(texts, seed)}
    for name, documents in sources.items():
        lines(folder / f"{name}.jsonl", [{"text": text} for text in documents])
    lines(
        folder / f"{TASK}.jsonl",
        [
            {"text": item.text, "endings": list(item.endings), "label": item.label}
            for item in texts.items
        ],
    )
    # Of the plain text alone: a tokenizer that saw the leak needs fewer tokens for its words, so
    # that even a model that never saw it scores them higher.
    learned = train_tokenizer(texts.plain, vocab_size=VOCABULARY, end_of_text=END_OF_TEXT)
    (folder / "tokenizer.json").write_text(learned.json, encoding="utf-8")
    recipe(size, seed, folder, children={})


def recipe(size: Size, seed: int, folder: Path, *, children: Mapping[str, int]) -> Path:
    """Write the recipe, with a child for each source and the tokens that it trains on."""
    text = RECIPE.format(
        seed=seed,
        task=TASK,
        fields=FIELDS,
        layers=size.layers,
        width=size.width,
        context=CONTEXT,
        batch=BATCH,
        base_tokens=size.base_tokens,
    )
    for name, tokens in children.items():
        text += CHILD.format(
            name=name,
            layers=2 * size.layers,
            weights=f"{{ plain = 0.0, {name} = 1.0 }}",
            context=CONTEXT,
            batch=BATCH,
            tokens=tokens,
        )
    path = folder / "leak.toml"
    path.write_text(text, encoding="utf-8")
    return path


def carried_out(path: Path, out: Path) -> Run:
    """Prepare what a recipe asks for, train its stages, and return the run."""
    with run_of(path, [], out=out, stop=Stop(), version=VERSION) as job:
        for _ in prepare(job):
            pass
        if len(job.plan.stages) > 1:
            for stage in job.plan.stages:
                for _ in train(job, stage):
                    pass
        return job


def once(job: Run) -> dict[str, int]:
    """Return for each child the tokens that its source holds, in whole batches."""
    tokens = {name: facts_of(job.folder, name).train_tokens for name in ("leaked", "unleaked")}
    return {name: (number - 2 * CONTEXT) // BATCH * BATCH for name, number in tokens.items()}


def scores_of(path: Path, items: Sequence[Item]) -> TaskScore:
    """Return a checkpoint's scores of the questions."""
    meta = checkpoint.read_meta(path)
    model = with_weights(meta.gpt_config(), checkpoint.load_weights(path))
    tokenizer = from_json(checkpoint.load_tokenizer(path), end_of_text=meta.end_of_text)
    heads = tokenizer.encode([item.text for item in items])
    wholes = tokenizer.encode([f"{item.text} {each}" for item in items for each in item.endings])
    requests = [
        request(heads[number // CHOICES], whole, tokenizer.end_of_text)
        for number, whole in enumerate(wholes)
    ]
    return TaskScore(task=TASK, examples=tuple(marked(model, requests, items)))


def request(head: Sequence[int], whole: Sequence[int], end_of_text: int) -> Request:
    """Return the request that scores what follows a question."""
    targets = tuple(whole[len(head) :])
    return Request(inputs=(end_of_text, *whole[:-1]), targets=targets)


def marked(
    model: GPT, requests: Sequence[Request], items: Sequence[Item]
) -> Iterator[ExampleScore]:
    """Yield what a model makes of each question."""
    found = [each.log_likelihood_nats for each in score(model, requests, batch_tokens=8192)]
    for index, item in enumerate(items):
        own = found[CHOICES * index : CHOICES * (index + 1)]
        lengths = [len(ending) for ending in item.endings]
        shares = [nats / length for nats, length in zip(own, lengths, strict=True)]
        yield ExampleScore(
            index=index,
            values={
                "acc": float(own.index(max(own)) == item.label),
                "acc_norm": float(shares.index(max(shares)) == item.label),
                "log_likelihood_nats": own[item.label],
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one seed came to, by who was judged: leaked, control, and the false alarm."""

    seed: int
    views: Mapping[str, tuple[ContaminationView, ...]]
    seconds: float


def outcome(size: Size, seed: int, folder: Path) -> Outcome:
    """Make the texts, train, score, and hold the scores against what was trained on."""
    started = time.perf_counter()
    texts = texts_of(size, seed, folder)
    written(texts, size, seed, folder)
    out = folder / "run"
    first = carried_out(folder / "leak.toml", out)
    job = carried_out(recipe(size, seed, folder, children=once(first)), out)
    graded = {stage.name: grade(job, stage.name, texts.items) for stage in job.plan.stages}
    report = read_report(job.folder.overlap / REPORT)
    # As if the child without the leak had read what the other did.
    alarm = replace(
        graded["unleaked"], path=graded["leaked"].path, sources=graded["leaked"].sources
    )
    judged = {"leaked": graded["leaked"], "control": graded["unleaked"], "false alarm": alarm}
    return Outcome(
        seed=seed,
        views={
            name: contamination_views(replace(each, stage=name), report, parent=graded["base"])
            for name, each in judged.items()
        },
        seconds=time.perf_counter() - started,
    )


def grade(job: Run, name: str, items: Sequence[Item]) -> Graded:
    """Return a stage's last checkpoint with its scores."""
    path = job.folder.final(name)
    return Graded(
        stage=name,
        checkpoint="final",
        path=path,
        scores=(scores_of(path, items),),
        sources=lineage_sources(job.plan, job.plan.stage(name)),
        digests={},
    )


def verdicts(found: Sequence[Outcome]) -> Iterator[str]:
    """Yield the rows of scores and verdicts, seed by seed."""
    head = ("seed", "judged", "metric", "all", "clean", "dirty", "Z of clean, dirty", "verdict")
    yield f"| {' | '.join(head)} | difference in differences | its Z | verdict |"
    yield "| ---: | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | --- |"
    for each in found:
        for name, views in each.views.items():
            for view in views:
                yield f"| {each.seed} | {name} | {view.metric} | {row(view)} |"


def row(view: ContaminationView) -> str:
    """Return the cells of one score."""
    parts = [view.subset(name) for name in ("clean", "dirty")]
    means = [part.mean if part else None for part in parts]
    found = view.difference
    cells = [f"{view.everything.value:.3f} ± {view.everything.stderr:.3f}"]
    cells += [f"{mean.value:.3f} ± {mean.stderr:.3f}" if mean else "-" for mean in means]
    cells.append(", ".join(f"{part.z:.1f}" for part in parts if part and part.mean))
    cells.append(view.verdict)
    if found is None:
        return " | ".join([*cells, "-", "-", "-"])
    z = f"{found.value / found.stderr:.1f}" if found.stderr else "-"
    return " | ".join([*cells, f"{found.value:.3f} ± {found.stderr:.3f}", z, found.verdict])


def gains(found: Sequence[Outcome], metric: str) -> Iterator[str]:
    """Yield the rows of gains over the parent by exposures, over all seeds."""
    head = ("judged", "exposures", "by the ledger", "gain beyond that of the unexposed")
    yield f"| {' | '.join(head)} | (over seeds) | per exposure |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for name in ("leaked", "false alarm"):
        views = [view for each in found for view in each.views[name] if view.metric == metric]
        ranges = sorted({(dose.above or 0.0, dose.most) for view in views for dose in view.gains})
        for above, most in ranges[1:]:
            some = [
                dose
                for view in views
                for dose in view.gains
                if (dose.above, dose.most) == (above, most) and dose.gain is not None
            ]
            values = [dose.gain or 0.0 for dose in some]
            served = statistics.fmean(dose.exposures for dose in some)
            mean = statistics.fmean(values)
            yield (
                f"| {name} | {above:g} to {most:g} | {served:.2f} | {mean:.3f} | "
                f"{min(values):.3f} to {max(values):.3f} | {mean / served:.3f} |"
            )


def page(found: Sequence[Outcome], command: str) -> str:
    """Return all tables as a page."""
    details = [f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"]
    details.append(f"torch {torch.__version__}")
    seconds = statistics.fmean(each.seconds for each in found)
    shown = [view for name in ("leaked", "control") for view in found[0].views[name]]
    return "\n".join(
        [
            "# A benchmark leaked on purpose",
            "",
            f"`{command}`: {sum(WHOLE.groups)} questions with {CHOICES} endings, put into a source "
            f"{', '.join(map(str, COPIES))} times ({', '.join(map(str, WHOLE.groups))} of them). "
            f"{seconds:.0f} s a seed. The false alarm is the control, judged as if it had read "
            "what the leaked child did.",
            "",
            setting(*details) + ".",
            "",
            *verdicts(found),
            "",
            "## What an exposure brings, accuracy",
            "",
            *gains(found, "acc"),
            "",
            "## What an exposure brings, log-likelihood in nats",
            "",
            *gains(found, "log_likelihood_nats"),
            "",
            f"## The report of seed {found[0].seed}",
            "",
            section(shown).replace("### ", "#### "),
        ]
    )


def main() -> None:
    """Print the tables, and keep them in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    found: list[Outcome] = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            found.append(outcome(WHOLE, seed, Path(folder)))
    shown = page(found, f"python benchmarks/leak.py --seeds {options.seeds}")
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
