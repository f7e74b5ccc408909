"""`shard parquet`: every document in one global random order, in Parquet files of even size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files, seeds, settings
from corpuskit.dataset import ROW_GROUPS_BY, Dataset, cut, read_batches, row_bytes
from corpuskit.document import BATCH_BYTES
from corpuskit.errors import InputError, UsageError
from corpuskit.settings import setting
from corpuskit.shard import card
from corpuskit.shard.interleaving import Form, check_form, form_schema, in_form
from corpuskit.stage import Chain, Input, Split, Stage, Step, Task, dataset_input, document_tasks

__all__ = ["BIN_BITS", "KEY", "Gather", "Parquet", "Scatter"]

RUN_BYTES = 64 << 20
"""Rows that are sorted in memory at a time."""
MOST_BUCKETS_BITS = 7
"""A run is written as at most 2**7 buckets: more would make the footers as large as the rows."""
MOST_SPILLS = 64
"""Files that a worker holds open at a time."""
BIN_BITS = 20
"""Shards begin and end at one of 2**20 evenly spaced keys, so they are even to a millionth of the whole."""

KEY = "shard.key"
"""The column that `Scatter` adds, by which rows are in order."""

_BYTES, _BUCKET = "shard.bytes", "shard.bucket"
_ADDED = (pa.field(KEY, pa.uint64()), pa.field(_BYTES, pa.int64()), pa.field(_BUCKET, pa.uint8()))
_ORDER = [(KEY, "ascending"), ("id", "ascending")]


@dataclass(frozen=True)
class Parquet(Chain):
    """Shuffle the documents of all inputs together and write them as Parquet files of even size.

    The order is that of a hash of (seed, id): the same documents give the same shards whatever
    inputs they come from. Every row that comes in goes out. A worker sorts 64 MiB of rows at a time, and
    needs less than 1 GB; the disk of the target holds the documents twice while it runs.

    Raises:
        InputError: A document is twice in the inputs.
        UsageError: A target size below 1.
    """

    rows: int | None = setting(None, "documents a shard (replaces --size)")
    size: int = setting(512_000_000, "bytes a shard before compression, all columns counted")
    seed: int = setting(0, "another seed gives another order")
    interleaved: Form | None = setting(
        None, "documents with images as OBELICS's parallel lists, or as KOSMOS-1's one sequence"
    )

    name: ClassVar[str] = "shard.parquet"

    def __post_init__(self) -> None:
        """Check the targets."""
        for name in ("rows", "size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"shard.parquet: {name} must be at least 1, not {value}")

    def steps(self) -> tuple[Step, ...]:
        """Scatter the rows into buckets of keys, then gather each shard from its buckets."""
        return (
            Step(Scatter(self.seed, self.interleaved), sources=True),
            Step(Gather(self.rows, self.size, self.interleaved), steps=(0,)),
        )

    def finish(self, dataset: Dataset) -> None:
        """Write the dataset card beside the shards."""
        card.write(dataset)


@dataclass(frozen=True)
class Scatter(Stage):
    """Sort runs of rows by key, each bucket of keys a row group that can be read alone."""

    seed: int = setting(0, "another seed gives another order")
    interleaved: Form | None = setting(None, "form that the documents must allow", content=False)

    name: ClassVar[str] = "shard.parquet.scatter"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Add the key, the row's bytes and its bucket."""
        return pa.schema([*schema, *_ADDED], metadata={ROW_GROUPS_BY: _BUCKET.encode()})

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for about 64 MiB, several small parts together."""
        parts = document_tasks(*sources)
        for part in parts[:1]:
            check_form(self.interleaved, part.schema)
        found = [part for source in sources for part in Dataset(source).parts]
        sizes = [max(part.text_bytes, part.file_bytes) for part in found]  # images are in the file alone
        bits = min(MOST_BUCKETS_BITS, (sum(sizes) // RUN_BYTES).bit_length())
        tasks: list[Task] = []
        group: list[Input] = []
        filled = 0
        for part, size in zip(parts, sizes, strict=True):
            if group and filled + size > RUN_BYTES:
                tasks.append(Task(tuple(group), part.schema, {"bits": bits}))
                group, filled = [], 0
            group += part.inputs
            filled += size
        return [*tasks, Task(tuple(group), parts[0].schema, {"bits": bits})] if group else tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Scatter the rows of the inputs."""
        batches = (batch for item in task.inputs for batch in read_batches(item.path, task.schema))
        yield from self.in_runs(batches, task)

    def in_runs(self, batches: Iterable[pa.RecordBatch], task: Task) -> Iterator[Split]:
        """Sort as many rows as fit in memory, and begin again."""
        schema = self.writes(task.schema)
        pending: list[pa.RecordBatch] = []
        filled = 0
        for batch in batches:
            keyed = self._with_key(batch, schema, int(task.work["bits"]))
            pending.append(keyed)
            filled += int(pc.sum(keyed[_BYTES]).as_py() or 0)
            if filled >= RUN_BYTES:
                yield from _in_order(pa.Table.from_batches(pending, schema))
                pending, filled = [], 0
        yield from _in_order(pa.Table.from_batches(pending, schema))

    def _with_key(self, batch: pa.RecordBatch, schema: pa.Schema, bits: int) -> pa.RecordBatch:
        keys = seeds.shuffle_key(self.seed, batch["id"])
        buckets = (keys >> np.uint64(64 - bits)).astype(np.uint8) if bits else np.zeros(len(keys), np.uint8)
        added = [pa.array(keys), pa.array(row_bytes(batch)), pa.array(buckets)]
        return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)


@dataclass(frozen=True)
class Gather(Stage):
    """Write one shard a task: all rows of a range of keys, sorted."""

    rows: int | None = setting(None, "documents a shard (replaces --size)")
    size: int = setting(512_000_000, "bytes a shard before compression, all columns counted")
    interleaved: Form | None = setting(None, "form in which documents with images are written")

    name: ClassVar[str] = "shard.parquet.gather"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Take away what `Scatter` added."""
        return form_schema(_without_added(schema), self.interleaved)

    def plan(self, *sources: str) -> list[Task]:
        """Divide the keys into shards of even rows or bytes, and each into ranges that fit in memory."""
        scattered = Dataset(sources[0])
        rows, sizes = _histogram(scattered)
        weights, target = (rows, self.rows) if self.rows is not None else (sizes, self.size)
        # The rows alone, not the manifest: a source that is renamed must not rename the shards.
        identity = settings.digest([part.sha256 for part in scattered.parts])
        whole = dataclasses.replace(dataset_input(scattered.path), identity=identity)
        sums = np.concatenate([[0], np.cumsum(sizes)])
        return [
            Task((whole,), scattered.schema, {"ranges": _fitting(sums, start, stop)})
            for start, stop in self.shares(weights, target)
        ]

    def shares(self, weights: npt.NDArray[np.int64], target: int) -> list[tuple[int, int]]:
        """Divide the bins of keys, from the first to before the last, into those of each shard."""
        return _even(weights, target)

    def run(self, task: Task) -> Iterator[Split]:
        """Read the rows of all ranges of keys at once, then sort those of one range after the other."""
        scattered = Dataset(task.inputs[0].path)
        ranges = task.work["ranges"]
        for place in range(0, len(ranges), MOST_SPILLS):
            spills = [_Spill(scattered, start, stop) for start, stop in ranges[place : place + MOST_SPILLS]]
            for part in scattered.parts:
                for table in _between(scattered.path_of(part), spills[0].first, spills[-1].last):
                    for spill in spills:
                        spill.write(table)
            for spill in spills:
                for split in _in_order(spill.take(), _without_added(task.schema)):
                    formed = in_form(split.kept, self.interleaved)
                    yield Split(kept=formed, source=formed)


def _without_added(schema: pa.Schema) -> pa.Schema:
    added = {field.name for field in _ADDED}
    return pa.schema([field for field in schema if field.name not in added])


class _Spill:
    """The rows of one range of keys, on local disk until all of them are there."""

    def __init__(self, scattered: Dataset, start: int, stop: int) -> None:
        self.first, self.last = start << 64 - BIN_BITS, (stop << 64 - BIN_BITS) - 1
        self._path = files.scratch(scattered.path)
        self._writer = pa.ipc.new_file(
            self._path, scattered.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        )

    def write(self, table: pa.Table) -> None:
        """Add those of some rows that are in the range."""
        keys = table[KEY].to_numpy()
        chosen = (keys >= np.uint64(self.first)) & (keys <= np.uint64(self.last))
        if chosen.any():
            self._writer.write_table(table if chosen.all() else table.filter(pa.array(chosen)))

    def take(self) -> pa.Table:
        """Return the rows, and remove them from the disk."""
        self._writer.close()
        with pa.OSFile(str(self._path)) as file:
            table = pa.ipc.open_file(file).read_all()
        self._path.unlink()
        return table


def _in_order(table: pa.Table, schema: pa.Schema | None = None) -> Iterator[Split]:
    """Sort rows by key and give them on a batch at a time, with the columns of `schema`."""
    table = table.take(pc.sort_indices(table, sort_keys=_ORDER)).combine_chunks()
    _check_unique(table)
    chosen = table if schema is None else table.select(schema.names)
    for batch in chosen.to_batches():
        for piece in cut(batch, BATCH_BYTES):
            yield Split(kept=piece, source=piece)


def _check_unique(table: pa.Table) -> None:
    ids = table["id"]
    same = pc.equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1)))
    found = pc.index(same, True).as_py()
    if found >= 0:
        origins = (
            [table["origin"][found + step].as_py() for step in (0, 1)]
            if "origin" in table.schema.names
            else []
        )
        where = f" ({' and '.join(dict.fromkeys(origins))})" if origins else ""
        raise InputError(
            f"document {ids[found]} is in the inputs twice{where}",
            fix="name each input once, or run `corpuskit dedup exact` over them first: it keeps one of each",
        )


def _histogram(scattered: Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count rows and bytes by bin of the key, int64[2**20] each; reads no text."""
    rows, sizes = np.zeros(1 << BIN_BITS, np.int64), np.zeros(1 << BIN_BITS, np.int64)
    for batch in scattered.batches([KEY, _BYTES]):
        bins = (batch[KEY].to_numpy() >> np.uint64(64 - BIN_BITS)).astype(np.int64)
        np.add.at(rows, bins, 1)
        np.add.at(sizes, bins, batch[_BYTES].to_numpy())
    return rows, sizes


def _even(weights: npt.NDArray[np.int64], target: int) -> list[tuple[int, int]]:
    """Divide the bins into ranges of even weight, as near to the exact shares as bins allow, none empty.

    >>> _even(np.array([1, 1, 1, 1, 1]), 2)
    [(0, 2), (2, 3), (3, 5)]
    """
    sums = np.concatenate([[0], np.cumsum(weights)])
    total = int(sums[-1])
    shards = max(1, -(-total // target))
    ends = [_nearest(sums, total * shard / shards) for shard in range(1, shards)]
    edges = sorted({0, *ends, len(weights)})
    found = [(start, stop) for start, stop in pairwise(edges) if weights[start:stop].any()]
    return found or [(0, len(weights))]


def _nearest(sums: npt.NDArray[np.int64], wanted: float) -> int:
    place = int(np.searchsorted(sums, wanted))
    return place - 1 if place and wanted - sums[place - 1] <= sums[place] - wanted else place


def _fitting(sums: npt.NDArray[np.int64], start: int, stop: int) -> list[list[int]]:
    """Divide the bins from `start` to `stop` into ranges of at most 64 MiB, or one bin.

    `sums` are the bytes before each bin, and after the last.

    >>> _fitting(np.array([0, RUN_BYTES, RUN_BYTES + 1, RUN_BYTES + 2]), 0, 3)
    [[0, 1], [1, 3]]
    """
    found = []
    while start < stop:
        fits = int(np.searchsorted(sums, sums[start] + RUN_BYTES, side="right")) - 1
        end = min(stop, max(start + 1, fits))
        found.append([start, end])
        start = end
    return found


def _between(path: str, first: int, last: int) -> Iterator[pa.Table]:
    """Read the row groups that can hold a key from `first` to `last`."""
    with files.open_input(path) as source:
        parquet = pq.ParquetFile(source)
        leaf = [parquet.schema.column(i).path for i in range(parquet.metadata.num_columns)].index(KEY)
        for group in range(parquet.num_row_groups):
            seen: Any = parquet.metadata.row_group(group).column(leaf).statistics
            if seen.max >= first and seen.min <= last:
                yield parquet.read_row_group(group)
