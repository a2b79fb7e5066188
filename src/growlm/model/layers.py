"""The parts of a layer: norm, MLP, and the pre-norm layer itself."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from growlm.model.attention import Attention
from growlm.model.config import GPTConfig
from growlm.model.flex import Flex
from growlm.model.recompute import Checkpointing, recomputed
from growlm.model.undrawn import Linear


class Norm(nn.Module):
    """LayerNorm or RMSNorm, with or without an offset."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.centred = config.norm == "layernorm"
        self.eps = config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.width))
        self.bias = nn.Parameter(torch.zeros(config.width)) if config.norm_bias else None

    def forward(self, x_BTD: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Normalise each token's vector."""
        shape = (x_BTD.shape[-1],)
        if self.centred:
            return F.layer_norm(x_BTD, shape, self.weight, self.bias, self.eps)
        normed_BTD = F.rms_norm(x_BTD, shape, self.weight, self.eps)
        return normed_BTD if self.bias is None else normed_BTD + self.bias


class MLP(nn.Module):
    """``down(gelu(up x))``, or ``down(silu(gate x) * up x)``.

    ``gelu`` is exact; ``gelu-tanh`` approximates it by a hyperbolic tangent, as GPT-2 does.
    Hendrycks and Gimpel, arXiv:1606.08415; Shazeer, arXiv:2002.05202.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        bias = config.mlp_bias
        self.approximate = "tanh" if config.activation == "gelu-tanh" else "none"
        self.gate = (
            Linear(config.width, config.mlp, bias=bias) if config.activation == "swiglu" else None
        )
        self.up = Linear(config.width, config.mlp, bias=bias)
        self.down = Linear(config.mlp, config.width, bias=bias)

    def forward(self, x_BTD: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Transform each token by itself."""
        if self.gate is None:
            return self.down(F.gelu(self.up(x_BTD), approximate=self.approximate))
        return self.down(F.silu(self.gate(x_BTD)) * self.up(x_BTD))


class Layer(nn.Module):
    """Attention and MLP, each behind a norm and beside the residual stream.

    One after the other; or, in parallel, both on the layer's input (Wang and Komatsuzaki, GPT-J,
    2021; Black et al., arXiv:2204.06745).
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = Norm(config)
        self.attention = Attention(config)
        self.mlp_norm = Norm(config)
        self.mlp = MLP(config)
        self.dropout = config.dropout
        self.parallel = config.parallel
        self.random = bool(config.dropout or config.attention_dropout)
        self.checkpointing: Checkpointing = "none"

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        bias: Float[Tensor, "_ _ T T"] | Flex | None,
        angles: tuple[Tensor, Tensor] | None,
    ) -> Float[Tensor, "B T D"]:
        """Add what attention and MLP find to the residual stream.

        While gradients are asked for, it keeps what ``checkpointing`` says.
        """
        if self.checkpointing == "none" or not (self.training and torch.is_grad_enabled()):
            return self._add(x_BTD, bias, angles)
        return recomputed(
            self._add,
            *(x_BTD, bias, angles),
            checkpointing=self.checkpointing,
            random=self.random,
        )

    def _add(
        self, x_BTD: Tensor, bias: Tensor | Flex | None, angles: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        between = x_BTD + self._drop(self.attention(self.attention_norm(x_BTD), bias, angles))
        read_BTD = x_BTD if self.parallel else between
        return between + self._drop(self.mlp(self.mlp_norm(read_BTD)))

    def _drop(self, x_BTD: Tensor) -> Tensor:
        return F.dropout(x_BTD, self.dropout, self.training) if self.dropout else x_BTD
