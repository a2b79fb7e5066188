"""The recipe's JSON Schema, for editors."""

import json

from growlm.recipe.experiment import Experiment


def schema() -> str:
    """Return the schema as indented JSON; every field carries its doc."""
    return json.dumps(Experiment.model_json_schema(), indent=2, ensure_ascii=False)
