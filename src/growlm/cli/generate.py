"""``growlm generate``: a checkpoint, or a Hugging Face folder, writes prompts on."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from growlm.base.visible import visible
from growlm.cli.parser import whole_number
from growlm.pipeline.generating import (
    ENDS,
    USUAL,
    Order,
    Piece,
    Text,
    Writer,
    open_writer,
    write_all,
)
from growlm.report.words import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="CKPT", help="a checkpoint's or a Hugging Face folder"
    )
    parser.add_argument(
        "--prompt",
        dest="prompts",
        action="append",
        required=True,
        metavar="TEXT",
        help="what is written on; may be repeated",
    )
    _order(parser)
    parser.add_argument("--no-compile", action="store_true", help="compile nothing, on a GPU too")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a prompt")


def _order(parser: argparse.ArgumentParser) -> None:
    numbers: dict[str, tuple[Any, str, Any, str]] = {
        "--tokens": (whole_number("--tokens"), "N", USUAL.tokens, "new tokens, at most"),
        "--seed": (int, "N", USUAL.seed, "decides what is drawn"),
        "--temperature": (float, "X", USUAL.temperature, "divides the logits"),
        "--top-k": (whole_number("--top-k"), "N", USUAL.top_k, "leave the N likeliest tokens"),
        "--top-p": (float, "P", USUAL.top_p, "leave the likeliest that have probability P"),
        "--repetition-penalty": (
            float,
            "X",
            USUAL.repetition_penalty,
            "above 1: tokens that stand there already are less likely",
        ),
    }
    for option, (kind, shown, usual, meaning) in numbers.items():
        told = meaning if usual is None else f"{meaning} ({usual})"
        parser.add_argument(option, type=kind, default=usual, metavar=shown, help=told)
    parser.add_argument("--greedy", action="store_true", help="take the likeliest token each time")
    parser.add_argument(
        "--go-on", action="store_true", help="write on behind the end-of-text token"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    order = Order(
        tokens=options.tokens,
        seed=options.seed,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        repetition_penalty=options.repetition_penalty,
        greedy=options.greedy,
        stop=not options.go_on,
    )
    writer = open_writer(options.checkpoint, compiled=not options.no_compile)
    prompts: list[str] = options.prompts
    if options.json:
        for text in write_all(writer, prompts, order):
            print(json.dumps(_object(writer, order, text)))
    elif len(prompts) == 1:
        _stream(prompts[0], writer.write(prompts, order))
    else:
        for text in write_all(writer, prompts, order):
            _stream(text.prompt, iter(text.pieces))
    return 0


def _stream(prompt: str, pieces: Iterator[Piece]) -> None:
    """Print a text as it comes; what it took is told on standard error."""
    sys.stdout.write(visible(prompt))
    for count, piece in enumerate(pieces, 1):
        sys.stdout.write(visible(piece.text))
        sys.stdout.flush()
        if piece.end is not None:
            print(flush=True)
            rate = f"{_rate(count, piece):.3g} tokens/s"
            told = f"{plural(count, 'token')}, {rate}, ended at {ENDS[piece.end]}"
            print(told, file=sys.stderr, flush=True)


def _rate(count: int, last: Piece) -> float:
    return count / last.seconds if last.seconds else 0.0


def _object(writer: Writer, order: Order, text: Text) -> dict[str, Any]:
    pieces = text.pieces
    return {
        "checkpoint": writer.name,
        "prompt": text.prompt,
        "text": text.text,
        "seed": order.seed,
        "end": pieces[-1].end,
        "tokens_per_second": _rate(len(pieces), pieces[-1]),
        "tokens": [
            {
                "id": piece.id,
                "text": piece.text,
                "probability": piece.probability,
                "alternatives": [
                    {"text": text, "probability": chance} for text, chance in piece.alternatives
                ],
            }
            for piece in pieces
        ],
    }
