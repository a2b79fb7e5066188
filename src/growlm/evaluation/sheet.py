"""Score sheets: a line for each example under a line that says of what, when read again a cache."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from growlm.base.errors import EvaluationError
from growlm.base.files import digest_of, storage
from growlm.evaluation.results import ExampleScore, TaskScore

FORMAT = 1

NAME_DIGITS = 16
"""Digits of a heading's digest in the name of its file."""

OPTIONS = "option_nats"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What scores are of: with all of this the same, they are the same."""

    task: str
    version: str
    """Of the task."""
    asked: str
    """Digest of how rows are asked."""
    data_sha256: str
    rows: int
    """Rows that are scored."""
    limit: int | None
    """Rows that were allowed; None for all."""
    context: int
    """Tokens the model reads at most."""
    overlap: int
    """Tokens that windows over documents read again."""
    dtype: str
    """Of the weights and what is computed with them; logits are in fp32 at least."""
    batch_tokens: int
    prefix: int
    """The token before a text without context."""
    tokenizer_sha256: str
    weights_sha256: str
    code: str
    """Version of growlm, digest of the modules that score, version of torch."""

    @property
    def digest(self) -> str:
        """Identity of all of it."""
        return digest_of(asdict(self))


class Sheet:
    """The file of a heading's scores; what was scored before an interruption stays.

    Args:
        folder: Where sheets lie.
        heading: What this one is of; the file's name is the task's and its digest's.
    """

    def __init__(self, folder: Path, heading: Heading) -> None:
        self.heading = heading
        self.path = folder / f"{heading.task}-{heading.digest[:NAME_DIGITS]}.jsonl"
        self.found: dict[int, ExampleScore] = {}

    def open(self) -> None:
        """Read what there is; half a line, which a kill left, is cut off.

        Raises:
            EvaluationError: The file is another one's.
            StorageError: It cannot be read or written.
        """
        with storage(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            whole = _line({"scores": FORMAT, **asdict(self.heading)})
        if whole != content:
            with storage(self.path):
                self.path.write_bytes(whole)
        heading, self.found = _parsed(self.path, whole)
        if heading != self.heading:
            raise EvaluationError(
                f"{self.path} to be of what its name says",
                got="the scores of something else",
                fix="removing it, or another --out",
            )

    def add(self, examples: Iterable[ExampleScore]) -> None:
        """Write scores that the sheet does not have yet.

        Raises:
            StorageError: The disk refused.
        """
        new = [each for each in examples if each.index not in self.found]
        with storage(self.path), self.path.open("ab") as file:
            file.write(b"".join(_line(as_values(each)) for each in new))
        self.found |= {each.index: each for each in new}

    def score(self) -> TaskScore:
        """Return what it came to, once all is scored.

        Raises:
            EvaluationError: Examples are missing.
        """
        return _whole(self.path, self.heading, self.found)


def read_sheet(path: Path) -> tuple[Heading, TaskScore]:
    """Read a finished sheet.

    Raises:
        EvaluationError: It is none, or examples are missing.
        StorageError: It cannot be read.
    """
    with storage(path):
        content = path.read_bytes()
    heading, found = _parsed(path, content)
    return heading, _whole(path, heading, found)


def as_values(example: ExampleScore) -> dict[str, Any]:
    """Return an example's score as its line has it."""
    options = {OPTIONS: list(example.option_nats)} if example.option_nats else {}
    return {"index": example.index, **example.values, **options}


def from_values(values: Mapping[str, Any]) -> ExampleScore:
    """Return the example that ``as_values`` gave."""
    named = {key: float(values[key]) for key in values if key not in {"index", OPTIONS}}
    options = tuple(float(each) for each in values.get(OPTIONS, ()))
    return ExampleScore(index=values["index"], values=named, option_nats=options)


def _parsed(path: Path, content: bytes) -> tuple[Heading, dict[int, ExampleScore]]:
    try:
        first, *rest = [json.loads(line) for line in content.splitlines()]
        if first.pop("scores") != FORMAT:
            raise ValueError
        heading = Heading(**cast(dict[str, Any], first))
        found = {each["index"]: from_values(each) for each in rest}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{path} to be a score sheet of format {FORMAT}",
            got="something else",
            fix="removing it, or another --out",
        ) from error
    return heading, found


def _whole(path: Path, heading: Heading, found: Mapping[int, ExampleScore]) -> TaskScore:
    if len(found) != heading.rows:
        raise EvaluationError(
            f"the scores of {heading.rows:,} examples in {path}",
            got=f"{len(found):,}",
            fix="the same evaluation again: it goes on from there",
        )
    return TaskScore(task=heading.task, examples=tuple(found[key] for key in sorted(found)))


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"
