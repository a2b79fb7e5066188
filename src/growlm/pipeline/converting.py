"""The import and export steps: Hugging Face folders in, checkpoints out, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from growlm import checkpoint
from growlm.base.errors import CheckpointError, RecipeError, StorageError
from growlm.base.files import whole_folder, write_text
from growlm.base.seeds import seed_for
from growlm.checkpoint import Ancestor, Contents
from growlm.huggingface.reading import read_folder, reader, stream
from growlm.huggingface.tokens import read_tokens
from growlm.huggingface.writing import Outgoing, write
from growlm.model.config import GPTConfig
from growlm.model.cost import parameters
from growlm.model.families.table import family_for
from growlm.model.gpt import with_weights
from growlm.pipeline.carding import CARD, Wishes, card_text

CHECKED_TOKENS = 256
"""Tokens on which an exported model is compared with its checkpoint, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import made."""

    family: str
    parameters: int
    end_of_text: str
    carried: tuple[str, ...]
    """Files that were carried along beside the tokenizer's JSON."""
    ignores_code: bool
    """Whether the folder points to code of its own, which was not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export made, and how far it was checked."""

    family: str
    architecture: str
    context: int
    vocab_size: int
    tokens_compared: int
    """Tokens on which the folder, read again, gave the very logits of the checkpoint."""


def import_folder(source: Path, out: Path, *, end_of_text: str | None) -> Imported:
    """Make a checkpoint of a Hugging Face folder; what it was trained on is not known.

    Args:
        source: The folder.
        out: Where the checkpoint goes.
        end_of_text: The token that closes a document; what the folder itself names when None.

    Raises:
        CheckpointError: The folder is not whole, or ours has no place for what it holds.
        CorpusError: Its tokenizer is none, or lacks the end of text.
        StorageError: Something is at ``out`` already, or a disk refused.
    """
    _check_absent(out)
    folder = read_folder(source)
    tokens = read_tokens(folder, end_of_text=end_of_text)
    own = Ancestor(
        stage=out.name,
        origin=f"imported from {folder.family.name}",
        layers=folder.config.layers,
        tokens=0,
        flops=0.0,
        weights_sha256="",
    )
    with whole_folder(out) as place:
        digest = checkpoint.write_weights(place, folder.config, reader(folder))
        contents = Contents(
            config=folder.config,
            stage=out.name,
            step=0,
            lineage=(own,),
            data=None,
            training={},
            end_of_text=tokens.end_of_text,
            tokenizer=tokens.tokenizer.json,
            tokenizer_files=tokens.files,
            certificate=None,
            weights=None,
            optimizer={},
            random={},
        )
        checkpoint.write(place, contents, known={checkpoint.WEIGHTS: digest})
    return Imported(
        family=folder.family.name,
        parameters=parameters(folder.config),
        end_of_text=tokens.end_of_text,
        carried=tuple(tokens.files),
        ignores_code=folder.ignores_code,
    )


def export(
    source: Path,
    out: Path,
    *,
    family: str | None,
    context: int | None,
    wishes: Wishes | None = None,
) -> Exported:
    """Make a Hugging Face folder of a checkpoint, once it has proved to compute the same.

    Args:
        source: The checkpoint.
        out: Where the folder goes.
        family: Whose layout, as ``config.json`` calls it; the first that holds the model when None.
        context: Longest input that the folder admits; the checkpoint's when None.
        wishes: What the model card says beside what is known; no card when None.

    Raises:
        RecipeError: The context is no number of tokens, or a wish is not as the Hub spells it.
        CheckpointError: The checkpoint is damaged, or no layout, or not this one, holds it.
        StorageError: Something is at ``out`` already, or a disk refused.
    """
    _check_absent(out)
    if context is not None and context < 1:
        raise RecipeError("a context of one token or more", got=f"{context}", fix="--context 2048")
    meta = checkpoint.read_meta(source)
    config = meta.gpt_config()
    layout = family_for(config, family)
    checkpoint.verify(source, meta)
    outgoing = Outgoing(
        family=layout,
        config=config,
        context=config.context if context is None else context,
        end_of_text=meta.end_of_text,
        tokenizer=checkpoint.load_tokenizer(source),
        tokenizer_files=checkpoint.load_tokenizer_files(source, meta),
    )
    ids = _some_ids(config)
    expected = _logits(config, checkpoint.load_weights(source), ids)
    told = card_text(source, meta, outgoing, wishes, name=out.name) if wishes else None
    with whole_folder(out) as folder:
        write(folder, outgoing, checkpoint.reader(source))
        _check_same(folder, ids, expected)
        if told is not None:
            write_text(folder / CARD, told)
    return Exported(
        family=layout.name,
        architecture=layout.architecture,
        context=outgoing.context,
        vocab_size=config.vocab_size,
        tokens_compared=ids.numel(),
    )


def _check_absent(out: Path) -> None:
    if out.exists():
        raise StorageError(
            f"no file or folder at {out} yet", got="one", fix="another name, or removing it"
        )


def _check_same(folder: Path, ids: Int[Tensor, "B T"], expected: Float[Tensor, "B T V"]) -> None:
    """Refuse a folder that, read again, does not give the same logits to the last bit."""
    written = read_folder(folder)
    weights = {name: tensor.to(expected.dtype) for name, tensor in stream(written)}
    got = _logits(written.config, weights, ids)
    # Not-a-number must fail too, so the test is for what is right.
    if not torch.equal(expected, got):
        raise CheckpointError(
            "the folder, read again, to compute what the checkpoint does",
            got=f"a largest difference of {float((expected - got).abs().max()):.3g}",
            fix="a checkpoint whose weights are finite, and reporting this if they are",
        )


@torch.no_grad()
def _logits(
    config: GPTConfig, weights: Mapping[str, Tensor], ids: Int[Tensor, "B T"]
) -> Float[Tensor, "B T V"]:
    return with_weights(config, weights).eval().logits(ids)


def _some_ids(config: GPTConfig) -> Int[Tensor, "B T"]:
    tokens = min(config.context, CHECKED_TOKENS)
    seeded = torch.Generator().manual_seed(seed_for(0, "export"))
    return torch.randint(config.vocab_size, (1, tokens), generator=seeded)
