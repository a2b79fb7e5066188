"""Reading a command's words: argparse, whose complaints become one line of ours."""

import argparse
import math
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import takewhile
from typing import Any, NoReturn

from growlm.base.errors import RecipeError, nearest
from growlm.base.units import parse_count, parse_seconds

_MISSING = "the following arguments are required: "


class Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong, and takes no option by half its name."""

    def __init__(self, command: str, *, description: str) -> None:
        super().__init__(prog=f"growlm {command}", description=description, allow_abbrev=False)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return what a command was told.

        Raises:
            RecipeError: Something is missing, unknown, or not of its kind.
        """
        for word in takewhile(lambda word: word != "--", words):
            self._check_option(word)
        told, left = self.parse_known_args(list(words))
        if left:
            raise RecipeError(self._shape(), got=f"'{left[0]}' too much", fix="leaving it out")
        return told

    @property
    def options(self) -> list[str]:
        """Every option that it takes."""
        return list(self._option_string_actions)

    @property
    def arguments(self) -> list[tuple[str, str]]:
        """Everything that it takes, as it is written, and what it means."""
        return [(_written(each), each.help or "") for each in self._actions if each.dest != "help"]

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint."""
        missing = message.removeprefix(_MISSING)
        got = f"no {missing}" if missing != message else f"'{message}'"
        raise RecipeError(self._shape(), got=got, fix=f"{self.prog} --help")

    def _check_option(self, word: str) -> None:
        name, _, _ = word.partition("=")
        known = self._option_string_actions
        if name.startswith("--") and name not in known:
            raise RecipeError(
                f"an option of {self.prog}",
                got=f"'{name}'",
                fix=nearest(name, [each for each in known if each.startswith("--")]),
            )

    def _shape(self) -> str:
        """Return the command with all that it takes, on one line."""
        return " ".join(self.format_usage().removeprefix("usage: ").split()).replace(" [-h]", "")


def command(name: str, *, meaning: str) -> tuple[Any, Parser]:
    """Return a command's module, and the parser of all that it takes."""
    module = import_module(f"growlm.cli.{name}")
    parser = Parser(name, description=meaning)
    module.add_arguments(parser)
    return module, parser


def _written(action: argparse.Action) -> str:
    """Return an argument as it is written on a command line: its names, then its value's."""
    value = action.metavar if isinstance(action.metavar, str) else ""
    return f"{', '.join(action.option_strings)} {value}".strip()


def whole_number(option: str) -> Callable[[str], int]:
    """Return what reads an option's value as a whole number above 0.

    >>> whole_number("--layers")("12")
    12
    """

    def read(text: str) -> int:
        if not text.isdecimal() or not int(text):
            raise RecipeError(
                f"{option} to be a whole number above 0", got=f"'{text}'", fix=f"{option} 12"
            )
        return int(text)

    return read


def count(option: str) -> Callable[[str], int]:
    """Return what reads an option's value as a count above 0, with K, M, B or T if it likes.

    >>> count("--tokens")("1.5M")
    1500000
    """

    def read(text: str) -> int:
        try:
            value = parse_count(text)
        except ValueError as error:
            raise RecipeError(
                f"{option} to be {error}", got=f"'{text}'", fix=f"{option} 20B"
            ) from None
        if not value:
            raise RecipeError(f"{option} to be above 0", got=f"'{text}'", fix=f"{option} 20B")
        return value

    return read


def stretch_of_time(option: str) -> Callable[[str], float]:
    """Return what reads an option's value as a stretch of time, in seconds.

    >>> stretch_of_time("--grace")("2m")
    120.0
    """

    def read(text: str) -> float:
        try:
            return parse_seconds(text)
        except ValueError as error:
            raise RecipeError(
                f"{option} to be {error}", got=f"'{text}'", fix=f"{option} 30s"
            ) from None

    return read


def positive(option: str) -> Callable[[str], float]:
    """Return what reads an option's value as a number above 0.

    >>> positive("--peak-lr")("2e-4")
    0.0002
    """

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.0 < value < math.inf:
            raise RecipeError(
                f"{option} to be a number above 0", got=f"'{text}'", fix=f"{option} 2e-4"
            )
        return value

    return read
