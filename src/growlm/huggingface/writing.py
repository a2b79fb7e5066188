"""Writing a folder, tensor by tensor, as transformers, vLLM and llama.cpp read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from growlm.base.files import write_bytes, write_json, write_text
from growlm.corpus.tokenizer import from_json
from growlm.huggingface.reading import CONFIG, INDEX, WEIGHTS
from growlm.huggingface.tokens import TOKENIZER, TOKENIZER_CONFIG, special_ids
from growlm.model.config import GPTConfig
from growlm.model.families.family import Family, write_config
from growlm.model.families.links import Link, joined, links
from growlm.model.weights import Read
from growlm.tensorfile import FLOAT_BYTES, stream_tensors

SHARD_BYTES = 5_000_000_000
"""Bytes of tensors in a file; what goes beyond them goes into a further one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What a folder is written from, beside its tensors."""

    family: Family
    config: GPTConfig
    context: int
    """Longest input that the folder's config admits."""
    end_of_text: str
    tokenizer: str
    """The tokenizer's JSON."""
    tokenizer_files: Mapping[str, bytes]
    """Files to lie beside it, by name, as they are."""


def write(
    folder: Path,
    outgoing: Outgoing,
    read: Read,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a model into a folder in fp32, one tensor in memory at a time.

    The vocabulary's padding is left out. It is never scored here, so its rows may hold anything;
    there they would be scored with the others. No reader needs it: whole multiples are for speed.

    Args:
        folder: An empty one, best from ``whole_folder``: it is whole when this returns.
        outgoing: All but the tensors.
        read: Reads our weights.
        shard_bytes: Bytes of tensors in a file.

    Raises:
        CheckpointError: The context does not fit the model.
        CorpusError: The tokenizer is none, or lacks the end of text.
        StorageError: The disk refused.
    """
    values = write_config(outgoing.family, outgoing.config, context=outgoing.context)
    tokenizer = from_json(outgoing.tokenizer, end_of_text=outgoing.end_of_text)
    write_json(folder / CONFIG, {**values, **special_ids(tokenizer, outgoing.tokenizer_files)})
    write_text(folder / TOKENIZER, outgoing.tokenizer)
    for name, content in outgoing.tokenizer_files.items():
        write_bytes(folder / name, content)
    if TOKENIZER_CONFIG not in outgoing.tokenizer_files:
        write_json(folder / TOKENIZER_CONFIG, _tokenizer_config(outgoing))
    _write_shards(folder, shards(links(outgoing.family, outgoing.config), shard_bytes), read)


def shards(every: Sequence[Link], shard_bytes: int) -> dict[str, list[Link]]:
    """Return the files of a model and the tensors in each, in their order.

    A file holds at most ``shard_bytes`` of tensors, or a single larger one.
    """
    parts: list[list[Link]] = [[]]
    filled = 0
    for link in every:
        if parts[-1] and filled + _bytes(link) > shard_bytes:
            parts.append([])
            filled = 0
        parts[-1].append(link)
        filled += _bytes(link)
    if len(parts) == 1:
        return {WEIGHTS: parts[0]}
    return {
        f"model-{number:05}-of-{len(parts):05}.safetensors": part
        for number, part in enumerate(parts, 1)
    }


def _write_shards(folder: Path, files: Mapping[str, Sequence[Link]], read: Read) -> None:
    every = {link.theirs: link for part in files.values() for link in part}
    for name, part in files.items():
        shapes = {link.theirs: link.shape for link in part}
        stream_tensors(folder / name, shapes, lambda theirs: joined(every[theirs], read))
    if len(files) > 1:
        total = sum(_bytes(link) for link in every.values())
        where = {link.theirs: name for name, part in files.items() for link in part}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def _bytes(link: Link) -> int:
    return FLOAT_BYTES * prod(link.shape)


def _tokenizer_config(outgoing: Outgoing) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": outgoing.end_of_text,
        "model_max_length": outgoing.context,
        "clean_up_tokenization_spaces": False,
    }
