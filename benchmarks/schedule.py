"""Is it the growing, or the plateau: what a study's children save against controls on a plateau.

``python benchmarks/schedule.py STUDY RUN [RUN ...]`` after ``growlm study recipes/study-cpu.toml``
and ``growlm train recipes/study-schedule.toml --stage plateau`` and ``--stage plateau-long``, one
folder for each seed. Losses are read on straight lines in log-log from one control to the next, for
two controls bear no law. ``--out`` keeps the page.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from recorded import view_of
from setting import commit, today

from growlm.report.curves import final_loss
from growlm.report.interval import interval
from growlm.report.law import Point, between
from growlm.report.view import RunView, StageView
from growlm.report.words import code, flops, number, share, table

PLATEAU = ("plateau", "plateau-long")
"""The controls on a plateau, by length."""


def ends(view: RunView, names: Sequence[str]) -> list[Point]:
    """Return what some stages took and where they ended, in the order of their compute."""
    stages = {stage.name: stage for stage in view.stages}
    return sorted((_end(stages[name]) for name in names), key=lambda point: point.compute)


def _end(stage: StageView) -> Point:
    loss = final_loss(stage)
    if loss is None:
        raise SystemExit(f"{stage.name} is not finished")
    return Point(compute=stage.flops_before + stage.flops, loss=loss)


def rows(
    arms: Sequence[str],
    studied: Sequence[RunView],
    sides: Sequence[Sequence[Sequence[Point]]],
) -> Iterator[list[str]]:
    """Yield for each arm what it saved, the parent charged, against each kind of controls."""
    for arm in arms:
        own = [ends(view, [arm])[0] for view in studied]
        cells = [code(arm), ", ".join(number(point.loss, 4) for point in own)]
        for side in sides:
            pairs = [
                (point, between(seed, point.loss)) for point, seed in zip(own, side, strict=True)
            ]
            known = [1 - point.compute / needed for point, needed in pairs if needed is not None]
            beyond = any(point.loss < seed[-1].loss for point, seed in zip(own, side, strict=True))
            cells.append(_said(known) + (", extrapolated" if beyond else ""))
        yield cells


def _said(shares: Sequence[float]) -> str:
    found = interval(shares)
    if found is None or found.low is None or found.high is None:
        return ", ".join(map(share, shares))
    return f"{share(found.mean)} [{share(found.low)}, {share(found.high)}]"


def page(options: argparse.Namespace) -> str:
    """Return the page in Markdown."""
    found = json.loads((options.study / "study.json").read_text(encoding="utf-8"))
    plateaus = [view_of(folder) for folder in options.run]
    studied = [view_of(options.study / f"seed-{view.seed}") for view in plateaus]
    lines = [
        name
        for tried in found["tried"]
        if tried["best"]
        for name in [f"scratch-x{tried['compute']:g}-lr{tried['peak_lr']:g}"]
    ]
    down = [ends(view, lines) for view in studied]
    flat = [ends(view, PLATEAU) for view in plateaus]
    controls = [
        [flops(at[0].compute), kind, ", ".join(number(point.loss, 4) for point in at)]
        for kind, seeds in (("down from the first step on", down), ("a plateau for half", flat))
        for at in zip(*seeds, strict=True)
    ]
    arms = [each["arm"]["name"] for each in found["results"]]
    seeds = ", ".join(str(view.seed) for view in plateaus)
    head = ("Arm", "Final loss by seed", "Against rates that go down", "Against a plateau for half")
    return "\n\n".join(
        [
            f"# Is it the growing, or the plateau? {found['name']}",
            "Share of the compute from scratch saved at equal loss, the parent charged: mean over "
            "seeds, and its 95 % interval. Read on straight lines in log-log between the controls.",
            f"`growlm train recipes/study-schedule.toml --stage plateau`, `--stage plateau-long`, "
            f"then `python benchmarks/schedule.py`: seeds {seeds}; {plateaus[0].hardware}; "
            f"{today()}, commit {commit()}.",
            table(("FLOPs", "Controls", "Final loss by seed"), controls, words=(1, 2)),
            table(head, list(rows(arms, studied, (down, flat))), words=(0, 1, 2, 3)),
            "The controls on a plateau have one learning rate, that of the others; another may be "
            "better still. No schedule of the children was tuned.",
        ]
    )


def main() -> None:
    """Print the page, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="a study's folder")
    parser.add_argument("run", type=Path, nargs="+", help="a run of recipes/study-schedule.toml")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    text = page(options) + "\n"
    print(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
