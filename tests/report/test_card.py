from dataclasses import replace

import pytest
import yaml as reference

from growlm.report.card import Card, Stretch, card, data_sets, metadata, yaml
from growlm.report.frozen import MeanView
from growlm.report.view import TaskView

TASK = TaskView(
    task="lambada_openai",
    scores={
        "acc": MeanView(value=0.5, stderr=0.01, count=5_153),
        "log_likelihood_nats": MeanView(value=-2.0, stderr=0.03, count=5_153),
    },
)


@pytest.fixture
def facts(run):
    grown = run.stages[1]
    score = grown.evaluations[0].model_copy(update={"tasks": (TASK,)})
    return Card(
        name="grown-6",
        license="apache-2.0",
        base_model=None,
        architecture="MptForCausalLM",
        parameters=grown.parameters,
        context=256,
        trained_flops=grown.flops_before + grown.flops,
        lineage=(
            Stretch(stage="base", origin="scratch", layers=3, tokens=run.stages[0].tokens),
            Stretch(stage="grown", origin="grown by interleave", layers=6, tokens=grown.tokens),
        ),
        weights_sha256="ab" * 32,
        version="0.1.0",
        run=run,
        stage=grown,
        evaluations=(score,),
    )


def head(facts):
    return reference.safe_load(metadata(facts))


def test_the_hub_reads_license_tags_and_every_score(facts):
    found = head(facts)
    (model,) = found["model-index"]
    results = {entry["dataset"]["name"]: entry["metrics"] for entry in model["results"]}

    assert found["license"] == "apache-2.0"
    assert found["tags"] == ["growlm", "grown"]
    assert "base_model" not in found
    assert found["metrics"] == ["accuracy", "bits_per_byte", "perplexity"]
    assert {each["type"]: each["value"] for each in results["lambada_openai"]} == {
        "accuracy": 0.5,
        "perplexity": pytest.approx(7.38906),
    }
    assert set(results) == {"lambada_openai", "docs, held out", "code, held out"}


def test_data_sets_of_the_hub_are_named_where_they_were_read(facts, run):
    origin = "hf://datasets/allenai/c4@1588ec4?split=train"
    docs, code = run.sources
    sources = (docs.model_copy(update={"origin": origin}), code)
    named = replace(facts, run=run.model_copy(update={"sources": sources}))

    assert data_sets(named) == ["allenai/c4"]
    assert head(named)["datasets"] == ["allenai/c4"]
    unread = facts.stage.model_copy(update={"source_epochs": {"code": 1.0}})
    assert data_sets(replace(named, stage=unread)) == []


def test_the_card_tells_lineage_text_scores_and_what_is_not_shown(facts):
    text = card(facts)

    assert "| `grown` | grown by interleave | 6 | 8.192M |" in text
    assert "| lambada\\_openai | acc | 256 | 0.5000 \u00b1 0.0100 |" in text
    assert "| `docs` |" in text
    assert "**What chance does:**" in text
    assert text.count("---\n") >= 2
    assert text.startswith("---\n")


def test_a_model_whose_run_is_not_there_still_has_a_card(facts):
    bare = replace(facts, run=None, stage=None, evaluations=(), license=None, base_model="a/b")
    text = card(bare)

    assert "No scores of these weights" in text
    assert "does not stand beside the checkpoint" in text
    assert head(bare) == {
        "base_model": "a/b",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["growlm", "grown"],
    }


@pytest.mark.parametrize(
    "value",
    [
        {"a": [{"b": 1, "c": ["x", {"d": 1.5}]}, "no"], "e": {"f": {"g": "1e3"}}},
        {"large": 1e17, "small": 1e-5, "text": 'a "quoted": #word', "none": None, "flag": True},
        {"nested": [[1, 2], [3]]},
    ],
)
def test_what_is_written_reads_back_as_it_was(value):
    assert reference.safe_load("\n".join(yaml(value))) == value


def test_what_an_imported_model_took_to_train_is_not_called_nothing(facts):
    imported = Stretch(stage="pythia", origin="imported from GPT-NeoX", layers=3, tokens=0)
    text = card(replace(facts, lineage=(imported, facts.lineage[1])))

    assert "| `pythia` | imported from GPT-NeoX | 3 | not known |" in text
    assert "training FLOPs in all, beside those of the imported model, which are not known." in text
    assert "training FLOPs in all." in card(facts)
