"""Puts a finished study into the pages that show it: the README opens with its figure.

``python tools/opening.py runs/study-cpu --beside runs/study-long`` after ``growlm study`` on both
recipes copies their pages, pictures and figures to ``benchmarks/results``, names command and commit
there, and writes what stands between the marks ``<!-- study -->``.
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


def best_of(study: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the way to grow that saved the most with the parent charged, and of how many."""
    known = [
        each
        for each in study["results"]
        if each["accounts"][0]["saved"] is not None and RANDOM not in each["arm"]["differs"]
    ]
    return max(known, key=lambda each: each["accounts"][0]["saved"]["mean"]), len(known)


def told(study: dict[str, Any]) -> str:
    """Return what a study found, in a few sentences: its best arm, and the parent trained on."""
    best, ways = best_of(study)
    charged, *_, free = (each["saved"] for each in best["accounts"])
    beyond = ", by a law that is read beyond the longest control" if best["extrapolated"] else ""
    sentences = [
        f"Validation loss against training compute {where(study)}: {what(study)}, "
        f"{len(study['seeds'])} seeds. Grey: training from scratch, each length at the best "
        f"of its {tries(study)}. The best of {ways} ways to grow (`{best['arm']['name']}`) "
        f"saved {share(charged)} of the compute with the parent charged, and {share(free)} with "
        f"the parent free{beyond}.{itself(study, best)}"
    ]
    if study["continued"] is not None:
        sentences.append(
            f"The parent trained on instead, with as much compute as `{child_of(study)}` and its "
            f"parent, ended {apart(study)}."
        )
    return " ".join(sentences)


def itself(study: dict[str, Any], best: dict[str, Any]) -> str:
    """Return what the recipe's own child saved, where another did better: nobody chose it after."""
    own = next(each for each in study["results"] if not each["arm"]["differs"])
    saved = own["accounts"][0]["saved"]
    if own is best or saved is None:
        return ""
    return f" The recipe's own (`{own['arm']['name']}`) saved {share(saved)}, the parent charged."


def tries(study: dict[str, Any]) -> str:
    """Return what was tuned from scratch."""
    schedules = {each.get("schedule", "") for each in study["tried"]}
    return "learning rates and schedules" if len(schedules) > 1 else "learning rates"


def where(study: dict[str, Any]) -> str:
    """Return what a study's title says before its colon, as "at 20 tokens for each parameter"."""
    return study["title"].partition(": ")[0].removeprefix("What growing saves ")


def what(study: dict[str, Any]) -> str:
    """Return what it says behind the colon, as "children of 0.1M parameters"."""
    return study["title"].partition(": ")[2]


def child_of(study: dict[str, Any]) -> str:
    """Return the child that the parent trained on stands beside."""
    return study["continued"]["name"].partition(".continued-")[2]


def apart(study: dict[str, Any]) -> str:
    """Return by how much the parent trained on ended lower or higher than its child."""
    behind = study["continued"]["behind"]["mean"]
    return f"{abs(behind):.2f} nats {'lower' if behind < 0 else 'higher'} than that child"


def beside(study: dict[str, Any], results: str) -> str:
    """Return a sentence on another study."""
    best, _ = best_of(study)
    charged, *_, free = (each["saved"] for each in best["accounts"])
    more = "" if study["continued"] is None else f"; the parent trained on ended {apart(study)}"
    at = where(study)
    return (
        f"{at[0].upper()}{at[1:]} ([{what(study)}]({results}/{study['name']}.md)) the best saved "
        f"{share(charged)} charged and {share(free)} free{more}."
    )


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


def block(study: dict[str, Any], other: dict[str, Any] | None, results: str) -> str:
    """Return what a page shows of a study, and of another beside it."""
    name = study["name"]
    words = [
        told(study),
        f"[All of it]({results}/{name}.md), written by `growlm study recipes/{name}.toml` on text "
        "that you bring.",
        *([] if other is None else [beside(other, results)]),
    ]
    return (
        "<!-- study -->\n"
        f"![Final validation loss against training compute]({results}/{name}.png)\n\n"
        f"{fill(' '.join(words), 100, break_long_words=False, break_on_hyphens=False)}\n"
        "<!-- /study -->"
    )


def findings(folder: Path) -> dict[str, Any]:
    """Return what a finished study's folder says, and keep its files with the results."""
    study: dict[str, Any] = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    keep(folder, study["name"])
    return study


def main() -> None:
    """Copy the studies' files, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the study that the pages open with")
    parser.add_argument("--beside", type=Path, help="the folder of another, told in a sentence")
    options = parser.parse_args()
    study = findings(options.folder)
    other = None if options.beside is None else findings(options.beside)
    for place, results in PAGES.items():
        before, _, rest = place.read_text(encoding="utf-8").partition("<!-- study -->")
        after = rest.partition("<!-- /study -->")[2]
        place.write_text(f"{before}{block(study, other, results)}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
