"""``growlm play``: a page on this machine, where checkpoints write side by side."""

import argparse
from pathlib import Path
from threading import Event

from growlm.cli.parser import whole_number
from growlm.web.playground import PORT, opened_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CKPT",
        help="checkpoints' or Hugging Face folders, one a column",
    )
    parser.add_argument(
        "--port",
        type=whole_number("--port"),
        default=PORT,
        metavar="N",
        help=f"where the page listens, on this machine only ({PORT})",
    )
    parser.add_argument("--open", action="store_true", help="open a browser at it")
    parser.add_argument("--no-compile", action="store_true", help="compile nothing, on a GPU too")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    blocks, address = opened_page(
        options.checkpoints,
        port=options.port,
        opened=options.open,
        compiled=not options.no_compile,
    )
    told = f"{address} is open to this machine only, with nothing sent elsewhere; Ctrl-C ends it"
    print(told, flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt:
        blocks.close(verbose=False)
    return 0
