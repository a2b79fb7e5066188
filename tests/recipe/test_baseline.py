"""Other models in a recipe: numbers with a source, accuracies as shares, or a checkpoint."""

import pytest
from pydantic import ValidationError

from growlm.recipe.baseline import Baseline

PYTHIA = {
    "name": "Pythia 410M",
    "source": "EleutherAI/pythia, evaluations of v0",
    "scores": {"lambada_openai": {"acc": 0.502, "perplexity": 11.7}, "piqa": {"acc": 0.665}},
}


def test_a_baseline_is_numbers_with_a_source() -> None:
    found = Baseline.model_validate(PYTHIA)
    assert found.scores["lambada_openai"]["perplexity"] == 11.7
    assert found.documents is found.context is None


def test_an_accuracy_in_percent_is_refused_with_the_share() -> None:
    percent = {**PYTHIA, "scores": {"piqa": {"acc": 66.5}}}
    with pytest.raises(ValidationError, match="accuracies as shares from 0 to 1") as caught:
        Baseline.model_validate(percent)
    found = caught.value.errors()[0].get("ctx", {})
    assert (found["got"], found["fix"]) == ("piqa.acc = 66.5", "0.665")


def test_a_baseline_without_numbers_is_refused() -> None:
    with pytest.raises(ValidationError, match="to have scores, or bits_per_byte"):
        Baseline.model_validate({**PYTHIA, "scores": {}})


def test_a_metric_that_no_table_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="acc_norm"):
        Baseline.model_validate({**PYTHIA, "scores": {"piqa": {"accuracy": 0.6}}})


def test_a_checkpoint_needs_no_numbers() -> None:
    found = Baseline.model_validate({"name": "GPT2-M (ours)", "checkpoint": "../gpt2-m"})
    assert (found.source, found.scores, found.folder) == (None, {}, "gpt2-m-ours")


@pytest.mark.parametrize(
    ("given", "said", "fix"),
    [
        ({**PYTHIA, "checkpoint": "x"}, "checkpoint beside source", "removing source"),
        (
            {"name": "a", "checkpoint": "x", "documents": 9},
            "beside documents",
            "removing documents",
        ),
        ({"name": "a", "scores": PYTHIA["scores"]}, "neither", "adding source"),
    ],
)
def test_numbers_have_a_source_and_a_checkpoint_has_no_numbers(
    given: dict[str, object], said: str, fix: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Baseline.model_validate(given)
    found = caught.value.errors()[0].get("ctx", {})
    assert said in found["got"]
    assert found["fix"] == fix
