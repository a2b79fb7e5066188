"""Puts a finished demo's picture and figures into the pages that show them.

They stand between the marks ``<!-- demo -->``.

``python tools/showcase.py runs/demo`` after ``growlm demo``; ``make showcase`` does both.
"""

import re
import sys
from pathlib import Path

import vl_convert

from growlm.base.units import format_count, format_seconds
from growlm.report.accounts import accounts
from growlm.report.curves import final_loss
from growlm.report.figures import picture
from growlm.report.ledger_tables import equal_loss
from growlm.report.page import read
from growlm.report.palette import LIGHT
from growlm.report.view import RunView, StageView

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "tutorial.md")
PICTURE = ROOT / "docs" / "demo.svg"


def stage_row(stage: StageView) -> str:
    """Return a stage's line of the table."""
    flops = stage.flops_before + stage.flops
    loss = final_loss(stage)
    cells = (
        f"`{stage.name}`",
        str(stage.shape["layers"]),
        format_count(stage.parameters),
        format_count(stage.tokens),
        f"{flops:.3g}",
        "-" if loss is None else f"{loss:.3f}",
    )
    return f"| {' | '.join(cells)} |"


def figures(view: RunView) -> str:
    """Return the demo's figures in Markdown."""
    seconds = sum(stage.seconds for stage in view.stages)
    (account,) = accounts(view)
    scratch = account.charged.scratch.loss or account.loss
    lines = [
        "| stage | layers | parameters | tokens | FLOPs, parents included | validation loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *map(stage_row, view.stages),
        "",
        f"At equal compute, the parent charged, the grown model ends {scratch - account.loss:.2f} "
        "nats lower than the one from scratch. At equal loss:",
        "",
        equal_loss(view),
        "",
        f"Written by `make showcase` with growlm {view.growlm_version} on {view.created[:10]}: "
        f"{view.hardware}, seed {view.seed}, {format_seconds(seconds)} of training.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the picture and the figures of a run's folder."""
    view = read(Path(sys.argv[1]) / "results.json")
    svg = vl_convert.vegalite_to_svg(picture(view), config=dict(LIGHT))
    PICTURE.write_text(svg, encoding="utf-8")
    shown = f"<!-- demo -->\n{figures(view)}\n<!-- /demo -->"
    pattern = r"<!-- demo -->.*?<!-- /demo -->"
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        written = re.sub(pattern, lambda _: shown, text, flags=re.DOTALL)
        page.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
