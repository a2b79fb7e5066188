"""What only the whole recipe can check."""

from collections.abc import Callable

import pytest

from growlm.base.errors import RecipeError
from growlm.recipe.experiment import Experiment, crosscheck

Change = tuple[str, str]

PACKED: list[Change] = [
    ("vocab_size = 512", 'file = "tokenizer.json"'),
    ('builtin = "code"', 'shards = "theirs/code"'),
]
OVERLAP = '[overlap]\nagainst = [{ name = "piqa", file = "piqa.jsonl" }]\n#A\n\n[average]'

BASELINES = [f'[[baseline]]\nname = "{name}"\ncheckpoint = "x"\n' for name in ("GPT 2", "gpt-2")]

MISTAKES: list[tuple[list[Change], str]] = [
    (
        [("[average]", "".join([*BASELINES, "[average]"]))],
        "baselines with a checkpoint to differ in the letters and digits of their names; "
        "got 'GPT 2' and 'gpt-2'. Try renaming one baseline.",
    ),
    (
        [('from = "base"', 'from = "bas"')],
        "stage.grown.grow.from to name an earlier stage, one of base, or a folder; got 'bas'. "
        "Try base.",
    ),
    (
        [('from = "base"', 'from = "scratch"')],
        "stage.grown.grow.from to name an earlier stage, one of base, or a folder; "
        "got 'scratch'. Try base.",
    ),
    (
        [('from = "base"', 'from = "grown"')],
        "stage.grown.grow.from to name an earlier stage, one of base, or a folder; "
        "got 'grown'. Try base.",
    ),
    (
        [("[stage.model]\nlayers = 2\nheads = 2\nwidth = 32", "grow = {from = 'x', layers = 2}")],
        "stage.base.grow.from to name an earlier stage, of which there is none, or a folder; "
        "got 'x'. Try a stage with a model first.",
    ),
    (
        [('of = "grown"', 'of = "base"')],
        "stage.scratch.control.of to name an earlier stage that grows; got 'base'. Try grown.",
    ),
    (
        [('kind = "warmup-stable-decay"', 'kind = "warmup-stable-decay"\nrewarm = {}')],
        "stage.base.schedule.rewarm in a stage that grows: it is for new parameters; "
        "got a stage whose parameters are all new. Try removing rewarm.",
    ),
    (
        [('kind = "warmup-stable-decay"', 'kind = "resume"')],
        "stage.base.schedule.kind to be one that begins anew, cosine, linear, warmup-stable-decay "
        "or constant, in a stage that does not grow; got 'resume', which goes on with a "
        "parent's. Try cosine.",
    ),
    (
        [("batch = 4096", "batch = 4100")],
        "stage.base.batch to be a multiple of its context; got batch=4100, context=64. "
        "Try batch=4096.",
    ),
    (
        [("batch = 4096", "batch = 32")],
        "stage.base.batch to be a multiple of its context; got batch=32, context=64. Try batch=64.",
    ),
    (
        [("batch = 4096", "batch = 4096\nmicro_batch = 96")],
        "stage.base.micro_batch to divide the batch and be a multiple of the context; "
        "got micro_batch=96, batch=4096, context=64. Try micro_batch=64.",
    ),
    (
        [("tokens = 500000", "tokens = 4095")],
        "stage.grown.tokens to hold at least one batch; got tokens=4095, batch=4096. "
        "Try tokens=4096.",
    ),
    (
        [("context = 64", "context = 48"), ("batch = 4096", "batch = 4800")],
        "stage.base.context to divide the shard slot, the longest context (128); "
        "got context=48. Try context=32.",
    ),
    (
        [('name = "scratch"', 'name = "grown"')],
        "stage names to differ; got 'grown' twice. Try renaming one stage.",
    ),
    (
        [('name = "code"', 'name = "docs"')],
        "source names to differ; got 'docs' twice. Try renaming one source.",
    ),
    (
        [("{ code = 1.0 }", "{ cod = 1.0 }")],
        "stage.grown.weights to name sources, of docs, code; got 'cod'. Try code.",
    ),
    (
        [("{ code = 1.0 }", "{ code = 0.0, docs = 0.0 }")],
        "at least one weight above 0 in stage grown; got only zeros. "
        "Try weight = 1.0 for a source.",
    ),
    (
        [('stages = ["grown"]', 'stages = ["grwn"]')],
        "average.stages to name stages, of base, grown, scratch; got 'grwn'. Try grown.",
    ),
    (
        [('stages = ["grown"]', 'stages = ["grown", "base", "grown"]')],
        "average.stages to name a stage once; got 'grown' twice. Try removing one.",
    ),
    (
        [('source = "docs"', 'source = "doc"')],
        "evaluate.last_word.source to name a source, one of docs, code; got 'doc'. Try docs.",
    ),
    (
        [('builtin = "code"', 'shards = "theirs/code"')],
        "tokenizer.file, the one that wrote the shards of source 'code'; got a tokenizer to be "
        "trained. Try file with the path of a tokenizer.json: in a run, corpus/tokenizer.json.",
    ),
    (
        [*PACKED, ('builtin = "docs"', 'shards = "theirs/docs"'), ("[average]", OVERLAP)],
        "a source that is read as text, for [overlap] to search; got shards alone. "
        "Try removing [overlap].",
    ),
    (
        [*PACKED, ("[average]", '[duplicates]\norder = ["code"]\n\n[average]')],
        "duplicates.order to name sources of text, each once, of docs; got 'code'. Try docs.",
    ),
    (
        [*PACKED, ("[average]", OVERLAP.replace("#A", 'actions = { code = "drop" }'))],
        "overlap.actions about sources of text, docs; got 'code'. Try docs.",
    ),
]


@pytest.mark.parametrize(("changes", "words"), MISTAKES, ids=[words[:60] for _, words in MISTAKES])
def test_what_does_not_fit_together_is_told_in_one_line(
    experiment_with: Callable[..., Experiment], changes: list[Change], words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        experiment_with(*changes)
    assert str(caught.value) == f"tiny.toml: expected {words}"


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [('from = "base"', 'from = "runs/other/stages/base/final"')],
        [("batch = 4096", "batch = 4096\nmicro_batch = 1024")],
        [("tokens = 500000", "tokens = 4096")],
        [("context = 64", "context = 32")],
        [('kind = "cosine"', 'kind = "resume"')],
        [('kind = "cosine"', 'kind = "cosine"\nrewarm = { factor = 2.0, steps = 20 }')],
        [("{ code = 1.0 }", "{ code = 1.0, docs = 0.0 }")],
        PACKED,
        [*PACKED, ("[average]", OVERLAP)],
    ],
)
def test_what_fits_together_is_accepted(
    experiment_with: Callable[..., Experiment], changes: list[Change]
) -> None:
    crosscheck(experiment_with(*changes))


def test_a_stage_is_found_by_its_name(experiment_with: Callable[..., Experiment]) -> None:
    experiment = experiment_with()
    assert experiment.stage_named("grown") is experiment.stage[1]
    with pytest.raises(RecipeError, match=r"one of base, grown, scratch; got 'grow'\. Try grown"):
        experiment.stage_named("grow")
