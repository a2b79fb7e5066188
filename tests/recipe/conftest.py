"""A compact recipe with every kind of section, and a way to misspell it."""

from collections.abc import Callable

import pytest

from growlm.recipe.experiment import Experiment
from growlm.recipe.read import parse

RECIPE = """
name = "tiny"

[tokenizer]
vocab_size = 512

[[source]]
name = "docs"
builtin = "docs"
weight = 1.0

[[source]]
name = "code"
builtin = "code"
weight = 0.5

[[stage]]
name = "base"
context = 64
tokens = "1M"
batch = 4096
[stage.model]
layers = 2
heads = 2
width = 32
[stage.optimizer]
peak_lr = 1e-3
[stage.schedule]
kind = "warmup-stable-decay"
warmup_steps = 10

[[stage]]
name = "grown"
context = 128
tokens = 500000
batch = 4096
weights = { code = 1.0 }
[stage.grow]
from = "base"
layers = 4
[stage.optimizer]
peak_lr = 1e-3
[stage.schedule]
kind = "cosine"
warmup_steps = 10

[[stage]]
name = "scratch"
context = 128
batch = 4096
[stage.control]
of = "grown"
[stage.optimizer]
peak_lr = 1e-3
[stage.schedule]
kind = "cosine"
warmup_steps = 20

[average]
stages = ["grown"]

[evaluate.last_word]
source = "docs"
"""


def changed(*changes: tuple[str, str]) -> str:
    text = RECIPE
    for old, new in changes:
        assert old in text, f"the recipe has no {old!r} to change"
        text = text.replace(old, new, 1)
    return text


@pytest.fixture
def recipe_with() -> Callable[..., str]:
    """Return a factory: pairs of old and new text -> the recipe with each pair replaced once."""
    return changed


@pytest.fixture
def experiment_with() -> Callable[..., Experiment]:
    """Return a factory: pairs of old and new text -> the experiment."""
    return lambda *changes: parse(changed(*changes).encode(), name="tiny.toml")
