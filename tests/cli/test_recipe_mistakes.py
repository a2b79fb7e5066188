"""A recipe that asks for the impossible: refused by its place, before anything is begun."""

import pytest

MISTAKES = [
    (
        ("layers = 1", "layer = 1"),
        "expected a key of stage.base.model; got 'layer'. Try layers.",
    ),
    (
        ('"interleave"', '"interleav"'),
        "expected stage.grown.grow.depth to be 'interleave', 'stack', 'insert', 'solar', 'middle', "
        "'middle-layerwise', 'append' or 'explicit'; got \"interleav\". Try interleave.",
    ),
    (
        ("layers = 2, depth", "layers = 0, depth"),
        "expected stage.grown.grow.layers to be greater than 0; got 0. Try a larger number.",
    ),
    (
        ("heads = 2", "heads = 3"),
        "stage.base: expected width to be a multiple of heads; got width=16, heads=3. "
        "Try width=15.",
    ),
    (
        ('from = "base"', 'from = "bas"'),
        "expected stage.grown.grow.from to name an earlier stage, one of base, or a folder; "
        "got 'bas'. Try base.",
    ),
    (
        ("layers = 1", "layers = 3"),
        "stage.grown: expected a child with at least its parent's layers; got 3 -> 2. "
        "Try layers=6.",
    ),
    (
        ("warmup_steps = 2", "warmup_steps = 8"),
        "stage.base: expected schedule.warmup_steps below the stage's 8 steps; got 8. "
        "Try warmup_steps=1.",
    ),
    (
        ("tokens = 256", "tokens = 31"),
        "expected validation.tokens to hold one window of stage grown; got tokens=31, "
        "context=32. Try tokens=32.",
    ),
    (("[tokenizer]", "[tokenizer"), "tiny.toml: expected TOML; got "),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_a_mistake_is_refused_before_anything_is_begun(refusal, recipe, edit, *, change, words):
    edit(recipe, *change)
    for command in ("check", "run"):
        assert words in refusal(command, recipe, "--out", recipe.parent / "run", code=2)
    assert not (recipe.parent / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("stage.base.tokens", "expected --set to be key=value; got 'stage.base.tokens'. Try --set"),
        ("=1", "expected --set to be key=value; got '=1'. Try --set stage.base.tokens=1M."),
        ("stage.bas.tokens=1M", "to enter a list by the name of an entry; got 'bas'. Try base."),
        ("stage.base.token=1M", "expected a key of stage.base; got 'token'. Try tokens."),
        ("stage.base.tokens=1MM", "expected stage.base.tokens to be a count such as 4096, 350K"),
        ("name.x=1", "to lead through tables; got 'name', which is a value. Try --set name=1."),
    ],
)
def test_a_wrong_change_on_the_command_line_is_refused(refusal, recipe, change, words):
    assert words in refusal("check", recipe, "--set", change, code=2)


def test_a_recipe_that_is_not_there_or_is_a_folder_is_refused(refusal, tmp_path):
    line = refusal("run", tmp_path / "none.toml")
    assert line.startswith("expected a file that is there; got 'No such file or directory' at ")
    assert line.endswith("none.toml. Try the right path.")
    assert refusal("check", tmp_path).startswith("expected a file; got 'Is a directory' at ")


def test_a_stage_that_is_not_in_the_recipe_is_refused_by_the_nearest_name(refusal, recipe):
    run = recipe.parent / "run"
    assert refusal("train", recipe, "--out", run, "--stage", "growm", code=2) == (
        "expected a stage of the recipe, one of base, grown, scratch; got 'growm'. Try grown."
    )
    assert not run.exists()


def test_a_source_read_too_often_is_refused(refusal, recipe, setting):
    changes = setting("mixture.max_epochs=0.01", "source.tales.weight=0.0")
    assert refusal("check", recipe, *changes, code=2) == (
        "expected source 'notes' read at most 0.01 times (mixture.max_epochs); got 0.2 epochs at "
        "the end of stage 'base'. Try a lower weight for it, or max_epochs = 1."
    )


def test_a_parent_outside_the_recipe_that_is_none_is_refused(refusal, recipe, edit):
    edit(recipe, 'from = "base"', 'from = "./nowhere"')
    line = refusal("check", recipe)
    assert "a checkpoint's folder, with checkpoint.json in it; got" in line
    assert "nowhere. Try a folder under runs/*/stages." in line


def test_a_parent_outside_the_recipe_must_share_its_tokenizer(
    *, refusal, finished, recipe, edit, setting
):
    final = finished / "run/stages/base/training/final"
    edit(recipe, 'from = "base"', f'from = "{final}"')
    words = ("run", recipe, "--out", recipe.parent / "run", "--quiet")
    fix = f'Try tokenizer.file = "{final}/tokenizer.json".'

    other_size = setting("tokenizer.vocab_size=310")
    assert refusal(*words, *other_size, code=2) == (
        "stage.grown: expected the parent's tokenizer, of 300 tokens, or a file with more behind "
        "them; got a tokenizer of 310. " + fix
    )
    other_text = setting("tokenizer.train_documents=9")
    assert refusal(*words, *other_text) == (
        "expected stage.grown to read its text with the tokenizer of its parent "
        f"{final}; got another tokenizer of the same size. {fix}"
    )
    assert not (recipe.parent / "run/stages").exists()


def test_a_loss_that_is_not_finite_ends_the_run_and_a_mended_recipe_goes_on(
    growlm, refusal, recipe, setting
):
    run = recipe.parent / "run"
    words = ("train", recipe, "--out", run, "--stage", "base", "--quiet")
    wild = setting(
        "stage.base.optimizer.peak_lr=1e38",
        "stage.base.optimizer.clip_norm=1e38",
        "stage.base.checkpoint_every=1024",
    )
    line = refusal(*words, *wild)
    assert line.startswith("expected a finite loss and gradient; got ")
    assert "Try a lower peak_lr or a longer warm-up; earlier checkpoints are kept." in line
    assert not (run / "stages/base/training/final").exists()
    assert growlm(*words).returncode == 0
