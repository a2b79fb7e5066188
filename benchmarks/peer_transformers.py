"""transformers' side of ``peers.py``: GPT-2 in its Trainer.

It needs transformers and accelerate, and nothing of growlm.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false

import json
import sys
import tempfile
import time
from argparse import Namespace
from typing import Any

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments


class Clock(TrainerCallback):
    """Notes how long each step takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.start = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Read the clock."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.start)


def main() -> None:
    """Train some steps, and print how long each took."""
    options = Namespace(**json.loads(sys.argv[1]))
    torch.set_num_threads(options.threads)
    transformers.set_seed(0)
    config = GPT2Config(
        n_layer=options.layers,
        n_head=options.heads,
        n_embd=options.width,
        n_positions=options.context,
        vocab_size=options.vocab,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    model: Any = GPT2LMHeadModel(config)
    stream = torch.Generator().manual_seed(1)
    size = (options.steps * options.sequences, options.context)
    rows = [
        {"input_ids": row, "labels": row}
        for row in torch.randint(options.vocab, size, generator=stream)
    ]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=options.sequences,
            max_steps=options.steps,
            learning_rate=3e-4,
            lr_scheduler_type="constant",
            adam_beta2=0.95,
            weight_decay=0.1,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            bf16=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
            torch_compile=options.compile,
            report_to=[],
            save_strategy="no",
            logging_strategy="steps",
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer: Any = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            callbacks=[clock],
        )
        trainer.train()
    found = {
        "seconds": clock.seconds,
        "loss": [each["loss"] for each in trainer.state.log_history if "loss" in each][-1],
        "parameters": sum(each.numel() for each in model.parameters()),
        "version": transformers.__version__,
        "torch": torch.__version__,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
