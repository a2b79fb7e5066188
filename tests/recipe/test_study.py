import pytest

from growlm.base.errors import RecipeError
from growlm.recipe.read import parse

RECIPE = """
name = "x"
tokenizer = { vocab_size = 300 }
source = [{ name = "docs", builtin = "docs", weight = 1.0 }]

[[stage]]
name = "base"
model = { layers = 1, heads = 2, width = 16 }
context = 16
tokens = 512
batch = 128
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "constant", warmup_steps = 1 }

[[stage]]
name = "grown"
grow = { from = "base", layers = 2 }
context = 16
tokens = 512
batch = 128
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "linear", warmup_steps = 1 }

[[stage]]
name = "scratch"
control = { of = "grown" }
context = 16
batch = 128
optimizer = { peak_lr = 1e-2 }
schedule = { kind = "linear", warmup_steps = 1 }

[study]
seeds = [1, 2, 3]
peak_lr = [1e-3, 1e-2, 1e-1]
"""
GRID = '\n[[study.grid]]\nstage = "{stage}"\n{rest}\n'


def refused(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse(text.encode(), name="x.toml")
    return str(caught.value)


def grid(stage: str, rest: str) -> str:
    return RECIPE + GRID.format(stage=stage, rest=rest)


def test_a_study_has_three_horizons_and_charges_two_children_unless_told_otherwise():
    study = parse(RECIPE.encode(), name="x.toml").study
    assert study is not None
    assert (study.compute, study.children, study.continued) == ((0.5, 1.0, 2.0), 2, True)


def test_a_grid_of_learning_rates_asks_for_rates_of_ones_own():
    varied = grid("grown", 'values = { "optimizer.peak_lr" = [1e-3, 3e-3] }')
    assert refused(varied) == (
        'x.toml: expected study.stages_lr = "own" where study.grid varies optimizer.peak_lr; '
        'got "control", which sets it. Try stages_lr = "own".'
    )
    assert parse(varied.replace("[study]", '[study]\nstages_lr = "own"').encode(), name="x.toml")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "[1e-3, 1e-2, 1e-1]",
            "[1e-3, 1e-2]",
            "expected study.peak_lr to have 3 or more entries; got [0.001, 0.01]. Try adding more.",
        ),
        (
            "seeds = [1, 2, 3]",
            "seeds = [1, 2, 1]",
            "expected study.seeds to differ from each other; got 1 twice. Try removing one.",
        ),
        (
            'control = { of = "grown" }',
            "model = { layers = 1, heads = 2, width = 16 }\ntokens = 512",
            "expected one stage with a control in a study, which its compute, peak_lr and schedule "
            'vary; got none. Try a stage with control = { of = "..." }.',
        ),
        (
            "[study]",
            "[study]\nschedule = [\n"
            '  { kind = "warmup-stable-decay", warmup_steps = 1 },\n'
            '  { kind = "warmup-stable-decay", warmup_steps = 1, decay_share = 0.2 },\n]',
            "expected study.schedule to differ from each other; got the same warmup-stable-decay "
            "twice. Try removing one.",
        ),
        (
            "[study]",
            '[study]\nschedule = [{ kind = "linaer", warmup_steps = 1 }]',
            "expected study.schedule.#1.kind to be one of cosine, linear, warmup-stable-decay, "
            "constant, resume; got 'linaer'. Try linear.",
        ),
        (
            "[study]",
            '[study]\nschedule = [{ kind = "linear", warmup_steps = 1, rewarm = { steps = 2 } }]',
            "expected study.schedule.#1.rewarm in a stage that grows: it is for new parameters; "
            "got a stage whose parameters are all new. Try removing rewarm.",
        ),
    ],
)
def test_a_study_that_could_prove_nothing_is_refused(old, new, line):
    assert old in RECIPE
    assert refused(RECIPE.replace(old, new)) == f"x.toml: {line}"


@pytest.mark.parametrize(
    ("stage", "rest", "line"),
    [
        (
            "base",
            "parent_share = [0.1]",
            "expected study.grid.stage to name a stage that grows; got 'base'. Try grown.",
        ),
        (
            "grown",
            "",
            "expected study.grid of 'grown' to vary something; got nothing. Try adding values.",
        ),
        (
            "grown",
            'values = { "grow.from" = ["base"] }',
            "expected study.grid of 'grown' to leave grow.from as it is; "
            'got "grow.from" among its values. Try removing it.',
        ),
        (
            "grown",
            "parent_share = [1.0]",
            "expected study.grid.#1.parent_share.#1 to be less than 1; got 1.0. "
            "Try a smaller number.",
        ),
    ],
)
def test_a_grid_that_leads_nowhere_is_refused(stage, rest, line):
    assert refused(grid(stage, rest)) == f"x.toml: {line}"


def test_a_parent_from_elsewhere_cannot_be_varied():
    text = grid("grown", "parent_share = [0.1]").replace('from = "base"', 'from = "runs/base"')
    assert "expected a parent in the recipe, for study.grid to vary its parent_share" in refused(
        text
    )
