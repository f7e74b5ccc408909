"""How often each word, or pair of words in a row, occurs in documents: what query lists are made of.

No kind of its own on the command line: counting looks at several documents, as `dedup` does, but keeps and
rejects none, so it is no verb's work. Kinds that need counts take its two steps into their own chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit.dataset import ROW_GROUPS_BY, Dataset, cut, read_batches
from corpuskit.document import BATCH_BYTES
from corpuskit.errors import UsageError
from corpuskit.kernels.hashing import hash_strings
from corpuskit.kernels.utf8 import buffers, strings
from corpuskit.kernels.words import normalise, split
from corpuskit.settings import setting
from corpuskit.stage import Chain, Split, Stage, Step, Task, dataset_input, document_tasks

__all__ = ["PAIRS", "WORDS", "Counts", "Tally", "Totals", "Words", "count_pairs", "count_words"]

Unit = Literal["word", "pair"]
Words = tuple[pa.LargeStringArray, npt.NDArray[np.int64]]
"""The words of texts, one after the other, and where each text's begin."""

WORDS = pa.schema([pa.field("word", pa.large_string(), nullable=False), pa.field("count", pa.int64())])
"""A word, lower-case, and how often it occurs; no word has two rows. A count that is not known is null."""
PAIRS = pa.schema(
    [
        pa.field("first", pa.large_string(), nullable=False),
        pa.field("second", pa.large_string(), nullable=False),
        pa.field("count", pa.int64()),
    ]
)
"""A word, the one after it in the same document, and how often they occur so."""

_BUCKET = pa.field("bucket", pa.int32(), nullable=False)
_HELD_ROWS = 2 << 20
"""A task that has met so many different keys writes what it has, and goes on with none."""


@dataclass(frozen=True)
class Counts(Chain):
    """Counts the words of documents, or the pairs of words in a row; words as MinHash and Bloom see them.

    The rows are `WORDS` or `PAIRS`, in an order that depends on the words alone. Memory: a few million keys
    a worker, whatever there is to count.

    Steps: tally counts within each part; totals adds up, a share of all keys at a time.

    Raises:
        UsageError: A setting outside its range.
    """

    name: ClassVar[str] = "crawl.counts"

    unit: Unit = setting("word", "what to count")
    min_count: int | None = setting(None, "least count of what is written")
    buckets: int = setting(64, "shares of the keys that are added up one at a time", content=False)

    def __post_init__(self) -> None:
        for name in ("min_count", "buckets"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{self.name}: {name} is {value}", fix="at least 1")

    def steps(self) -> tuple[Step, ...]:
        """List the steps: tally, totals."""
        tally = Tally(self.unit, self.buckets)
        return (Step(tally, sources=True), Step(Totals(self.unit, self.min_count, self.buckets), steps=(0,)))


@dataclass(frozen=True)
class Tally(Stage):
    """Counts within one part; the rows of a bucket lie together."""

    name: ClassVar[str] = "crawl.tally"

    unit: Unit
    buckets: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that a key has a bucket and a count."""
        return pa.schema([_BUCKET, *_rows_of(self.unit)], metadata={ROW_GROUPS_BY: b"bucket"})

    def plan(self, *sources: str) -> list[Task]:
        """Make every part a task."""
        return document_tasks(*sources)

    def run(self, task: Task) -> Iterator[Split]:
        """Count one part."""
        held = _rows_of(self.unit).empty_table()
        for found in self.counted(task):
            if isinstance(found, Split):
                yield found
                continue
            held = _added(held, pa.Table.from_batches([found]))
            if len(held) > _HELD_ROWS:
                yield from self._bucketed(held)
                held = held.slice(0, 0)
        yield from self._bucketed(held)

    def counted(self, task: Task) -> Iterable[pa.RecordBatch | Split]:
        """Count some of a part at a time; a split among the counts, of rejects, is passed on as it is."""
        count = count_words if self.unit == "word" else count_pairs
        return (count(batch["text"]) for batch in read_batches(task.inputs[0].path, columns=["text"]))

    def _bucketed(self, held: pa.Table) -> Iterator[Split]:
        keys = [hash_strings(*buffers(held[name])) for name in held.column_names[:-1]]
        mixed = keys[0] if len(keys) == 1 else keys[0] * np.uint64(31) + keys[1]
        table = held.add_column(0, _BUCKET, pa.array((mixed % np.uint64(self.buckets)).astype(np.int32)))
        table = table.sort_by([(name, "ascending") for name in table.column_names[:-1]])
        yield from _splits(table, self.writes(held.schema))


@dataclass(frozen=True)
class Totals(Stage):
    """Adds up the counts of one bucket."""

    name: ClassVar[str] = "crawl.totals"

    unit: Unit
    min_count: int | None
    buckets: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that a key has a count."""
        return _rows_of(self.unit)

    def plan(self, *sources: str) -> list[Task]:
        """Make every bucket a task, whether or not anything fell into it."""
        tally = dataset_input(sources[0])
        return [Task((tally,), self.writes(pa.schema([])), {"bucket": n}) for n in range(self.buckets)]

    def run(self, task: Task) -> Iterator[Split]:
        """Add up one bucket."""
        total = _rows_of(self.unit).empty_table()
        for table in _bucket(Dataset(task.inputs[0].path), task.work["bucket"]):
            total = _added(total, table.select(total.column_names))
        if self.min_count is not None:
            total = total.filter(pc.fill_null(pc.greater_equal(total["count"], self.min_count), True))
        total = total.sort_by([(name, "ascending") for name in total.column_names[:-1]])
        yield from _splits(total, total.schema)


def _normalised(texts: pa.Array) -> Words:
    data, offsets = normalise(*buffers(texts))
    words = split(data, offsets)
    bounds = np.concatenate([[0], np.cumsum(words.ends - words.starts)])
    return strings(data[data != ord(" ")], bounds), words.offsets


def count_words(texts: pa.Array, words: Callable[[pa.Array], Words] = _normalised) -> pa.RecordBatch:
    """Count the words of texts; rows as `WORDS`, in no order. `words` may find others than normalised words.

    >>> count_words(pa.array(["To be, or not to BE", None])).to_pylist()[:2]
    [{'word': 'to', 'count': 2}, {'word': 'be', 'count': 2}]
    """
    found = words(texts)[0].value_counts()
    counts = found.field("counts").cast(pa.int64())
    return pa.RecordBatch.from_arrays([found.field("values"), counts], schema=WORDS)


def count_pairs(texts: pa.Array, words: Callable[[pa.Array], Words] = _normalised) -> pa.RecordBatch:
    """Count the pairs of words in a row within each text; rows as `PAIRS`, in no order.

    >>> count_pairs(pa.array(["a b a b", "c a"])).filter(pa.array([True, True, False])).to_pylist()
    [{'first': 'a', 'second': 'b', 'count': 2}, {'first': 'b', 'second': 'a', 'count': 1}]
    """
    found, offsets = words(texts)
    encoded = found.dictionary_encode()
    codes = np.asarray(encoded.indices).astype(np.int64)
    joined = np.ones(max(0, len(codes) - 1), bool)
    ends = offsets[1:-1]
    joined[ends[(ends > 0) & (ends < len(codes))] - 1] = False
    keys, counts = np.unique((codes[:-1] << 32 | codes[1:])[joined], return_counts=True)
    columns = [encoded.dictionary.take(pa.array(half)) for half in (keys >> 32, keys & 0xFFFFFFFF)]
    return pa.RecordBatch.from_arrays([*columns, pa.array(counts, pa.int64())], schema=PAIRS)


def _rows_of(unit: Unit) -> pa.Schema:
    return WORDS if unit == "word" else PAIRS


def _added(held: pa.Table, more: pa.Table) -> pa.Table:
    keys = held.column_names[:-1]
    table = pa.concat_tables([held, more.cast(held.schema)]).group_by(keys).aggregate([("count", "sum")])
    return pa.table([table[name] for name in (*keys, "count_sum")], schema=held.schema)


def _bucket(tally: Dataset, bucket: int) -> Iterator[pa.Table]:
    """Read the row groups of one bucket, part by part."""
    for part in tally.parts:
        with tally.open(part) as file:
            parquet = pq.ParquetFile(file)
            groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
            here = [n for n, group in enumerate(groups) if group.column(0).statistics.min == bucket]
            for number in here:
                yield parquet.read_row_group(number)


def _splits(table: pa.Table, schema: pa.Schema) -> Iterator[Split]:
    arrays: list[Any] = [column.combine_chunks() for column in table.columns]
    if len(table):
        for batch in cut(pa.RecordBatch.from_arrays(arrays, schema=schema), BATCH_BYTES):
            yield Split(batch)
