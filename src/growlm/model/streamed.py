"""A model that is never whole in memory: each layer is read when its turn comes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from growlm.base.errors import EvaluationError
from growlm.model.attention import Places
from growlm.model.config import GPTConfig
from growlm.model.layers import Layer, Norm
from growlm.model.weights import Read, blocks


class Streamed:
    """A decoder whose weights are read, used and forgotten layer by layer; it is not trained."""

    def __init__(self, config: GPTConfig, read: Read) -> None:
        self.config = config
        self.read = read
        with torch.device("meta"):
            self._layer = Layer(config).eval()
            self._norm = Norm(config)
        self._places = Places(config)

    @torch.no_grad()
    def hidden(
        self, batches: Sequence[Int[Tensor, "_ _"]], dtype: torch.dtype
    ) -> list[Float[Tensor, "_ _ D"]]:
        """Return the final hidden states of batches; every layer is read once for all of them.

        Sequences run one by one, so that few activations are in memory.

        Args:
            batches: Token ids, of any number of tokens each.
            dtype: What the weights are cast to.

        Raises:
            EvaluationError: More tokens than learned positions.
        """
        streams = self._embedded(batches, dtype)
        for layer in range(self.config.layers):
            weights = self._weights(self._layer, f"layers.{layer}.", dtype)
            for stream in streams:
                places = self._places(stream.shape[1], dtype)
                for row in range(stream.shape[0]):
                    one = stream[row : row + 1]
                    one.copy_(functional_call(self._layer, weights, (one, *places)))
        weights = self._weights(self._norm, "norm.", dtype)
        return [functional_call(self._norm, weights, (stream,)) for stream in streams]

    def head(self, rows: slice, dtype: torch.dtype) -> Float[Tensor, "_ D"]:
        """Return rows of the matrix that turns hidden states into logits."""
        name = "embedding.weight" if self.config.tied else "head.weight"
        return self.read(name, rows).to(dtype)

    def layer(self, place: int) -> dict[str, Tensor]:
        """Return the weights of one layer, by their name inside it."""
        names = [name for name, _ in self._layer.named_parameters()]
        return {name: self.read(f"layers.{place}.{name}") for name in names}

    def _weights(
        self, module: torch.nn.Module, prefix: str, dtype: torch.dtype
    ) -> dict[str, Tensor]:
        names = [name for name, _ in module.named_parameters()]
        return {name: self.read(f"{prefix}{name}").to(dtype) for name in names}

    def _embedded(
        self, batches: Sequence[Int[Tensor, "_ _"]], dtype: torch.dtype
    ) -> list[Float[Tensor, "_ _ D"]]:
        width = self.config.width
        streams = [torch.empty(*ids.shape, width, dtype=dtype) for ids in batches]
        for rows in blocks(self.config.padded_vocab_size):
            inside = [(ids >= rows.start) & (ids < rows.stop) for ids in batches]
            if not any(bool(each.any()) for each in inside):
                continue
            table = self.read("embedding.weight", rows).to(dtype)
            for ids, stream, each in zip(batches, streams, inside, strict=True):
                stream[each] = table[ids[each] - rows.start]
        if self.config.positions == "learned":
            for stream in streams:
                stream.add_(self._learned(stream.shape[1]).to(dtype))
        return streams

    def _learned(self, tokens: int) -> Float[Tensor, "T D"]:
        if tokens > self.config.context:
            raise EvaluationError(
                f"at most {self.config.context} tokens: that many positions were learned",
                got=f"{tokens}",
                fix=f"a context of {self.config.context}, or a model with ALiBi",
            )
        return self.read("position.weight")[:tokens]
