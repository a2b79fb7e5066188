"""The first weights, all drawn here, from a generator that is passed in."""

import math

import torch
from torch import nn

from growlm.model.gpt import GPT

STD = 0.02


def initialize(model: GPT, generator: torch.Generator) -> None:
    """Draw every weight: normal with standard deviation 0.02, outputs 0.02 / sqrt(2 layers).

    Gains start at one, biases and offsets at zero. GPT-2's scheme (Radford et al., 2019,
    section 2.3): the outputs of both sub-layers shrink with the depth they add up over.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            std = std_of(name, layers=model.config.layers)
            nn.init.normal_(parameter, std=std, generator=generator)
        else:
            nn.init.constant_(parameter, constant_of(name))


def std_of(name: str, *, layers: int) -> float:
    """Return the standard deviation of a matrix's first weights, in a model of so many layers."""
    is_output = name.endswith(("attention.output.weight", "mlp.down.weight"))
    return STD / math.sqrt(2 * layers) if is_output else STD


def constant_of(name: str) -> float:
    """Return what every entry of a vector begins as: one for gains, zero for the others."""
    return 1.0 if name.endswith("norm.weight") else 0.0
