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
    output_std = STD / math.sqrt(2 * model.config.layers)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            is_output = name.endswith(("attention.output.weight", "mlp.down.weight"))
            nn.init.normal_(parameter, std=output_std if is_output else STD, generator=generator)
        else:
            is_gain = name.endswith("norm.weight")
            nn.init.constant_(parameter, 1.0 if is_gain else 0.0)
