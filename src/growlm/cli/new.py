"""``growlm new``: a recipe with comments, from flags, or from the answers to a few questions."""

import argparse
import sys
from pathlib import Path

from growlm.base.errors import RecipeError
from growlm.cli.parser import count, whole_number
from growlm.recipe.drafting import BUILTIN, SIZES, Draft, check_absent, write

ENOUGH = "20 for each parameter"
"""The answer for as many tokens as go well with the size."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a file that is not there yet")
    parser.add_argument(
        "--size", default=None, metavar="124M", help=f"of the model: {', '.join(SIZES)}"
    )
    parser.add_argument(
        "--source",
        nargs="+",
        default=None,
        metavar="FILE",
        help=f"files, folders, globs or addresses of text, or {BUILTIN}: what Python carries",
    )
    parser.add_argument(
        "--tokens",
        type=count("--tokens"),
        default=None,
        metavar="N",
        help="to train on, before any control (20 for each parameter)",
    )
    parser.add_argument(
        "--context",
        type=whole_number("--context"),
        default=None,
        metavar="T",
        help="in tokens (what goes well with the size)",
    )
    parser.add_argument(
        "--control", action="store_true", help="train the grown shape from scratch too"
    )
    parser.add_argument(
        "--alone", action="store_true", help="one stage, rather than a base that is grown"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    path: Path = options.recipe
    check_absent(path)  # before anybody is asked
    size = options.size or _answer(f"Size ({', '.join(SIZES)})", "--size", "124M")
    sources = options.source or _answer("Files of text", "--source", BUILTIN).split()
    draft = Draft(
        name=path.stem,
        size=size,
        sources=tuple(sources),
        tokens=options.tokens or _tokens(options),
        context=options.context,
        grown=not options.alone,
        control=options.control,
    )
    write(path, draft)
    print(f"{path}: growlm check {path}")
    return 0


def _tokens(options: argparse.Namespace) -> int | None:
    """Return how many tokens a person asks for, if other questions had to be asked too."""
    if options.size is not None and options.source is not None:
        return None
    told = _answer("Tokens", "--tokens", ENOUGH)
    return None if told == ENOUGH else count("--tokens")(told)


def _answer(question: str, option: str, default: str) -> str:
    """Return what a person types; where nobody sits at the keyboard, the option is missed."""
    missed = RecipeError(f"{option}, where nobody answers", got="none", fix=f"{option} {default}")
    if not sys.stdin.isatty():
        raise missed
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:
        raise missed from None
