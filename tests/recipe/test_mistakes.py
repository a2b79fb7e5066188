"""Every mistake that one section can hold, by the words a user reads."""

from collections.abc import Callable

import pytest

from growlm.base.errors import RecipeError
from growlm.recipe.read import parse

Change = tuple[str, str]

LAYERS, LR, KIND = "layers = 2", "peak_lr = 1e-3", 'kind = "cosine"\nwarmup_steps = 10'
SCHEMA = "growlm schema, which lists every key with its meaning"

MISTAKES: list[tuple[Change, str]] = [
    # unknown keys
    (("[tokenizer]", "sede = 2\n[tokenizer]"), "a key of a recipe; got 'sede'. Try seed."),
    (("[average]", "[averages]"), "a key of a recipe; got 'averages'. Try average."),
    (("vocab_size", "vocab"), "a key of tokenizer; got 'vocab'. Try vocab_size."),
    (("weight = 0.5", "wait = 0.5"), "a key of source.code; got 'wait'. Try weight."),
    (("batch", "bach"), "a key of stage.base; got 'bach'. Try batch."),
    (("layers", "layer"), "a key of stage.base.model; got 'layer'. Try layers."),
    (("layers = 4", "layer = 4"), "a key of stage.grown.grow; got 'layer'. Try layers."),
    (("from", "from_"), "a key of stage.grown.grow; got 'from_'. Try from."),
    (("[stage.grow]", "[stage.grw]"), "a key of stage.grown; got 'grw'. Try grow."),
    (
        ("[average]", "[average]\nzebra = 1"),
        "a key of average; got 'zebra'. Try one of checkpoints, last, stages.",
    ),
    (
        (KIND, 'kind = "cosine"\nwarmup = 10'),
        "a key of stage.grown.schedule; got 'warmup'. Try warmup_steps.",
    ),
    (
        ('-decay"\n', '-decay"\nfinal_share = 0.1\n'),
        "a key of stage.base.schedule; got 'final_share'. Try final_lr_share.",
    ),
    (
        ('source = "docs"', 'sources = "docs"'),
        "a key of evaluate.last_word; got 'sources'. Try source.",
    ),
    # wrong types
    ((LAYERS, 'layers = "8"'), 'stage.base.model.layers to be a whole number; got "8". Try 8.'),
    ((LAYERS, "layers = 8.0"), "stage.base.model.layers to be a whole number; got 8.0. Try 8."),
    (
        (LAYERS, "layers = true"),
        f"stage.base.model.layers to be a whole number; got true. Try {SCHEMA}.",
    ),
    (
        (LAYERS, "layers = 2.5"),
        f"stage.base.model.layers to be a whole number; got 2.5. Try {SCHEMA}.",
    ),
    (
        (LR, 'peak_lr = "1e-3"'),
        'stage.base.optimizer.peak_lr to be a number; got "1e-3". Try 0.001.',
    ),
    (
        (LR, 'peak_lr = "high"'),
        f'stage.base.optimizer.peak_lr to be a number; got "high". Try {SCHEMA}.',
    ),
    (
        (LR, "peak_lr = inf"),
        f"stage.base.optimizer.peak_lr to be a finite number; got Infinity. Try {SCHEMA}.",
    ),
    (
        (LAYERS, f"{LAYERS}\ntied = 1"),
        "stage.base.model.tied to be true or false; got 1. Try true.",
    ),
    (('"tiny"', "3"), 'name to be a string; got 3. Try "3".'),
    (('["grown"]', '"grown"'), 'average.stages to be an array; got "grown". Try ["grown"].'),
    (
        ("[average]", "[average]\nlast = {}"),
        f"average.last to be a number; got a table. Try {SCHEMA}.",
    ),
    (
        ("[stage.model]\nlayers = 2\nheads = 2\nwidth = 32", "model = 3"),
        "stage.base.model to be a table; got 3. Try [stage.model].",
    ),
    (
        ("[evaluate.last_word]\nsource", "[evaluate]\nlast_word"),
        'evaluate.last_word to be a table; got "docs". Try [evaluate.last_word].',
    ),
    (
        (LR, f"{LR}\nbetas = [0.9]"),
        "stage.base.optimizer.betas to have 2 entries; got [0.9]. Try adding one.",
    ),
    (
        (LR, f"{LR}\nbetas = [0.9, 0.9, 0.9]"),
        "stage.base.optimizer.betas to have 2 entries; got [0.9, 0.9, 0.9]. Try removing the "
        "others.",
    ),
    (
        (LR, f'{LR}\nbetas = [0.9, "x"]'),
        f'stage.base.optimizer.betas.#2 to be a number; got "x". Try {SCHEMA}.',
    ),
    # values out of range
    (
        (LAYERS, "layers = 0"),
        "stage.base.model.layers to be greater than 0; got 0. Try a larger number.",
    ),
    (
        (LR, f"{LR}\nbetas = [0.9, 1.0]"),
        "stage.base.optimizer.betas.#2 to be less than 1; got 1.0. Try a smaller number.",
    ),
    (
        ("{ code = 1.0 }", "{ code = -1.0 }"),
        "stage.grown.weights.code to be greater than or equal to 0; got -1.0. Try a larger number.",
    ),
    (
        ('"1M"', '"1G"'),
        "stage.base.tokens to be a count such as 4096, 350K, 1.5M or 48B; "
        'got "1G". Try 4096, "350K", "1.5M" or "48B".',
    ),
    (
        ('"1M"', '"1.2345K"'),
        "stage.base.tokens to be a whole number once K, M, B or T is multiplied out; "
        'got "1.2345K". Try 4096, "350K", "1.5M" or "48B".',
    ),
    (
        ('"1M"', '"0M"'),
        'stage.base.tokens to be greater than 0; got "0M". Try a larger number.',
    ),
    (('"1M"', "1e6"), "stage.base.tokens to be a whole number; got 1000000.0. Try 1000000."),
    # choices
    (
        ("layers = 4", 'layers = 4\ndepth = "interleaved"'),
        "stage.grown.grow.depth to be 'interleave', 'stack', 'insert', 'solar', 'middle', "
        "'middle-layerwise', 'append' or 'explicit'; got \"interleaved\". Try interleave.",
    ),
    (
        (LAYERS, f'{LAYERS}\npositions = "rope"'),
        "stage.base.model.positions to be 'alibi', 'learned', 'rotary' or 'none'; "
        'got "rope". Try one of alibi, learned, none, rotary.',
    ),
    (
        ('"cosine"', '"cosin"'),
        "stage.grown.schedule.kind to be one of cosine, linear, warmup-stable-decay, constant, "
        "resume; got 'cosin'. Try cosine.",
    ),
    (
        ('kind = "cosine"\n', ""),
        'stage.grown.schedule.kind; got nothing. Try adding kind = "cosine".',
    ),
    # missing keys and sections
    (('name = "tiny"', ""), "name; got nothing. Try adding name."),
    (('name = "grown"', ""), "stage.#2.name; got nothing. Try adding name."),
    ((LAYERS, ""), "stage.base.model.layers; got nothing. Try adding layers."),
    (
        (KIND, 'kind = "cosine"'),
        "stage.grown.schedule.warmup_steps; got nothing. Try adding warmup_steps.",
    ),
    (
        (f"[stage.optimizer]\n{LR}", ""),
        "stage.base.optimizer; got nothing. Try adding [stage.optimizer].",
    ),
    # names
    (
        ('"grown"', '"Grown up"'),
        "stage.Grown up.name to be lower-case letters, digits, '.', '_' and '-', at most 64; "
        'got "Grown up". Try grown-up.',
    ),
    (
        ('name = "docs"', 'name = "blk"'),
        "source.blk to have a name that the sampler does not use itself; got 'blk'. "
        "Try another name.",
    ),
    (
        ('name = "docs"', 'name = "tokenizer"'),
        "source.tokenizer to have a name that the run's tokenizer does not use itself; "
        "got 'tokenizer'. Try another name.",
    ),
    (
        ('name = "docs"', 'name = "tokenizer.json"'),
        "source.tokenizer.json to have a name that the run's tokenizer does not use itself; "
        "got 'tokenizer.json'. Try another name.",
    ),
    # origins
    (
        ("vocab_size = 512", 'vocab_size = 512\nfile = "t.json"'),
        "tokenizer to have exactly one of vocab_size, file; got vocab_size and file. "
        "Try keeping vocab_size alone.",
    ),
    (
        ("vocab_size = 512", ""),
        "tokenizer to have exactly one of vocab_size, file; got none of them. "
        "Try adding vocab_size.",
    ),
    (
        ("vocab_size = 512", "vocab_size = 256"),
        "tokenizer to have 257 ids or more: the bytes and the end of text; "
        "got vocab_size = 256. Try vocab_size = 257.",
    ),
    (
        ('builtin = "docs"', 'builtin = "docs"\nfiles = ["a.txt"]'),
        "source.docs to have exactly one of builtin, files, shards; got builtin and files. "
        "Try keeping builtin alone.",
    ),
    (
        ("[stage.grow]", "[stage.control]\nof = 'base'\n[stage.grow]"),
        "stage.grown to have exactly one of model, grow, control; got grow and control. "
        "Try keeping grow alone.",
    ),
    (
        ('[stage.grow]\nfrom = "base"\nlayers = 4', ""),
        "stage.grown to have exactly one of model, grow, control; got none of them. "
        "Try adding model.",
    ),
    (
        ("tokens = 500000", ""),
        "stage.grown to say how many tokens it trains on; got nothing. Try adding tokens.",
    ),
    (
        ("[stage.control]", "tokens = 9999\n[stage.control]"),
        "stage.scratch to leave tokens out: a control's compute decides them; "
        "got tokens = 9999. Try removing tokens.",
    ),
    (
        ("[average]", "[mixture]\nblock = 1000\n[average]"),
        "mixture to have a block that is a power of two; got 1000. Try block = 1024.",
    ),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES, ids=[words[:60] for _, words in MISTAKES])
def test_a_mistake_is_told_in_one_line(
    recipe_with: Callable[..., str], change: Change, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(recipe_with(change).encode(), name="tiny.toml")
    assert str(caught.value) == f"tiny.toml: expected {words}"


def test_the_misspelt_key_comes_first_and_the_others_are_counted(
    recipe_with: Callable[..., str],
) -> None:
    text = recipe_with(('"tiny"', "3"), ("width = 32", "widht = 32"), ('"1M"', '"1G"'))
    with pytest.raises(RecipeError) as caught:
        parse(text.encode(), name="tiny.toml")
    # The missing width follows from the misspelt one: it is no fourth mistake.
    assert str(caught.value) == (
        "tiny.toml: expected a key of stage.base.model; "
        "got 'widht' (the first of 3 mistakes). Try width."
    )


def test_an_empty_recipe_misses_four_things() -> None:
    with pytest.raises(
        RecipeError, match=r"expected name; got nothing \(the first of 4 mistakes\)"
    ):
        parse(b"", name="tiny.toml")


def test_a_recipe_without_sources_is_shown_the_header_of_one() -> None:
    text = b'name = "x"\nsource = []\nstage = []\n[tokenizer]\nvocab_size = 512'
    words = r"source to have 1 or more entries; got \[\] \(.*\)\. Try adding \[\[source\]\]\."
    with pytest.raises(RecipeError, match=words):
        parse(text, name="tiny.toml")


def test_a_single_table_where_a_list_belongs_is_shown_its_header() -> None:
    text = b'name = "x"\nstage = []\n[source]\nname = "docs"\n[tokenizer]\nvocab_size = 512'
    with pytest.raises(RecipeError, match=r"source to be an array; got a table .*\[\[source\]\]"):
        parse(text, name="tiny.toml")


def test_a_long_value_is_cut(recipe_with: Callable[..., str]) -> None:
    text = recipe_with(('"tiny"', '"' + "A" * 500 + '"'))
    with pytest.raises(RecipeError) as caught:
        parse(text.encode(), name="tiny.toml")
    assert caught.value.got == '"' + "A" * 56 + "..."
    assert caught.value.fix == "a" * 64
