"""Marking: from the scores of a question's options, or of a document, to what counts."""

import math
from collections.abc import Sequence

from growlm.evaluation.request import Score
from growlm.evaluation.results import ExampleScore
from growlm.evaluation.tasks import Form, Question

LOG_LIKELIHOOD = "log_likelihood_nats"


def marked(form: Form, question: Question, scores: Sequence[Score]) -> ExampleScore:
    """Return what a model makes of a question.

    A last word is right when each of its tokens is the most likely one. Of several options the
    likeliest counts, for ``acc_norm`` by its log-likelihood a character; the first of equals.

    Args:
        form: The task's.
        question: The question.
        scores: One for each of its pairs.
    """
    nats = [each.log_likelihood_nats for each in scores]
    if form == "last-word":
        values = {"acc": float(scores[0].greedy), LOG_LIKELIHOOD: nats[0]}
    else:
        a_character = [one / count for one, count in zip(nats, question.characters, strict=True)]
        values = {
            "acc": float(_first_best(nats) == question.answer),
            "acc_norm": float(_first_best(a_character) == question.answer),
            LOG_LIKELIHOOD: nats[question.answer],
        }
    return ExampleScore(index=question.index, values=values, option_nats=tuple(nats))


def measured(index: int, text: str, scores: Sequence[Score], *, tokens: int) -> ExampleScore:
    """Return what a model makes of a document: of its windows together."""
    return ExampleScore(
        index=index,
        values={
            LOG_LIKELIHOOD: math.fsum(each.log_likelihood_nats for each in scores),
            "bytes": float(len(text.encode())),
            "tokens": float(tokens),
        },
    )


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)
