"""Parquet files: rows of the needed columns, one batch of a row group in memory."""

from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from typing import Any

from growlm.corpus.optional import missing
from growlm.corpus.packed import damage

BATCH_ROWS = 256


def rows(file: BufferedIOBase, *, fields: Sequence[str], name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, as far as the fields go.

    Where one of the fields is no column, all columns come, so that a message can name them.

    Args:
        file: Opened for reading, and able to seek.
        fields: What is needed; dots reach into structures.
        name: What messages call the file.

    Raises:
        CorpusError: pyarrow is missing.
        Broken: It is no such file, or not whole.
    """
    try:
        import pyarrow.parquet as parquet  # only Parquet files need it
    except ImportError as error:
        raise missing("pyarrow", extra="parquet", purpose=f"read {name}") from error
    import pyarrow

    library: Any = pyarrow
    refusals: tuple[type[Exception], ...] = (library.ArrowException, OSError, EOFError)
    try:
        table: Any = parquet.ParquetFile(file)
        known = set(table.schema_arrow.names)
        whole = not all(field.partition(".")[0] in known for field in fields)
        columns = None if whole else list(fields)
        for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield from batch.to_pylist()
    except refusals as error:
        raise damage("Parquet", str(error).partition("\n")[0][:200]) from error
