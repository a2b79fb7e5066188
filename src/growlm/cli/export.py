"""``growlm export``: a Hugging Face folder of a checkpoint."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from growlm.base.version import VERSION
from growlm.cli import options as shared
from growlm.pipeline.carding import Wishes
from growlm.pipeline.converting import export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="a checkpoint's folder")
    parser.add_argument(
        "folder", type=Path, metavar="HF_FOLDER", help="a folder that is not there yet"
    )
    parser.add_argument(
        "--context",
        type=int,
        default=None,
        metavar="N",
        help="longest input, in tokens, that the folder admits (the checkpoint's context)",
    )
    parser.add_argument(
        "--family",
        default=None,
        metavar="NAME",
        help="whose layout: mpt, gpt2, gpt_neox, llama, mistral, qwen2 or qwen3 (the first of "
        "them that holds the model)",
    )
    parser.add_argument(
        "--license",
        default=None,
        metavar="ID",
        help="the model card's license, as the Hub spells it: apache-2.0",
    )
    parser.add_argument(
        "--base-model",
        default=None,
        metavar="OWNER/NAME",
        help="the model on the Hub that it was grown from, for the model card",
    )
    shared.output(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = export(
        options.checkpoint,
        options.folder,
        family=options.family,
        context=options.context,
        wishes=Wishes(license=options.license, base_model=options.base_model, version=VERSION),
    )
    if options.json:
        print(json.dumps(asdict(found)))
    elif not options.quiet:
        print(
            f"{options.folder}: {found.family} ({found.architecture}), {found.vocab_size:,} tokens "
            f"of vocabulary, inputs of up to {found.context:,} tokens\n"
            f"read again, it gave the checkpoint's logits on {found.tokens_compared:,} tokens, "
            "to the last bit"
        )
    return 0
