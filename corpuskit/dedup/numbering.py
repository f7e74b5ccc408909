"""Documents by number: counted through all sources in order (source, part, row), and divided into buckets.

A dataset with a row for every document (keys, signatures) needs no column for it: row i is document i.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from corpuskit.dataset import Dataset, read_batches
from corpuskit.stage import Task, document_tasks

__all__ = [
    "bucket_bits",
    "bucket_rows",
    "among",
    "between",
    "distinct",
    "gather",
    "gather_part",
    "ids_of",
    "in_bucket",
    "numbered_batches",
    "numbered_tasks",
    "read_between",
]

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

BUCKET_ROWS = 4 << 20
"""A bucket holds about this many documents: some 256 MiB while it is sorted."""
MOST_BITS = 6
"""Each bucket reads the whole column of hashes, so there are at most 64; past 268 million rows they grow."""


def bucket_bits(rows: int) -> int:
    """Return how many leading bits of a hash choose a bucket, from the number of documents alone.

    >>> bucket_bits(1000), bucket_bits(20_000_000), bucket_bits(10**10)
    (0, 3, 6)
    """
    return min(MOST_BITS, max(0, (rows - 1) // BUCKET_ROWS).bit_length())


def bucket_rows(rows: int) -> int:
    """Return how many documents a bucket is expected to hold.

    >>> bucket_rows(1000), bucket_rows(1 << 30)
    (1000, 16777216)
    """
    return -(-rows >> bucket_bits(rows)) if rows else 0


def in_bucket(hashes: Hashes, bucket: int, bits: int) -> npt.NDArray[np.bool_]:
    """Say which hashes lie in a bucket.

    >>> in_bucket(np.array([0, 1 << 63], np.uint64), 1, 1).tolist()
    [False, True]
    """
    if not bits:
        return np.ones(len(hashes), bool)
    return np.asarray(hashes >> np.uint64(64 - bits) == np.uint64(bucket))


def among(values: Hashes, ascending: Hashes) -> npt.NDArray[np.bool_]:
    """Say which values are among some that ascend; numpy.isin would sort those again, each time.

    >>> among(np.array([9, 1, 9], np.uint64), np.array([2, 9], np.uint64)).tolist()
    [True, False, True]
    """
    if not len(ascending):
        return np.zeros(len(values), bool)
    order, places = np.argsort(values), np.empty(len(values), np.int64)
    places[order] = np.searchsorted(ascending, values[order])
    return np.asarray(ascending[np.minimum(places, len(ascending) - 1)] == values)


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values that there are, ascending; numpy.unique goes by a hash table, several times as slow.

    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(values)
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return ordered[fresh]


def numbered_tasks(*sources: str, beside: Sequence[str] = ()) -> list[Task]:
    """Plan one task per part, each knowing the number of its first document (`first`) and its `rows`.

    Each task's first input is its part; whole datasets that every task reads `beside` it follow.
    """
    rows = [part.rows for source in sources for part in Dataset(source).parts]
    firsts = np.cumsum([0, *rows]).tolist()
    tasks = document_tasks(*sources, beside=beside)
    return [
        dataclasses.replace(task, work={"first": first, "rows": count})
        for task, first, count in zip(tasks, firsts[:-1], rows, strict=True)
    ]


def numbered_batches(dataset: str, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read columns of a dataset with a row for every document; each batch comes with its first number."""
    first = 0
    for batch in Dataset(dataset).batches(columns):
        yield first, batch
        first += len(batch)


def read_between(
    dataset: str, column: str, first: int, end: int, columns: list[str] | None = None
) -> pa.Table:
    """Read the rows whose `column` lies in `first` to `end - 1`, opening only row groups that hold such."""
    found = Dataset(dataset)
    wanted = [(column, ">=", first), (column, "<", end)]
    tables = []
    for part in found.parts:
        with found.open(part) as file:
            tables.append(pq.read_table(file, columns=columns, filters=wanted))
    return pa.concat_tables(tables).combine_chunks()


def between(
    dataset: str, column: str, first: int, last: int, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Read the rows whose `column` lies in `first` to `last`, a row group at a time; others are not opened.

    The column is unsigned and not null. Rows of the parts come in order.
    """
    found = Dataset(dataset)
    for part in found.parts:
        with found.open(part) as file:
            parquet = pq.ParquetFile(file)
            place = parquet.schema_arrow.get_field_index(column)
            for group in range(parquet.num_row_groups):
                told = parquet.metadata.row_group(group).column(place).statistics
                if told is not None and told.has_min_max and (told.max < first or told.min > last):
                    continue
                table = parquet.read_row_group(group, columns)
                values = table[column].to_numpy()
                rows = np.flatnonzero((values >= first) & (values <= last))
                if len(rows):
                    yield table if len(rows) == len(table) else table.take(pa.array(rows))


def ids_of(sources: Sequence[str], numbers: Numbers, column: str = "id") -> pa.StringArray:
    """Look up the ids of documents by number; `numbers` must ascend and not repeat."""
    taken = [batch[column].take(pa.array(rows)) for _, batch, rows in gather(sources, numbers, [column])]
    return pa.concat_arrays([pa.array([], pa.string()), *taken])


def gather(
    sources: Sequence[str], numbers: Numbers, columns: list[str]
) -> Iterator[tuple[int, pa.RecordBatch, npt.NDArray[Any]]]:
    """Find documents by number: yield each batch that holds any, its first number, and their rows in it.

    Parts without a wanted document are not opened. `numbers` must ascend.
    """
    first = 0
    for dataset in map(Dataset, sources):
        for part in dataset.parts:
            low, high = np.searchsorted(numbers, [first, first + part.rows])
            if low < high:
                yield from gather_part(dataset.path_of(part), first, numbers[low:high], columns)
            first += part.rows


def gather_part(
    path: str, first: int, numbers: Numbers, columns: list[str]
) -> Iterator[tuple[int, pa.RecordBatch, npt.NDArray[Any]]]:
    """Find documents of one part, whose first has the number `first`; see `gather`."""
    for batch in read_batches(path, columns=columns):
        low, high = np.searchsorted(numbers, [first, first + len(batch)])
        if low < high:
            yield first, batch, numbers[low:high] - first
        first += len(batch)
