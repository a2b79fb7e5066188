"""The command line: finds the command, runs it, and turns mistakes into one line."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from growlm.base.errors import GrowlmError, nearest
from growlm.base.version import VERSION

COMMANDS = {
    "run": "carry out a whole recipe: prepare, train, grow, average, evaluate, log",
    "demo": "run recipes/demo.toml on text that every Python carries",
    "check": "read a recipe, validate all of it, and print what it will do and cost",
    "prepare": "turn a recipe's sources into a tokenizer, shards and held-out texts",
    "train": "train one stage of a recipe, and what it grows from",
    "grow": "make a child checkpoint, and its certificate, from a parent",
    "average": "average checkpoints of one stage",
    "evaluate": "score checkpoints on held-out documents",
    "log": "write a run's training log",
    "import": "make a checkpoint of a Hugging Face folder",
    "export": "make a Hugging Face folder of a checkpoint",
    "inspect": "print what a checkpoint records of itself",
    "schema": "print the recipe's JSON Schema",
}
"""Every command; its module is loaded when it is called, and not before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 1 or 2 after a mistake."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _dispatch(words)
    except GrowlmError as error:
        print(f"growlm: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("growlm: interrupted; what was whole before is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    if words[0] in {"-V", "--version"}:
        print(f"growlm {VERSION}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        print(f"growlm: a command; got '{name}'. Try {nearest(name, COMMANDS)}.", file=sys.stderr)
        return 2
    command = import_module(f"growlm.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"growlm {name}", description=COMMANDS[name].capitalize())
    command.add_arguments(parser)
    return int(command.run(parser.parse_args(words[1:])))


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
