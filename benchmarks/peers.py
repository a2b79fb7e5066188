"""A training step beside those of other trainers, at one shape, in one run: tokens a second.

``python benchmarks/peers.py --python PYTHON`` times growlm, litgpt and transformers in turns,
``--rounds`` of them, each in a process of its own; PYTHON is an interpreter that has litgpt
and transformers. All train the same number of parameters on the same ids with fused AdamW and
clipping, in fp32 on a CPU and in bf16 on a GPU, compiled if ``--compile`` says so; ours with ALiBi,
litgpt with rotary, transformers with learned positions. ``--out`` keeps the table.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ratios import Ratio, keep
from setting import setting

HERE = Path(__file__).parent
WARM = 3
"""Steps that do not count."""


def timed(script: str, python: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what a trainer's script says of its steps."""
    words = [python, str(HERE / script), json.dumps(vars(options), default=str)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Take turns, and print what came of them."""
    options = _options()
    trainers = {"growlm": ("peer_growlm.py", sys.executable)}
    if options.python:
        trainers["litgpt"] = ("peer_litgpt.py", options.python)
        trainers["transformers"] = ("peer_transformers.py", options.python)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trainers}
    for _ in range(options.rounds):
        for name, (script, python) in trainers.items():
            found[name].append(timed(script, python, options))
    page = _page(options, found)
    print(page)
    if options.out:
        options.out.write_text(page + "\n", encoding="utf-8")
        keep(options.out, _ratios(options, found), details=_details(options, found))


def _ratios(options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> list[Ratio]:
    speeds = _speeds(options, found)
    how = "compiled" if options.compile else "not compiled"
    return [
        Ratio(
            what=f"a training step, {rounds[-1]['parameters'] / 1e6:.1f}M parameters",
            peer=f"{name} {rounds[-1]['version']}",
            unit="tokens/s",
            better="more",
            ours=tuple(speeds["growlm"]),
            theirs=tuple(speeds[name]),
            remark=how,
        )
        for name, rounds in found.items()
        if name != "growlm"
    ]


def _speeds(
    options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]
) -> dict[str, list[float]]:
    tokens = options.sequences * options.context
    return {
        name: [tokens / statistics.median(each["seconds"][WARM:]) for each in rounds]
        for name, rounds in found.items()
    }


def _details(
    options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]
) -> tuple[str, str]:
    return f"{options.threads} threads", f"torch {found['growlm'][0]['torch']}"


def _page(options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> str:
    speeds = _speeds(options, found)
    lines = [
        "# A training step beside other trainers",
        "",
        f"{options.layers} layers, width {options.width}, {options.heads} heads, context "
        f"{options.context}, vocabulary {options.vocab}; {options.sequences} sequences a step; "
        f"{'compiled' if options.compile else 'not compiled'}. Medians of {options.rounds} turns "
        f"of {options.steps - WARM} steps, after {WARM} to warm up; the ratio is of turns beside "
        "each other, with its range.",
        "",
        setting(*_details(options, found)) + ".",
        "",
        "| trainer | parameters | tokens/s | growlm over it | last loss |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, rounds in found.items():
        last = rounds[-1]
        lines.append(
            f"| {name} {last['version']} | {last['parameters']:,} | "
            f"{statistics.median(speeds[name]):,.0f} | {_ratio(speeds['growlm'], speeds[name])} | "
            f"{last['loss']:.3f} |"
        )
    return "\n".join(lines)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--vocab", type=int, default=8_192)
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--python", help="an interpreter with litgpt and transformers")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
