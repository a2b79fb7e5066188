"""Train a recipe's stage, grow it by silent layers, and score both on the same held-out text.

    python examples/train_and_grow.py recipes/demo.toml base child

The child computes what its parent computes, so both have the same bits per byte: what it gained is
room to learn.
"""

import sys
from pathlib import Path

import growlm


def main(recipe_path: str, stage: str, child_path: str) -> None:
    """Train, grow and score."""
    recipe = growlm.Recipe(recipe_path)
    parent = growlm.train(recipe, stage=stage)
    layers = 2 * parent.config.layers
    child = growlm.grow(parent.path, child_path, layers=layers, depth="insert", run=recipe.out)
    for name, model in (("parent", parent), ("child", child)):
        scores = growlm.evaluate(model, run=recipe.out)[0]
        worth = ", ".join(f"{key} {bits:.4f}" for key, bits in scores.bits_per_byte.items())
        print(f"{name}: {model.config.layers} layers, bits per byte: {worth}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {Path(__file__).name} RECIPE STAGE CHILD")
    main(*sys.argv[1:])
