"""``growlm schema``: the recipe's JSON Schema, for editors."""

import argparse

from growlm.recipe.schema import schema


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments."""


def run(_options: argparse.Namespace) -> int:
    """Run the command."""
    print(schema())
    return 0
