"""Near-duplicates: megabytes signed in a CPU-second, and how many planted copies are found.

``python benchmarks/duplicates.py TEXT ...`` takes text files (``.txt``, ``.jsonl``, packed or not;
folders and globs too), cuts them into documents, plants copies of sixty with small changes, and
prints a table; ``--out`` keeps it. ``--stock PYTHON`` runs datatrove's own steps beside it, with an
interpreter that has datatrove. Reading, cleaning, keys and writing are in the times.

A planted copy has 0.5% to 1.5% of its words replaced by others, every third line end moved, and
every second one its capitals or its punctuation gone. It is found when it, or its original, goes.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ratios import Ratio, keep
from setting import setting

from growlm.corpus.documents import documents
from growlm.corpus.duplicates import CLUSTERS, search
from growlm.corpus.engine import Engine, LocalEngine, Result, Work
from growlm.corpus.trove import TroveEngine
from growlm.recipe.duplicates import Duplicates
from growlm.recipe.sections import Source

PLANTED = 60
DOCUMENT_CHARACTERS = 8_000
SHORTEST_ORIGINAL = 4_000
STOCK_SECONDS = 300
"""After which it is given up: it hangs now and then."""

Row = dict[str, str]


def texts(patterns: Sequence[str]) -> Iterator[str]:
    """Yield texts of about 8,000 characters, cut at line ends."""
    source = Source(name="texts", files=tuple(patterns), weight=1.0)
    for document in documents(source, folder=Path.cwd()):
        start = 0
        while start < len(document.text):
            end = document.text.find("\n", start + DOCUMENT_CHARACTERS)
            end = len(document.text) if end < 0 else end
            yield document.text[start:end]
            start = end


def copy_of(text: str, number: int) -> str:
    """Return a copy with small changes."""
    stream = np.random.default_rng([11, number])
    share = 0.005 + 0.01 * number / PLANTED
    words = text.split(" ")
    for place in np.flatnonzero(stream.random(len(words)) < share):
        words[place] = f"word{stream.integers(10**6)}"
    changed = " ".join(words)
    lines = changed.split("\n")
    wrapped = "".join(line + (" " if n % 3 == 0 else "\n") for n, line in enumerate(lines))
    if number % 2:
        return wrapped.lower()
    return wrapped.replace(",", "").replace(";", "")


def planted(found: Sequence[str], megabytes: float) -> list[Row]:
    """Return the first documents, and behind them the copies of some."""
    rows: list[Row] = []
    size = 0
    for number, text in enumerate(found):
        rows.append({"id": f"d{number}", "text": text})
        size += len(text.encode())
        if size > megabytes * 1e6:
            break
    originals = [row for row in rows if len(row["text"]) >= SHORTEST_ORIGINAL]
    chosen = [originals[n * len(originals) // PLANTED] for n in range(PLANTED)]
    copies = [
        {"id": f"copy of {row['id']}", "text": copy_of(row["text"], number)}
        for number, row in enumerate(chosen)
    ]
    return [*rows, *copies]


def write(path: Path, rows: Sequence[Row]) -> float:
    """Write rows as JSON lines, and return the megabytes of their text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(lines, encoding="utf-8")
    return sum(len(row["text"].encode()) for row in rows) / 1e6


def recall(gone: Sequence[str], rows: Sequence[Row]) -> str:
    """Return how many planted copies were found, and how much else went."""
    names = set(gone)
    copies = [row["id"] for row in rows if row["id"].startswith("copy of ")]
    found = [each for each in copies if {each, each.removeprefix("copy of ")} & names]
    others = len(names) - len(found)
    return f"{len(found)} of {len(copies)}; {others} others"


def source_of(path: Path) -> Source:
    """Return the section of a file of rows."""
    return Source(name="rows", files=(path.name,), weight=1.0, id_field="id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An engine that keeps the CPU-seconds of its tasks, start to end."""

    engine: Engine
    seconds: list[float]

    def run(self, work: Work, tasks: Sequence[Any], *, out: Path, key: str) -> list[Result]:
        """Return what every task came to."""
        results = self.engine.run(work, tasks, out=out, key=key)
        self.seconds.append(sum(result["seconds"] for result in results))
        return results


def searched(path: Path, place: Path, engine: Timed) -> list[str]:
    """Return the ids of what goes."""
    search([source_of(path)], Duplicates(), folder=path.parent, out=place, engine=engine)
    lines = (place / CLUSTERS).read_text(encoding="utf-8").splitlines()
    return [each["id"] for line in lines for each in json.loads(line)["dropped"]]


def stock(python: str, rows: Sequence[Row], place: Path) -> dict[str, Any]:
    """Return what datatrove's own steps come to."""
    write(place / "in" / "rows.jsonl", rows)
    script = Path(__file__).with_name("datatrove_stock.py")
    done = subprocess.run(
        [python, str(script), str(place)],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=STOCK_SECONDS,
    )
    return json.loads(done.stdout.splitlines()[-1])


def cells(
    options: argparse.Namespace, found: Sequence[str], place: Path
) -> Iterator[tuple[str, str, str, str]]:
    """Yield what was measured of ours: the step, megabytes, their speed, what was found."""
    rows = planted(found, options.megabytes)
    path = place / "rows.jsonl"
    size = write(path, rows)
    engines: dict[str, Engine] = {"growlm": LocalEngine(workers=1)}
    if options.trove:
        trove = TroveEngine(executor="trove", workers=1, options={})
        engines["growlm, inside datatrove's executor"] = trove
    for name, engine in engines.items():
        timed, gone = Timed(engine=engine, seconds=[]), list[str]()
        for repeat in range(options.repeats):
            gone = searched(path, place / f"{name} {repeat}", timed)
        speeds = sorted(size / seconds for seconds in timed.seconds)
        spread = f"{statistics.median(speeds):.1f} ({speeds[0]:.1f} to {speeds[-1]:.1f})"
        yield name, f"{size:.1f}", spread, recall(gone, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Ours and datatrove's own step on the same rows, one after the other."""

    megabytes: float
    ours: float
    """Megabytes in a CPU-second."""
    theirs: float
    found: str
    """What theirs found."""


def beside(options: argparse.Namespace, rows: Sequence[Row], place: Path) -> list[Turn]:
    """Return what turns of ours and of datatrove's own step came to."""
    path = place / "beside.jsonl"
    size = write(path, rows)
    turns: list[Turn] = []
    for repeat in range(options.stock_repeats):
        timed = Timed(engine=LocalEngine(workers=1), seconds=[])
        searched(path, place / f"beside {repeat}", timed)
        told = stock(options.stock, rows, place / f"stock {repeat}")
        turns.append(
            Turn(
                megabytes=size,
                ours=size / timed.seconds[0],
                theirs=size / told["seconds"][0],
                found=recall(told["gone"], rows),
            )
        )
    return turns


def stock_cells(turns: Sequence[Turn]) -> tuple[str, str, str, str]:
    """Return what was measured of datatrove's own step."""
    speeds = sorted(turn.theirs for turn in turns)
    spread = f"{statistics.median(speeds):.2f} ({speeds[0]:.2f} to {speeds[-1]:.2f})"
    return "datatrove's own step", f"{turns[0].megabytes:.1f}", spread, turns[0].found


def ratio(options: argparse.Namespace, turns: Sequence[Turn]) -> Ratio:
    """Return ours beside datatrove's own step."""
    return Ratio(
        what=f"signing {turns[0].megabytes:.1f} MB for near-duplicates",
        peer=f"datatrove {version_in(options.stock)}, its own step",
        unit="MB per CPU-second",
        better="more",
        ours=tuple(turn.ours for turn in turns),
        theirs=tuple(turn.theirs for turn in turns),
        remark=f"of planted copies theirs finds {turns[0].found}",
    )


def version_in(python: str) -> str:
    """Return the version of datatrove that an interpreter has."""
    code = "from importlib.metadata import version; print(version('datatrove'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def main() -> None:
    """Print the table, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+", help="files, folders or globs")
    parser.add_argument("--megabytes", type=float, default=50.0, help="of text that is signed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trove", action="store_true", help="datatrove's executor, too")
    parser.add_argument("--stock", help="an interpreter with datatrove and spaCy")
    parser.add_argument("--stock-megabytes", type=float, default=4.0, help="for it: it is slow")
    parser.add_argument("--stock-repeats", type=int, default=3, help="turns beside it")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory() as folder:
        found, place = list(texts(options.texts)), Path(folder)
        rows = [*cells(options, found, place)]
        if options.stock:
            turns = beside(options, planted(found, options.stock_megabytes), place)
            rows.append(stock_cells(turns))
    table = [
        "| step | MB of text | MB per CPU-second (spread) | planted copies found |",
        "| --- | ---: | ---: | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    details = ["one core", f"Python {platform.python_version()}", f"numpy {np.__version__}"]
    shown = "\n".join(["# Near-duplicates", "", setting(*details) + ".", "", *table])
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")
        if turns:
            keep(options.out, [ratio(options, turns)], details=details)


if __name__ == "__main__":
    main()
