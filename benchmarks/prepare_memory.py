"""Memory of ``growlm prepare``: its peak for a small and for a large corpus of the same kind.

``python benchmarks/prepare_memory.py`` makes texts of 50 and of 500 MB, half of them JSON lines of
some 4,000 characters, half of them books of half a million, prepares each with tiktoken and without
it, and prints the largest resident memory of any one process; ``--out`` keeps the table. ``TMPDIR``
says on which disk. ``--duplicates`` looks for copies first.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from setting import setting
from watched import watched

SHORT_CHARACTERS, LONG_CHARACTERS = 4_000, 500_000
WORDS = 50_000
LINE_WORDS = 12
POOL_WORDS = 4_000_000

RECIPE = """\
name = "memory"

[tokenizer]
{tokenizer}

[[source]]
name = "web"
files = ["web.jsonl"]
weight = 1.0

[[source]]
name = "books"
files = ["books/*.txt"]
weight = 1.0

[validation]
share = 0.2
tokens = 256
{duplicates}
[[stage]]
name = "base"
model = {{ layers = 1, heads = 2, width = 16 }}
context = 16
tokens = 1024
batch = 128
optimizer = {{ peak_lr = 1e-2 }}
schedule = {{ kind = "cosine", warmup_steps = 2 }}
"""

WITHOUT_TIKTOKEN = "import sys; sys.modules['tiktoken'] = None"
PREPARE = "import sys; from growlm.cli.main import main; sys.exit(main(sys.argv[1:]))"


def pool() -> str:
    """Return a stretch of made-up words that documents are cut from, common ones more often."""
    stream = np.random.default_rng(5)
    letters = np.array(list("etaoinshrdlucmfwypvbgk\u00e9"))
    lengths = stream.integers(2, 10, WORDS)
    words = np.array(["".join(stream.choice(letters, length)) for length in lengths])
    drawn = words[np.minimum(stream.zipf(1.2, POOL_WORDS), WORDS) - 1]
    lines = (" ".join(line) for line in np.array_split(drawn, POOL_WORDS // LINE_WORDS))
    return "\n".join(lines)


def cut(text: str, *, megabytes: float, characters: int, seed: int) -> Iterator[str]:
    """Yield stretches of a text, about as long as asked, that come to some megabytes."""
    stream = np.random.default_rng(seed)
    left = megabytes * 1e6
    while left > 0:
        size = int(characters * stream.uniform(0.5, 1.5))
        start = int(stream.integers(len(text) - size))
        document = text[start : start + size]
        left -= len(document.encode())
        yield document


def write_texts(folder: Path, text: str, *, megabytes: float) -> None:
    """Write a corpus: half of it short documents, half of it books."""
    half = megabytes / 2
    with (folder / "web.jsonl").open("w", encoding="utf-8") as file:
        for document in cut(text, megabytes=half, characters=SHORT_CHARACTERS, seed=1):
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
    (folder / "books").mkdir()
    books = cut(text, megabytes=half, characters=LONG_CHARACTERS, seed=2)
    for number, document in enumerate(books):
        (folder / f"books/{number:05}.txt").write_text(document, encoding="utf-8")


def recipe(options: argparse.Namespace) -> str:
    """Return the recipe's text."""
    trained = 'vocab_size = 4096\ntrain_documents = 300\nend_of_text = "<|endoftext|>"'
    brought = options.tokenizer and f'file = "{options.tokenizer.resolve()}"'
    duplicates = "\n[duplicates]\nworkers = 1\n" if options.duplicates else ""
    return RECIPE.format(tokenizer=brought or trained, duplicates=duplicates)


def prepared(folder: Path, *, tiktoken: bool) -> tuple[float, float]:
    """Return the seconds that prepare took, and the largest resident memory in MiB."""
    program = PREPARE if tiktoken else f"{WITHOUT_TIKTOKEN}; {PREPARE}"
    out = folder / f"run-{tiktoken}"
    words = ["prepare", str(folder / "recipe.toml"), "--out", str(out), "--quiet"]
    taken = watched([sys.executable, "-c", program, *words])
    return taken.seconds, taken.resident_mib


def rows(options: argparse.Namespace) -> Iterator[str]:
    """Yield the rows of the table."""
    text = pool()
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_texts(folder, text, megabytes=megabytes)
            (folder / "recipe.toml").write_text(recipe(options), encoding="utf-8")
            found = [prepared(folder, tiktoken=tiktoken) for tiktoken in (True, False)]
        cells = [f"{seconds:.0f} s | {peak:,.0f} MiB" for seconds, peak in found]
        yield f"| {megabytes:g} MB | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, and keep it in a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[50.0, 500.0], help="of text")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json; else one is trained")
    parser.add_argument("--duplicates", action="store_true", help="look for copies, too")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    table = [
        "| text | with tiktoken | peak memory | without it | peak memory |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *rows(options),
    ]
    details = [f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    shown = "\n".join(["# Memory of prepare", "", setting(*details) + ".", "", *table])
    print(shown)
    if options.out is not None:
        options.out.write_text(shown + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
