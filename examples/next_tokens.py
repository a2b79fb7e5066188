"""Print what a checkpoint, or a Hugging Face folder, takes for the next token, with its shares.

python examples/next_tokens.py runs/demo/stages/grown/training/final "The module is"
"""

import sys
from pathlib import Path

import torch

import growlm

SHOWN = 5


def main(checkpoint: str, text: str) -> None:
    """Print the likeliest next tokens."""
    opened = growlm.load(checkpoint)
    model, tokenizer = opened.model(), opened.tokenizer
    ids = torch.tensor(tokenizer.encode([text]))
    with torch.no_grad():
        logits = model.logits(ids)[0, -1, : tokenizer.vocab_size]
    shares, tokens = logits.softmax(-1).topk(SHOWN)
    for share, token in zip(shares, tokens, strict=True):
        print(f"{float(share):.3f}  {tokenizer.decode([int(token)])!r}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {Path(__file__).name} CHECKPOINT TEXT")
    main(*sys.argv[1:])
