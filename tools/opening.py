"""Puts a finished study into the pages that show it: the README opens with its figure.

``python tools/opening.py runs/study-cpu`` after ``growlm study recipes/study-cpu.toml`` copies the
study's page, picture and figures to ``benchmarks/results``, names the command and the commit there,
and writes what stands between the marks ``<!-- study -->``. ``--aside`` leaves those as they are.
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from textwrap import fill
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = {
    ROOT / "README.md": "benchmarks/results",
    ROOT / "docs" / "index.md": "../benchmarks/results",
}


RANDOM = "copies = random"
"""What an arm differs in that is a control: layers at random, and no way to grow."""


def share(estimate: dict[str, float]) -> str:
    """Return a mean with its interval, in percent."""
    mean, low, high = (100 * estimate[key] for key in ("mean", "low", "high"))
    return f"{mean:.0f} % [{low:.0f}, {high:.0f}]"


def told(study: dict[str, Any]) -> str:
    """Return what a study found, in a few sentences: its best arm, and the parent trained on."""
    known = [
        each
        for each in study["results"]
        if each["accounts"][0]["saved"] is not None and RANDOM not in each["arm"]["differs"]
    ]
    best = max(known, key=lambda each: each["accounts"][0]["saved"]["mean"])
    charged, *_, free = (each["saved"] for each in best["accounts"])
    loss, name = best["loss"]["mean"], best["arm"]["name"]
    of = study["title"].partition(": ")[2]
    beyond = ", by a law that is read beyond the longest control" if best["extrapolated"] else ""
    sentences = [
        f"Validation loss against training compute: {of}, {len(study['seeds'])} seeds. Grey: "
        "training from scratch, each length at the best of its learning rates. The best of "
        f"{len(known)} ways to grow (`{name}`) saved {share(charged)} of the compute with the "
        f"parent charged, and {share(free)} with the parent free{beyond}; its final loss is "
        f"{loss:.3f}."
    ]
    if study["continued"] is not None:
        other = study["continued"]["loss"]["mean"]
        child = study["continued"]["name"].partition(".continued-")[2]
        end = "no bigger model was needed yet" if other < loss else "the bigger model was worth it"
        sentences.append(
            f"The parent trained on instead, with as much compute as `{child}` and its parent, "
            f"ended at {other:.3f}: at this size and length, {end}."
        )
    return " ".join(sentences)


def head() -> str:
    """Return the commit that is checked out."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout[:-1]


def keep(folder: Path, name: str) -> None:
    """Copy a study's files to the results; its page says by which command it was written."""
    for path in folder.glob("study.*"):
        shutil.copy(path, RESULTS / f"{name}{path.suffix}")
    page = RESULTS / f"{name}.md"
    by = (
        f"`growlm study recipes/{name}.toml`, told at commit {head()}; [the lab "
        "notebook](../../docs/log.md) says at which commits it was trained."
    )
    text = page.read_text(encoding="utf-8").replace("(study.png)", f"({name}.png)")
    page.write_text(text.replace("\n\n![", f"\n\n{by}\n\n![", 1), encoding="utf-8")


def block(study: dict[str, Any], results: str) -> str:
    """Return what a page shows of a study."""
    name = study["name"]
    words = (
        f"{told(study)} [All of it]({results}/{name}.md), written by "
        f"`growlm study recipes/{name}.toml`."
    )
    return (
        "<!-- study -->\n"
        f"![Final validation loss against training compute]({results}/{name}.png)\n\n"
        f"{fill(words, 100, break_long_words=False, break_on_hyphens=False)}\n"
        "<!-- /study -->"
    )


def main() -> None:
    """Copy a study's files, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the study's")
    parser.add_argument("--aside", action="store_true", help="leave the opening pages as they are")
    options = parser.parse_args()
    study = json.loads((options.folder / "study.json").read_text(encoding="utf-8"))
    keep(options.folder, study["name"])
    for place, results in () if options.aside else PAGES.items():
        before, _, rest = place.read_text(encoding="utf-8").partition("<!-- study -->")
        after = rest.partition("<!-- /study -->")[2]
        place.write_text(f"{before}{block(study, results)}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
