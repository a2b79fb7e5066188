"""Turns: what a paper asks, scored chunk by chunk, a chunk for each rank at a time."""

import json
from collections.abc import Iterator, Sequence

import torch

from growlm.base.errors import EvaluationError, GrowlmError
from growlm.evaluation.results import ExampleScore, TaskScore
from growlm.evaluation.sheet import as_values, from_values
from growlm.evaluation.sitting import CHUNK_CHARACTERS, Document, Sitting, characters, chunks_of
from growlm.evaluation.tasks import FORMS, Question
from growlm.pipeline.events import Event, Notice
from growlm.pipeline.papers import Paper
from growlm.training.parallel import World


def chunks(paper: Paper) -> list[tuple[int, ...]]:
    """Return the numbers of a paper's items in chunks, which are the same however many ranks."""
    return chunks_of([characters(item) for item in paper.items], most=CHUNK_CHARACTERS)


def turns(
    paper: Paper, sitting: Sitting, todo: Sequence[Sequence[int]], world: World
) -> Iterator[list[ExampleScore]]:
    """Yield the scores of chunks, of as many at a time as there are ranks; all ranks get them all.

    Args:
        paper: What is asked.
        sitting: Who is asked, and how.
        todo: Chunks of its items, the same ones on every rank.
        world: The ranks.

    Raises:
        EvaluationError: A score cannot be computed.
    """
    for start in range(0, len(todo), world.size):
        turn = todo[start : start + world.size]
        mine = turn[world.rank] if world.rank < len(turn) else ()
        yield gathered(_scored(paper, mine, sitting), world)


def scored(paper: Paper, sitting: Sitting, world: World) -> TaskScore:
    """Return what a paper comes to, on every rank.

    Raises:
        EvaluationError: A score cannot be computed.
    """
    found = [each for turn in turns(paper, sitting, chunks(paper), world) for each in turn]
    found.sort(key=lambda each: each.index)
    return TaskScore(task=paper.name, examples=tuple(found))


def told(paper: Paper, *, end_of_text: str) -> Iterator[Event]:
    """Yield what is odd about a paper.

    Args:
        paper: The paper.
        end_of_text: How the model that is asked spells it.
    """
    texts = [each.text for each in paper.items if isinstance(each, Document)]
    spelt = sum(text.count(end_of_text) for text in texts)
    if spelt:
        yield Notice(
            text=f"{paper.name}: its texts spell '{end_of_text}' {spelt} times, which is "
            "read as that token"
        )
    empty = sum(not text for text in texts)
    if empty:
        yield Notice(text=f"{paper.name}: {empty} of {len(texts)} documents are empty: they add 0")


def gathered(mine: Sequence[ExampleScore], world: World) -> list[ExampleScore]:
    """Return the scores of all ranks, in the order of the ranks."""
    if world.size == 1:
        return list(mine)
    content = json.dumps([as_values(each) for each in mine]).encode()
    size = world.largest(len(content))
    padded = torch.frombuffer(bytearray(content.ljust(size)), dtype=torch.uint8)
    parts = [each.numpy().tobytes() for each in world.each(padded)]
    return [from_values(values) for part in parts for values in json.loads(part)]


def _scored(paper: Paper, numbers: Sequence[int], sitting: Sitting) -> list[ExampleScore]:
    items = [paper.items[number] for number in numbers]
    if not items:
        return []
    try:
        if paper.form not in FORMS:
            return sitting.documents([each for each in items if isinstance(each, Document)])
        form = FORMS[FORMS.index(paper.form)]
        return sitting.questions(form, [each for each in items if isinstance(each, Question)])
    except EvaluationError as error:
        raise _of_paper(paper, error) from error


def _of_paper(paper: Paper, error: GrowlmError) -> EvaluationError:
    return EvaluationError(error.expected, got=error.got, fix=error.fix, where=paper.name)
