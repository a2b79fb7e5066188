"""growlm's side of ``peers.py``: the training loop itself, on ids that were drawn."""

import json
import sys
from argparse import Namespace

import torch
from train_step import asked_shape

from growlm.base.version import VERSION
from growlm.model.cost import parameters
from growlm.model.gpt import GPT
from growlm.model.init import initialize
from growlm.optim.adamw import AdamWSettings, adamw
from growlm.optim.schedule import Cosine
from growlm.training.device import choose_device, compile_layers
from growlm.training.loop import train
from growlm.training.state import TrainState
from growlm.training.step import Batch, StepSettings


def main() -> None:
    """Train some steps, and print how long each took."""
    options = Namespace(**json.loads(sys.argv[1]), mlp=None, positions="alibi")
    torch.set_num_threads(options.threads)
    config, device = asked_shape(options), choose_device()
    model = GPT(config)
    initialize(model, torch.Generator().manual_seed(0))
    model = model.to(device)
    if options.compile:
        compile_layers(model)
    stream = torch.Generator().manual_seed(1)
    size = (options.steps, options.sequences, options.context + 1)
    ids = torch.randint(options.vocab, size, generator=stream)
    records = list(
        train(
            TrainState(
                model=model,
                optimizer=adamw(
                    model,
                    AdamWSettings(peak_lr=3e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1),
                ),
                step=0,
                cursor=0,
            ),
            lambda cursor: Batch(
                ids=ids[cursor // options.sequences], documents=None, counted=None
            ).to(device),
            Cosine(warmup_steps=0, steps=options.steps, final_share=1.0),
            steps=options.steps,
            peak_lr=3e-4,
            settings=StepSettings(
                micro_sequences=options.sequences, clip_norm=1.0, clip_value=None
            ),
        )
    )
    found = {
        "seconds": [record.seconds for record in records],
        "loss": records[-1].loss,
        "parameters": parameters(config),
        "version": VERSION,
        "torch": torch.__version__,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
