"""datatrove's own near-duplicate steps, for ``duplicates.py``: seconds, and what they remove.

``python benchmarks/datatrove_stock.py FOLDER`` reads ``FOLDER/in/*.jsonl`` with ``text`` and ``id``
and prints one JSON object. It needs datatrove, with spaCy for its words, and nothing of growlm.
"""

# datatrove need not be installed, and has no types:
# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.typeshelper import Languages
from datatrove.utils.word_tokenizers import load_word_tokenizer

BANDS = 14


def main() -> None:
    """Run the four steps and print what came of them."""
    folder = Path(sys.argv[1])
    config: Any = MinhashConfig(hash_config=HashConfig(precision=64))
    reader: Any = JsonlReader(str(folder / "in"))
    places = {name: str(folder / name) for name in ("signatures", "buckets", "removing", "kept")}
    steps: list[tuple[list[Any], int]] = [
        ([reader, MinhashDedupSignature(places["signatures"], config=config)], 1),
        ([MinhashDedupBuckets(places["signatures"], places["buckets"], config=config)], BANDS),
        ([MinhashDedupCluster(places["buckets"], places["removing"], config=config)], 1),
        (
            [
                reader,
                MinhashDedupFilter(places["removing"], JsonlWriter(str(folder / "gone"))),
                JsonlWriter(places["kept"]),
            ],
            1,
        ),
    ]
    load_word_tokenizer(Languages.english).word_tokenize("so that loading it is not timed")
    seconds: list[float] = []
    for number, (pipeline, tasks) in enumerate(steps):
        started = time.process_time()
        logs = str(folder / "logs" / str(number))
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
        seconds.append(time.process_time() - started)
    files = sorted((folder / "gone").glob("*.jsonl.gz"))
    lines = [line for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]
    gone = [json.loads(line)["id"] for line in lines]
    print(json.dumps({"seconds": seconds, "gone": gone}))


if __name__ == "__main__":
    main()
