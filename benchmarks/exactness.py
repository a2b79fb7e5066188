"""How exact the exact operators are: the largest logit difference of each, over many shapes.

``python benchmarks/exactness.py docs/ideas/growth.md`` writes the table between the page's marks.
"""

import argparse
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from growlm.base.errors import GrowthError
from growlm.growth.apply import Grower
from growlm.growth.comparison import measure
from growlm.growth.target import Operators, Target, growth_plan
from growlm.model.config import GPTConfig
from growlm.model.gpt import GPT
from growlm.model.streamed import Streamed
from growlm.model.weights import cast, held

GROWTHS: dict[str, tuple[Target, str]] = {
    "insert, 4 to 7 layers": (Target(layers=7), "uneven"),
    "MLP units, 192 to 300": (Target(mlp=300), "uneven"),
    "MLP units, 192 to 300, noised": (Target(mlp=300), "noised"),
    "heads, 6 to 8": (Target(heads=8), "uneven"),
    "head width, twice": (Target(head_width=16), "uneven"),
    "head width, 8 to 12": (Target(head_width=12), "uneven"),
    "residual, twice": (Target(width=96), "uneven"),
    "residual, twice, noised": (Target(width=96), "noised"),
    "residual, 48 to 72": (Target(width=72), "uneven"),
    "all together": (Target(layers=7, width=72, heads=8, mlp=300), "uneven"),
    "all together, noised": (Target(layers=7, width=120, heads=8, mlp=400), "noised"),
}
"""Every growth: the child's sizes, and how units are added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The worst of one growth over all shapes that it can grow."""

    growth: str
    shapes: int
    refused: int
    worst: dict[str, float]
    """By number format; fp32 and bf16 as shares of the largest logit."""


def shapes() -> Iterator[GPTConfig]:
    """Yield every kind of model."""
    for positions, norm, tied, bias in itertools.product(
        ("alibi", "learned", "rotary"), ("layernorm", "rmsnorm"), (True, False), (True, False)
    ):
        yield shape(positions=positions, norm=norm, tied=tied, bias=bias)


def shape(*, bias: bool, **kind: Any) -> GPTConfig:
    """Return a small shape of one kind."""
    return GPTConfig(
        **kind,
        layers=4,
        heads=6,
        kv_heads=6,
        width=48,
        head_width=8,
        mlp=192,
        context=32,
        vocab_size=250,
        padded_vocab_size=256,
        activation="gelu",
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
        norm_bias=bias,
        parallel=False,
        qk_norm=False,
        norm_eps=1e-5,
        rotary_base=10_000.0,
        rotary_share=1.0,
        dropout=0.0,
        attention_dropout=0.0,
    )


def drawn(config: GPTConfig) -> GPT:
    """Return a model whose every weight is drawn, so that nothing hides behind a zero."""
    model, stream = GPT(config), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = 1.0 if name.endswith("norm.weight") else 0.0
            parameter.copy_(gain + 0.1 * torch.randn(parameter.shape, generator=stream))
    return model


def row(name: str, target: Target, units: str) -> Row:
    """Return the worst of one growth."""
    operators = Operators(
        depth="insert", layer_map=None, widen="lemon", units=units, copies="plain"
    )
    ids = torch.randint(250, (4, 33), generator=torch.Generator().manual_seed(2))
    worst, grown, refused = dict[str, float](), 0, 0
    for config in shapes():
        parent = drawn(config)
        try:
            plan = growth_plan(config, target, operators, seed=0)
        except GrowthError:
            refused += 1
            continue
        read = held(parent.state_dict())
        child, exact = (Grower(plan).reader(each) for each in (read, cast(read, torch.float64)))
        models = Streamed(config, read), Streamed(plan.child, child), Streamed(plan.child, exact)
        grown += 1
        for found in measure(*models, [ids]):
            scale = 1.0 if found.dtype == "float64" else found.largest_logit
            worst[found.dtype] = max(
                worst.get(found.dtype, 0.0), found.max_logit_difference / scale
            )
    return Row(growth=name, shapes=grown, refused=refused, worst=worst)


def table() -> str:
    """Return the table in Markdown."""
    lines = [
        "| growth | shapes | refused | fp64 | fp32, of the largest logit | bf16, the same |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, (target, units) in GROWTHS.items():
        found = row(name, target, units)
        cells = [f"{found.worst[each]:.1e}" for each in ("float64", "float32", "bfloat16")]
        lines.append(f"| {name} | {found.shapes} | {found.refused} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it into a page if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", help="a page with marks for the table")
    options = parser.parse_args()
    shown = table()
    print(shown)
    if options.page is not None:
        text = options.page.read_text(encoding="utf-8")
        marked = f"<!-- exactness -->\n{shown}\n<!-- /exactness -->"
        pattern = r"<!-- exactness -->.*?<!-- /exactness -->"
        written = re.sub(pattern, lambda _: marked, text, flags=re.DOTALL)
        options.page.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
