"""The errors a user can meet: each says what was expected, what was got, what to try.

* GrowlmError             exit 1
  + RecipeError           exit 2: the recipe or the command line asks for the impossible
  + CorpusError           a source, a tokenizer, or a shard
  + CheckpointError       a checkpoint that is missing, damaged, or of another shape
  + GrowthError           an operator that cannot grow this parent, or broke its claim
  + TrainingError         a loss or a machine that gave way
  + EvaluationError       a score that cannot be computed
  + FolderError           a run folder that is busy or belongs to another recipe
  + StorageError          a disk that is full, read-only, or out of reach
  + SafetyError           exit 5: a check of the checks failed, so that nothing they say counts
  + Stopped               exit 75, 130 or 128 + signal: somebody asked the run to stop
"""

from collections.abc import Iterable
from difflib import get_close_matches
from signal import SIGINT


class GrowlmError(Exception):
    """A mistake the user can mend, told in one line.

    >>> print(GrowlmError("heads to divide width", got="3", fix="4", where="tiny.toml"))
    tiny.toml: expected heads to divide width; got 3. Try 4.

    Args:
        expected: What would have been right, as what follows the word "expected".
        got: What was there instead.
        fix: The next thing to try: a value, or what to do ("adding ...", "another ...").
        where: The file or the part that the line begins with, if it helps.
    """

    exit_code = 1

    def __init__(self, expected: str, *, got: str, fix: str, where: str | None = None) -> None:
        place = f"{where}: " if where else ""
        super().__init__(f"{place}expected {expected}; got {got}. Try {fix}.")
        self.where = where
        self.expected = expected
        self.got = got
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        """Let an error cross from a worker's process to its parent's, whatever made it."""
        return type(self).__new__, (type(self), *self.args), vars(self)


class RecipeError(GrowlmError):
    """The recipe or the command line asks for something that cannot be."""

    exit_code = 2


class CorpusError(GrowlmError):
    """A source, a tokenizer, or a shard is not what it should be."""


class CheckpointError(GrowlmError):
    """A checkpoint is missing, damaged, or of another shape."""


class GrowthError(GrowlmError):
    """An operator cannot grow this parent, or broke what it claims."""


class TrainingError(GrowlmError):
    """Training cannot go on."""


class EvaluationError(GrowlmError):
    """A score cannot be computed."""


class FolderError(GrowlmError):
    """A run folder is busy, or belongs to another recipe."""


class StorageError(GrowlmError):
    """A disk is full, read-only, or out of reach."""


class SafetyError(GrowlmError):
    """A check that watches another one failed: what that one says cannot be trusted."""

    exit_code = 5


PREEMPTED = 75
"""Exit code of what stopped in order before its end, and goes on when it is started again.

It is ``EX_TEMPFAIL`` of BSD's sysexits: no failure, try again later.
"""


class Stopped(GrowlmError):  # noqa: N818 - nobody made an error
    """A run that was asked to stop, and did so where it can go on.

    Args:
        signal_number: The signal that asked; None when its time was up.
        saved: What was kept, as a clause.
        fix: The command that goes on.
        at_once: Whether what was under way was left as it was.
    """

    def __init__(
        self, signal_number: int | None, *, saved: str, fix: str, at_once: bool = False
    ) -> None:
        asked = "the end of its time" if signal_number is None else f"signal {signal_number}"
        super().__init__("the run to end", got=f"{asked}; {saved}", fix=fix)
        self.at_once = at_once
        self.signal_number = signal_number
        told = at_once or signal_number == SIGINT  # shells stop a script at Ctrl-C by its code
        self.exit_code = 128 + signal_number if signal_number and told else PREEMPTED


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name closest to a misspelt one, or the list of them all.

    >>> nearest("layer", ["layers", "heads"])
    'layers'
    >>> nearest("zebra", ["layers", "heads"])
    'one of heads, layers'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close or len(names) == 1:
        return (close or names)[0]
    return "one of " + ", ".join(names)
