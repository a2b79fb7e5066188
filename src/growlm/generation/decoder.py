"""A decoder that remembers: keys and values of what it has read, each in its place's slot."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from growlm.base.errors import EvaluationError
from growlm.model.attention import rotary_angles
from growlm.model.gpt import GPT
from growlm.model.layers import Layer


class Decoder:
    """A model that reads sequences bit by bit, and computes what it would of the whole.

    A token's keys and values lie in the slot of its own place. A sequence that is shorter than
    its neighbours is padded on the right: what its padding left in a slot is hidden until the
    token of that place overwrites it. Nothing is ever moved, and places are those of the sequence
    alone, whatever it shares a batch with. Dropout is off, whatever the model's mode.

    Args:
        model: On its own device; it is read only.
        sequences: Rows of a batch.
        slots: Tokens in a sequence, at most.
        compiled: Whether steps of one token are compiled; the first of them then takes long.

    Raises:
        EvaluationError: More slots than learned positions.
    """

    def __init__(self, model: GPT, *, sequences: int, slots: int, compiled: bool) -> None:
        config, weight = model.config, model.head_weight
        if model.position is not None and slots > config.context:
            raise EvaluationError(
                f"at most {config.context} tokens: that many positions were learned",
                got=f"{slots}",
                fix="fewer tokens, or a model with ALiBi",
            )
        self.model = model
        self.angles = (
            rotary_angles(config, slots, weight.device) if config.positions == "rotary" else None
        )
        shape = (sequences, config.kv_heads, slots, config.head_width)
        self.keys, self.values = (
            [weight.new_zeros(shape) for _ in range(config.layers)] for _ in range(2)
        )
        self._step: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self._read, dynamic=False) if compiled else self._read
        )

    @torch.no_grad()
    def __call__(
        self, ids_BT: Int[Tensor, "B T"], places_BT: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        """Read more of every sequence, and return its final hidden states.

        Args:
            ids_BT: Token ids.
            places_BT: Each token's place in its sequence; all before it were read already.
        """
        return (self._step if ids_BT.shape[1] == 1 else self._read)(ids_BT, places_BT)

    @torch.no_grad()
    def logits(self, hidden_BD: Float[Tensor, "B D"]) -> Float[Tensor, "B V"]:
        """Return the logits of the real vocabulary, in at least fp32."""
        logits_BV = hidden_BD @ self.model.head_weight[: self.model.config.vocab_size].T
        return logits_BV.to(torch.promote_types(logits_BV.dtype, torch.float32))

    def _read(self, ids_BT: Tensor, places_BT: Tensor) -> Tensor:
        x_BTD = self.model.embedding(ids_BT)
        if self.model.position is not None:
            x_BTD = x_BTD + self.model.position(places_BT)
        angles = None
        if self.angles is not None:
            cos_TP, sin_TP = self.angles
            angles = cos_TP[places_BT][:, None], sin_TP[places_BT][:, None]
        mask = self._mask(places_BT, x_BTD.dtype)
        for number, layer in enumerate(self.model.layers):
            slots = self.keys[number], self.values[number]
            x_BTD = _added(cast(Layer, layer), x_BTD, places_BT, (slots, mask, angles))
        return self.model.norm(x_BTD)

    def _mask(
        self, places_BT: Int[Tensor, "B T"], dtype: torch.dtype
    ) -> Float[Tensor, "B H T S"] | Bool[Tensor, "B 1 T S"]:
        """Return what attention adds to its scores with ALiBi, or which slots are seen without."""
        slot_S = torch.arange(self.keys[0].shape[2], device=places_BT.device)
        distance_B1TS = (slot_S - places_BT[:, :, None])[:, None]
        if self.model.config.positions != "alibi":
            return distance_B1TS <= 0
        bias_BHTS = self.model.places.slopes_H[:, None, None] * distance_B1TS
        return bias_BHTS.masked_fill(distance_B1TS > 0, -torch.inf).to(dtype)


Told = tuple[tuple[Tensor, Tensor], Tensor, tuple[Tensor, Tensor] | None]
"""What a layer is told: its keys and values, which of them are seen, and angles."""


def _added(layer: Layer, x_BTD: Tensor, places_BT: Tensor, told: Told) -> Tensor:
    """Return the residual stream with what a layer adds to it; new keys and values are kept."""
    (keys_BGSK, values_BGSK), mask, angles = told
    attention = layer.attention
    query_BHTK, key_BGTK, value_BGTK = attention.heads(layer.attention_norm(x_BTD), angles)
    rows_B1 = torch.arange(places_BT.shape[0], device=places_BT.device)[:, None]
    keys_BGSK[rows_B1, :, places_BT] = key_BGTK.transpose(1, 2)
    values_BGSK[rows_B1, :, places_BT] = value_BGTK.transpose(1, 2)
    mixed_BHTK = F.scaled_dot_product_attention(
        query_BHTK,
        keys_BGSK,
        values_BGSK,
        attn_mask=mask,
        enable_gqa=layer.attention.config.kv_heads != layer.attention.config.heads,
    )
    between_BTD = x_BTD + attention.output(mixed_BHTK.transpose(1, 2).flatten(-2))
    read_BTD = x_BTD if layer.parallel else between_BTD
    return between_BTD + layer.mlp(layer.mlp_norm(read_BTD))
