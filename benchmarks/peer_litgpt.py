"""litgpt's side of ``peers.py``: its model and loss, stepped as its ``pretrain`` does.

It needs litgpt, and nothing of growlm.
"""

# litgpt need not be installed, and has no types:
# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import sys
import time
from argparse import Namespace
from importlib.metadata import version
from typing import Any

import torch
from lightning.fabric import Fabric
from litgpt import GPT, Config
from litgpt.pretrain import initialize_weights
from litgpt.utils import chunked_cross_entropy


def main() -> None:
    """Train some steps, and print how long each took."""
    options = Namespace(**json.loads(sys.argv[1]))
    torch.set_num_threads(options.threads)
    cuda = torch.cuda.is_available()
    fabric: Any = Fabric(devices=1, precision="bf16-mixed" if cuda else "32-true")
    model: Any = GPT(
        Config(
            n_layer=options.layers,
            n_head=options.heads,
            n_embd=options.width,
            block_size=options.context,
            vocab_size=options.vocab,
            padded_vocab_size=options.vocab,
            bias=False,
            parallel_residual=False,
            rotary_percentage=1.0,
            mlp_class_name="GptNeoxMLP",
            intermediate_size=4 * options.width,
        )
    )
    initialize_weights(fabric, model, n_layer=options.layers, n_embd=options.width)
    model.lm_head.weight = model.transformer.wte.weight
    count = sum(parameter.numel() for parameter in model.parameters())
    if options.compile:
        model = torch.compile(model)
    model = fabric.setup(model)
    optimizer: Any = fabric.setup_optimizers(
        torch.optim.AdamW(
            model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )
    )
    stream = torch.Generator().manual_seed(1)
    size = (options.steps, options.sequences, options.context + 1)
    ids = torch.randint(options.vocab, size, generator=stream).to(fabric.device)
    seconds: list[float] = []
    last = 0.0
    for batch in ids:
        start = time.perf_counter()
        loss = chunked_cross_entropy(model(batch[:, :-1]), batch[:, 1:].contiguous())
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        last = loss.item()
        seconds.append(time.perf_counter() - start)
    found = {
        "seconds": seconds,
        "loss": last,
        "parameters": count,
        "version": version("litgpt"),
        "torch": torch.__version__,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
