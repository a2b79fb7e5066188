"""``growlm grow``: a child and its certificate, of a checkpoint or a Hugging Face folder."""

import argparse
from pathlib import Path

from growlm.base.errors import RecipeError, nearest
from growlm.cli import options as shared
from growlm.cli.parser import whole_number
from growlm.cli.signals import caught
from growlm.pipeline.folder import existing
from growlm.pipeline.growing import (
    Growth,
    Operators,
    Target,
    changes,
    comparison,
    extended,
    grow,
    lock,
)

SIZES = ("layers", "width", "heads", "kv_heads", "head_width", "mlp")
"""Sizes of the child that may be named."""

OPERATORS = {
    "--depth": (
        "insert",
        "interleave, stack, insert, solar, middle, middle-layerwise, append, or explicit",
    ),
    "--copies": ("plain", "plain, scaled or noised copies of layers, or random layers"),
    "--widen": ("lemon", "lemon, sparkling, or shrink-pad-perturb"),
    "--units": ("noised", "new, even, uneven, or noised MLP units and heads"),
}
"""Options that name an operator: their default and their choices."""


BEGINNINGS = ("pieces", "mean")
"""What new tokens may begin as: the mean of the tokens that spell them, or of all."""


def layer_map(text: str) -> tuple[int, ...]:
    """Return a written layer map.

    >>> layer_map("0,0,1,-2")
    (0, 0, 1, -2)

    Raises:
        RecipeError: It is not a list of whole numbers.
    """
    try:
        return tuple(int(layer) for layer in text.split(","))
    except ValueError:
        raise RecipeError(
            "--layer-map to be whole numbers with commas", got=f"'{text}'", fix="0,0,1,1"
        ) from None


def beginning(text: str) -> str:
    """Return what new tokens begin as.

    >>> beginning("mean")
    'mean'

    Raises:
        RecipeError: It is none of the ways.
    """
    if text not in BEGINNINGS:
        raise RecipeError(
            f"--new-tokens to be {' or '.join(BEGINNINGS)}",
            got=f"'{text}'",
            fix=nearest(text, BEGINNINGS),
        )
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "parent", type=Path, metavar="PARENT", help="a checkpoint, or a Hugging Face folder"
    )
    parser.add_argument("child", type=Path, metavar="CHILD", help="a folder that is not there yet")
    for name in SIZES:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option,
            type=whole_number(option),
            default=None,
            metavar="N",
            help=f"the child's {name} (the parent's)",
        )
    for option, (default, meaning) in OPERATORS.items():
        text = f"{meaning} (default: {default})"
        parser.add_argument(option, default=default, metavar="NAME", help=text)
    _vocabulary(parser)
    parser.add_argument(
        "--layer-map",
        type=layer_map,
        default=None,
        metavar="0,0,1,-2",
        help="for explicit: the parent's layer of each layer, -1 - i for a silent copy of layer i",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of what the growth draws (0)"
    )
    parser.add_argument(
        "--optimizer-state",
        default="asymmetric",
        metavar="MODE",
        help="drop, copy, asymmetric, or exact (default: asymmetric)",
    )
    parser.add_argument(
        "--context",
        type=whole_number("--context"),
        default=None,
        metavar="T",
        help="the child's (the parent's)",
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=None,
        metavar="RUN",
        help="the run whose held-out text is used (the one PARENT lies in)",
    )
    parser.add_argument(
        "--unmeasured",
        action="store_true",
        help="leave the comparison with the parent to growlm certify: for large models",
    )
    shared.output(parser)


def _vocabulary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--add-token",
        action="append",
        default=[],
        metavar="TOKEN",
        help="a special token that the child's tokenizer has too; may be repeated",
    )
    parser.add_argument(
        "--new-tokens",
        type=beginning,
        default="pieces",
        metavar="HOW",
        help="what new tokens begin as: the mean of those that spell them, pieces, or of all, mean "
        "(default: pieces)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    growth = _growth(options)
    with caught():
        found = grow(growth, run=existing(options.run) if options.run else None)
    if options.json:
        print(found.model_dump_json())
    elif not options.quiet:
        print(
            f"{options.child}: {changes(found)}, {found.parent_parameters:,} -> "
            f"{found.child_parameters:,} parameters\n{comparison(found)}"
        )
        if (warning := lock(found)) is not None:
            print(f"note: {warning}")
    return 0


def _growth(options: argparse.Namespace) -> Growth:
    sizes = {name: getattr(options, name) for name in SIZES}
    if all(size is None for size in sizes.values()) and not options.add_token:
        raise RecipeError("a size of the child", got="none", fix="--layers 12")
    operators = Operators(
        depth=options.depth,
        layer_map=options.layer_map,
        widen=options.widen,
        units=options.units,
        copies=options.copies,
    )
    tokens = None
    if options.add_token:
        pieces = options.new_tokens == "pieces"
        tokens = extended(options.parent, tuple(options.add_token), pieces=pieces)
    return Growth(
        parent=options.parent,
        child=options.child,
        target=Target(**sizes),
        operators=operators,
        seed=options.seed,
        tokenizer=tokens.tokenizer if tokens else None,
        new_tokens=tokens.new_tokens if tokens else (),
        optimizer_state=options.optimizer_state,
        context=options.context,
        stage=options.child.name,
        measured=not options.unmeasured,
    )
