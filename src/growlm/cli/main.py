"""The command line: finds the command, runs it, and turns mistakes into one line."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from growlm.base.errors import GrowlmError, RecipeError, Stopped, nearest
from growlm.base.version import VERSION

COMMANDS = {
    "run": "carry out a whole recipe: prepare, train, grow, average, evaluate, log",
    "demo": "run recipes/demo.toml on text that every Python carries",
    "new": "write a recipe with comments, from flags or the answers to a few questions",
    "study": "carry out a recipe's study: a grid of runs that asks what growing saves",
    "check": "read a recipe, validate all of it, and print what it will do and cost",
    "plan": "say whether a recipe fits its devices, what would help, how long, how much",
    "prepare": "turn a recipe's sources into a tokenizer, shards and held-out texts",
    "overlap": "say which benchmark examples stand in which texts, and how much of each",
    "exposure": "say which benchmark examples a checkpoint was trained on, and when",
    "train": "train one stage of a recipe, and what it grows from",
    "advise": "say whether a parent is worth growing, how, and what that must win by",
    "grow": "make a child, and its certificate, of a checkpoint or Hugging Face folder",
    "certify": "compare a child with its parent, and prove its certificate anew",
    "shrink": "take an exact growth back: from the child to its parent",
    "average": "average checkpoints of one stage",
    "evaluate": "score checkpoints on held-out documents",
    "generate": "write prompts on with a checkpoint or a Hugging Face folder",
    "play": "open a page on this machine where checkpoints write side by side",
    "watch": "show how runs in progress stand",
    "log": "write a run's training log",
    "import": "make a checkpoint of a Hugging Face folder",
    "export": "make a Hugging Face folder of a checkpoint",
    "inspect": "print what a checkpoint records of itself",
    "schema": "print the recipe's JSON Schema",
    "completion": "print a script that completes commands and options, for bash, zsh or fish",
    "doctor": "say what this machine has, and what to do for what it lacks",
}
"""Every command; its module is loaded when it is called, and not before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 1 or 2 after a mistake."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except SystemExit as done:  # --help
        return int(done.code or 0)
    except BrokenPipeError:
        _forget_output()
        return 1
    except (GrowlmError, KeyboardInterrupt, OSError) as error:
        told = _told(error)
        print(f"growlm: {told}", file=sys.stderr)
        return told.exit_code
    return code


def _told(error: BaseException) -> GrowlmError:
    """Return what ended a command as what the user is told."""
    if isinstance(error, GrowlmError):
        return error
    if isinstance(error, OSError):
        from growlm.base.files import storage_error  # here: --help does without

        return storage_error(error, Path("standard output"))
    kept = "what was whole before is kept"
    return Stopped(signal.SIGINT, saved=kept, fix="the same command again")


def _forget_output() -> None:
    """Drop what the reader of a closed pipe did not want, so that Python's exit does not retry."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _check_encoding(words: Sequence[str]) -> None:
    """Refuse names that no recipe, record or log could hold."""
    for word in (*words, str(Path.cwd())):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise RecipeError("names in UTF-8", got=ascii(word), fix="renaming it") from None


def _dispatch(words: list[str]) -> int:
    _check_encoding(words)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    if words[0] in {"-V", "--version"}:
        print(f"growlm {VERSION}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        raise RecipeError("a command of growlm", got=f"'{name}'", fix=nearest(name, COMMANDS))
    from growlm.base.memory import settle_allocator  # here: --help does without
    from growlm.cli.parser import command

    settle_allocator(os.environ)  # here, before torch can wake
    module, parser = command(name, meaning=sentence(COMMANDS[name]))
    return int(module.run(parser.read(words[1:])))


def sentence(meaning: str) -> str:
    """Return a command's meaning as a sentence.

    >>> sentence("run what Python carries")
    'Run what Python carries.'
    """
    return f"{meaning[0].upper()}{meaning[1:]}."


def _overview() -> str:
    lines = [f"  {name:<10} {meaning}" for name, meaning in COMMANDS.items()]
    return "\n".join(
        [
            "Grow bigger GPTs from the ones you already trained.",
            "",
            "usage: growlm COMMAND ...      (growlm COMMAND --help for its options)",
            "",
            *lines,
        ]
    )
