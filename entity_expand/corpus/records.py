"""Rows of people's own data: JSON Lines or Parquet, one dict at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entity_expand.corpus.lines import LineError, open_regular, parse_object, read_lines
from entity_expand.corpus.report import Note, Tally, ignore
from entity_expand.errors import CorpusError
from entity_expand.extras import imported

_MAGIC = b"PAR1"
_BATCH = 256
_MAX_GROUP_BYTES = 4 << 30


def read_records(path: Path, tally: Tally, *, count: bool) -> Iterator[dict[str, Any] | None]:
    """Yield the rows of a file, None for a line that is no JSON object.

    `tally.line` is the number of the row, from 1; in JSON Lines that of the line.

    Args:
        path: JSON Lines, or Parquet (told by its first bytes).
        tally: Counts lines that are no JSON objects.
        count: Whether to count them (False on the first of two readings).

    Raises:
        CorpusError: The file cannot be read.
        MissingExtraError: It is Parquet and pyarrow is not installed.
    """
    with open_regular(path) as handle:
        parquet = handle.read(len(_MAGIC)) == _MAGIC
    tally.file = path.name
    if parquet:
        yield from _parquet(path, tally)
        return
    note: Note = tally if count else ignore
    with open_regular(path) as handle:
        for line in read_lines(handle):
            tally.line = line.number
            record: dict[str, Any] | None
            try:
                record = parse_object(line.content)
            except LineError as problem:
                note("row", str(problem))
                record = None
            yield record


def _parquet(path: Path, tally: Tally) -> Iterator[dict[str, Any]]:
    pa = imported("pyarrow", "pyarrow", "corpus")
    pq = imported("pyarrow.parquet", "pyarrow", "corpus")
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            largest = max((meta.row_group(i).total_byte_size for i in range(meta.num_row_groups)), default=0)
            if largest > _MAX_GROUP_BYTES:
                raise CorpusError(
                    f"{path} has a row group of {largest:,} bytes, above the limit of {_MAX_GROUP_BYTES:,}. "
                    "Write it with smaller row groups."
                )
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    number += 1
                    tally.line = number
                    # Data frames write gaps as NaN.
                    yield {key: None if value != value else value for key, value in record.items()}
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise CorpusError(f"{path} cannot be read as Parquet after row {number}: {problem}") from problem
