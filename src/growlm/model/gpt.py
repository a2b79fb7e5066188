"""The decoder: token ids in, final hidden states or logits out."""

from collections.abc import Mapping
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from growlm.base.errors import CheckpointError, EvaluationError
from growlm.model.attention import Places, document_places
from growlm.model.config import GPTConfig
from growlm.model.layers import Layer, Norm
from growlm.model.recompute import Checkpointing
from growlm.model.undrawn import Embedding, Linear

Residual = Literal["float32", "bfloat16"]
"""What the residual stream is kept in while autocast computes in bf16."""


class GPT(nn.Module):
    """A pre-norm decoder.

    ``forward`` stops before the head, so that the loss can take the logits chunk by chunk.
    """

    residual: Residual = "float32"
    """As whoever trains it says; without autocast the stream has the weights' type."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.padded_vocab_size, config.width)
        self.position = (
            Embedding(config.context, config.width) if config.positions == "learned" else None
        )
        self.places = Places(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = Norm(config)
        self.head = (
            None if config.tied else Linear(config.width, config.padded_vocab_size, bias=False)
        )

    def checkpoint_layers(self, checkpointing: Checkpointing, *, first: int | None = None) -> None:
        """Say what layers keep for the backward pass; the rest they compute again.

        Args:
            checkpointing: What they keep.
            first: How many of them, the first ones; the others keep everything. All when absent.
        """
        for number, layer in enumerate(self.layers):
            lean = first is None or number < first
            cast(Layer, layer).checkpointing = checkpointing if lean else "none"

    @property
    def head_weight(self) -> Float[Tensor, "V D"]:
        """The matrix that turns hidden states into logits."""
        return self.embedding.weight if self.head is None else self.head.weight

    def forward(
        self, ids_BT: Int[Tensor, "B T"], documents_BT: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Return the final hidden states.

        Args:
            ids_BT: Token ids.
            documents_BT: The number of each token's document, rising from document to document:
                a token then sees its own alone, and places begin anew with each. None hides none.

        Raises:
            EvaluationError: More tokens than learned positions.
        """
        x_BTD = self.embedding(ids_BT)
        if self.position is not None:
            learned_TD = self._learned(ids_BT.shape[1])
            x_BTD = x_BTD + (
                learned_TD if documents_BT is None else learned_TD[document_places(documents_BT)]
            )
        working = _working_dtype(x_BTD)
        if self.residual == "bfloat16":
            x_BTD = x_BTD.to(working)
        bias, angles = self.places(ids_BT.shape[1], working, documents_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, bias, angles)
        return self.norm(x_BTD)

    def logits(
        self, ids_BT: Int[Tensor, "B T"], documents_BT: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of the real vocabulary; its padding is cut off."""
        return self(ids_BT, documents_BT) @ self.head_weight[: self.config.vocab_size].T

    def _learned(self, tokens: int) -> Float[Tensor, "T D"]:
        if self.position is None or tokens > self.config.context:
            raise EvaluationError(
                f"at most {self.config.context} tokens: that many positions were learned",
                got=f"{tokens}",
                fix=f"a context of {self.config.context}, or a model with ALiBi",
            )
        return self.position(torch.arange(tokens, device=self.position.weight.device))


def _working_dtype(x_BTD: Tensor) -> torch.dtype:
    """Return what attention will compute in, so that one bias serves all layers as it is."""
    device = x_BTD.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_BTD.dtype


def weight_shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Return every weight of a model and its shape, without making one."""
    with torch.device("meta"):
        return {name: tuple(each.shape) for name, each in GPT(config).named_parameters()}


def with_weights(config: GPTConfig, weights: Mapping[str, Tensor]) -> GPT:
    """Return a model that owns a copy of these weights; none are drawn for it first.

    Raises:
        CheckpointError: The weights are not those of this shape.
    """
    with torch.device("meta"):
        model = GPT(config)
    try:
        model.load_state_dict({name: each.clone() for name, each in weights.items()}, assign=True)
    except RuntimeError as error:
        raise CheckpointError(
            "weights of the shape that the config states",
            got=" ".join(str(error).split()[:24]),
            fix="the checkpoint as it was written",
        ) from error
    model.places = Places(config)
    return model.requires_grad_()
