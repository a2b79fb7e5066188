"""Scores beside overlap, as ``growlm evaluate`` shows them in the terminal."""

from collections.abc import Sequence

from rich.table import Table

from growlm.report.contamination_tables import LINEAGES, VERDICTS
from growlm.report.contamination_view import ContaminationView
from growlm.report.frozen import MeanView


def contamination_table(found: Sequence[ContaminationView]) -> Table:
    """Return a row for every score: on all, clean and dirty examples, with what is known of it."""
    table = Table("checkpoint", "task", "metric")
    for name in ("all", "clean", "dirty"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    table.add_column("lineage")
    table.add_column("gained beyond the rest", justify="right")
    for each in found:
        parts = [each.subset(name) for name in ("clean", "dirty")]
        table.add_row(
            each.stage if each.checkpoint == "final" else f"{each.stage}, {each.checkpoint}",
            each.task,
            each.metric,
            _mean(each.everything),
            *(_mean(part.mean if part else None) for part in parts),
            VERDICTS[each.verdict],
            LINEAGES[each.known] or "known",
            _difference(each),
        )
    return table


def _mean(found: MeanView | None) -> str:
    return "-" if found is None else f"{found.value:.3f} ± {found.stderr:.3f} ({found.count:,})"


def _difference(each: ContaminationView) -> str:
    """Return how much more was gained on what was trained on, and what that says."""
    found = each.difference
    if found is None:
        return "-"
    return f"{found.value:+.3f} ± {found.stderr:.3f} ({VERDICTS[found.verdict]})"
