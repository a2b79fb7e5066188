"""The model card that an export leaves: what checkpoint and run know, and what people wish."""

import pytest
import yaml

from growlm.base.errors import RecipeError
from growlm.pipeline.carding import CARD, Wishes
from growlm.pipeline.converting import export

WISHES = Wishes(license="mit", base_model=None, version="0.1.0")


def exported(checkpoint, out, wishes=WISHES):
    export(checkpoint, out, family=None, context=None, wishes=wishes)
    return (out / CARD).read_text(encoding="utf-8")


def test_a_checkpoint_in_its_run_has_scores_and_sources_on_its_card(finished, tmp_path):
    text = exported(finished / "run/stages/grown/training/final", tmp_path / "tiny-2")
    head = yaml.safe_load(text.split("---")[1])

    assert head["license"] == "mit"
    assert head["model-index"][0]["name"] == "tiny-2"
    assert "`grown` | grown by interleave" in text
    assert "tales, held out" in text
    assert "`notes`" in text


def test_an_average_has_its_own_scores(finished, tmp_path):
    stages = finished / "run/stages/grown"
    assert exported(stages / "average", tmp_path / "a").count("held out") > 0
    assert "No scores of these weights" in exported(stages / "grown", tmp_path / "b")


def test_a_log_of_another_version_is_as_good_as_none(again, tmp_path):
    (again / "run/results.json").write_text("{}")
    text = exported(again / "run/stages/base/training/final", tmp_path / "base")
    assert "does not stand beside the checkpoint" in text


def test_no_card_is_made_where_nobody_wishes_one(finished, tmp_path):
    export(
        finished / "run/stages/base/training/final", tmp_path / "bare", family=None, context=None
    )
    assert not (tmp_path / "bare" / CARD).exists()


def test_a_wish_that_the_hub_would_not_read_is_refused():
    with pytest.raises(RecipeError, match=r"as the Hub spells it; got 'Apache 2\.0'"):
        Wishes(license="Apache 2.0", base_model=None, version="0.1.0")
    with pytest.raises(RecipeError, match="a base model as OWNER/NAME; got 'gpt2'"):
        Wishes(license=None, base_model="gpt2", version="0.1.0")
