"""Reading a recipe: TOML in, one validated experiment out, or one clear line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from growlm.base.errors import RecipeError, StorageError
from growlm.recipe.optimizer import Cosine, WarmupStableDecay
from growlm.recipe.read import parse, read


def test_a_recipe_is_read_from_a_file(tmp_path: Path, recipe_with: Callable[..., str]) -> None:
    (tmp_path / "tiny.toml").write_text(recipe_with(), encoding="utf-8")
    experiment = read(tmp_path / "tiny.toml")
    base, grown, scratch = experiment.stage
    assert base.tokens == 1_000_000
    assert base.model is not None
    assert (base.model.layers, base.model.positions, base.model.kv_heads) == (2, "alibi", None)
    assert base.schedule == WarmupStableDecay(
        kind="warmup-stable-decay", warmup_steps=10, decay_share=0.2, final_lr_share=0.0
    )
    assert grown.grow is not None
    assert (grown.grow.from_, grown.grow.layers, grown.grow.depth) == ("base", 4, "insert")
    assert grown.weights == {"code": 1.0}
    assert scratch.control is not None
    assert scratch.tokens is None
    assert scratch.schedule == Cosine(kind="cosine", warmup_steps=20, final_lr_share=0.1)
    assert [source.weight for source in experiment.source] == [1.0, 0.5]


def test_overrides_change_the_recipe_before_it_is_checked(
    tmp_path: Path, recipe_with: Callable[..., str]
) -> None:
    (tmp_path / "tiny.toml").write_text(recipe_with(), encoding="utf-8")
    assignments = ["stage.base.tokens=2M", "seed=7", "evaluate.context_multiples=[1, 3]"]
    experiment = read(tmp_path / "tiny.toml", assignments)
    assert experiment.stage_named("base").tokens == 2_000_000
    assert experiment.seed == 7
    assert experiment.evaluate.context_multiples == (1, 3)
    with pytest.raises(RecipeError, match=r"stage\.base\.tokens to be a count .*got \"1G\""):
        read(tmp_path / "tiny.toml", ["stage.base.tokens=1G"])


def test_a_log_without_a_title_is_named_after_the_recipe(
    recipe_with: Callable[..., str],
) -> None:
    assert parse(recipe_with().encode(), name="-").log.title == "tiny: training log"
    titled = recipe_with(("[average]", '[log]\ntitle = "Mine"\n[average]'))
    assert parse(titled.encode(), name="-").log.title == "Mine"


def test_a_missing_file_is_one_line_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a file that is there; .* at .*none\.toml\. Try the"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"seed = \n", r"bad\.toml: expected TOML; got Invalid value \(at line 1, column 8\)"),
        (b"a = 1\na = 2", r"bad\.toml: expected TOML; got Cannot overwrite a value"),
        (b"\xff\xfe", r"bad\.toml: expected TOML; got 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        read(tmp_path / "bad.toml")


def test_a_date_is_refused_and_not_taken_for_a_string(recipe_with: Callable[..., str]) -> None:
    dated = recipe_with(('name = "tiny"', "name = 2024-01-31"))
    with pytest.raises(RecipeError, match=r'got 2024-01-31\. Try quotes: "2024-01-31"\.'):
        parse(dated.encode(), name="tiny.toml")


def test_a_mistake_between_sections_names_the_file(recipe_with: Callable[..., str]) -> None:
    orphan = recipe_with(('from = "base"', 'from = "bas"'))
    with pytest.raises(RecipeError, match=r"^recipes/x\.toml: expected stage\.grown\.grow\.from"):
        parse(orphan.encode(), name="recipes/x.toml")


RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("name", ["replica", "replica-gpu"])
@pytest.mark.parametrize("model", ["580m", "760m", "1.1b"])
def test_the_replicas_keep_the_published_ratios(name: str, model: str) -> None:
    def both(recipe: str, stage: str) -> tuple[list[float], list[float]]:
        """Return what a model has, as multiples of what its base has."""
        base, own = (
            figures(RECIPES / f"{recipe.format(each)}.toml", stage.format(each))
            for each in ("580m", model)
        )
        return [one / other for one, other in zip(own[:4], base[:4], strict=True)], own[4:]

    multiples, warmup = both(name, "like-{}")
    published, published_warmup = both("gpt-{}", "gpt-{}")
    assert multiples == pytest.approx(published, rel=0.01)
    assert warmup == pytest.approx(published_warmup, rel=0.02)


def figures(path: Path, name: str) -> list[float]:
    """Return a stage's layers, tokens, context and learning rate, and its share of warm-up."""
    experiment = read(path)
    stage = experiment.stage_named(name)
    assert stage.tokens is not None
    sizes = stage.model or stage.grow
    assert sizes is not None
    assert sizes.layers is not None
    warmup = getattr(stage.schedule, "warmup_steps", 0) * stage.batch / stage.tokens
    return [sizes.layers, stage.tokens, stage.context, stage.optimizer.peak_lr, warmup]
