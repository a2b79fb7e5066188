"""Models on the disk: a checkpoint of ours or a Hugging Face folder, opened alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from growlm import checkpoint
from growlm.base.errors import CheckpointError
from growlm.base.files import digest_of, sha256_file
from growlm.checkpoint import Meta
from growlm.corpus.tokenizer import Tokenizer, from_json
from growlm.huggingface.reading import CONFIG, Folder, read_folder, reader
from growlm.huggingface.tokens import read_tokens
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT, weight_shapes, with_weights
from growlm.model.streamed import Streamed
from growlm.model.weights import Read, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model whose weights still lie on the disk."""

    path: Path
    config: GPTConfig
    read: Read
    """Its weights by our names, in fp32."""
    meta: Meta | None
    """What a checkpoint of ours says of itself; None for a Hugging Face folder."""
    folder: Folder | None
    """A Hugging Face folder; None for a checkpoint of ours."""

    @property
    def streamed(self) -> Streamed:
        """Return the model, ready to run layer by layer."""
        return Streamed(self.config, self.read)

    def loaded(self) -> GPT:
        """Return the model with its weights in memory, in fp32, ready to run as a whole.

        Raises:
            CheckpointError: The weights are not those of its shape.
        """
        weights = {name: self.read(name) for name in weight_shapes(self.config)}
        return with_weights(self.config, weights).eval()

    def verify(self) -> None:
        """Compare every file with its SHA-256, where one is known.

        Raises:
            CheckpointError: A file is missing or was changed.
        """
        if self.meta is not None:
            checkpoint.verify(self.path, self.meta)

    def identity(self) -> str:
        """Return a digest of the weights; that of a Hugging Face folder is of its files' digests.

        Raises:
            StorageError: They cannot be read.
        """
        if self.meta is not None:
            return self.meta.weights_sha256
        files = sorted(set(self._folder.files.values()))
        return digest_of({file.name: sha256_file(file) for file in files})

    def tokens(self) -> "ModelTokens":
        """Return the tokenizer and what lies beside it.

        Raises:
            CheckpointError: A Hugging Face folder has none, or names no end of text.
            CorpusError: It is none.
        """
        if self.meta is not None:
            return ModelTokens(
                json=checkpoint.load_tokenizer(self.path),
                files=checkpoint.load_tokenizer_files(self.path, self.meta),
                end_of_text=self.meta.end_of_text,
            )
        found = read_tokens(self._folder, end_of_text=None)
        return ModelTokens(
            json=found.tokenizer.json, files=found.files, end_of_text=found.end_of_text
        )

    @property
    def known_meta(self) -> Meta:
        """Return what a checkpoint of ours says of itself.

        Raises:
            CheckpointError: It is a Hugging Face folder.
        """
        if self.meta is None:
            raise CheckpointError("a checkpoint of ours", got=str(self.path), fix="growlm import")
        return self.meta

    @property
    def _folder(self) -> Folder:
        if self.folder is None:
            raise CheckpointError("a Hugging Face folder", got=str(self.path), fix="growlm export")
        return self.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTokens:
    """A model's tokenizer."""

    json: str
    """Its ``tokenizer.json``."""
    files: Mapping[str, bytes]
    """The files beside it, by name."""
    end_of_text: str
    """The token that closes a document."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer, ready to encode.

        Raises:
            CorpusError: It is none, or lacks the end of text.
        """
        return from_json(self.json, end_of_text=self.end_of_text)


def open_model(path: Path) -> Model:
    """Open a model; everything is checked but the values of its weights.

    Raises:
        CheckpointError: There is none, or it is not whole, or of a kind that ours has no place for.
        StorageError: It cannot be read.
    """
    if (path / checkpoint.META).is_file():
        meta = checkpoint.read_meta(path)
        return Model(
            path=path,
            config=meta.gpt_config(),
            read=cast(checkpoint.reader(path), torch.float32),
            meta=meta,
            folder=None,
        )
    if not (path / CONFIG).is_file():
        raise CheckpointError(
            f"a checkpoint's folder, with {checkpoint.META} in it, or a Hugging Face one, with "
            f"{CONFIG}",
            got=str(path),
            fix="a folder under runs/*/stages, or one that save_pretrained wrote",
        )
    folder = read_folder(path)
    return Model(path=path, config=folder.config, read=reader(folder), meta=None, folder=folder)
