"""What a source's text depends on, so that a step can tell whether it is still the same."""

from typing import Any

from growlm.corpus.clean import CLEAN_VERSION
from growlm.corpus.documents import listing
from growlm.corpus.steps import versions
from growlm.pipeline.plan import Plan
from growlm.recipe.sections import Source


def inputs(source: Source, plan: Plan) -> dict[str, Any]:
    """Return what a source's text depends on; its weight in the mixture is not among it.

    Raises:
        CorpusError: A path matches nothing, or cannot be read.
    """
    return {
        "source": source.model_dump(exclude={"weight", "declared_tokens"}),
        "listing": listing(source, folder=plan.recipe_folder),
        "clean_version": CLEAN_VERSION,
        "cleaned_by": versions(source.clean, language=source.language is not None),
    }
