"""The step that writes down, for an index, what a run has seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.index import Generation
from corpuskit.dedup.numbering import gather, numbered_tasks, read_between
from corpuskit.dedup.signatures import shingles
from corpuskit.dedup.survivors import DUPLICATES
from corpuskit.kernels import minhash
from corpuskit.stage import Split, Task

__all__ = ["FOUND", "Remember"]

FOUND = pa.schema([*DUPLICATES, pa.field("known", pa.bool_(), nullable=False)])
"""Duplicates, and whether an index need not keep the document: it has one that says the same."""

_SETS = (
    pa.field("size", pa.int64(), nullable=False),
    pa.field("set", pa.large_list(pa.uint64()), nullable=False),
)
_NAMES = (
    pa.field("id", pa.string(), nullable=False),
    pa.field("url", pa.string()),
    pa.field("survivor", pa.string(), nullable=False),
)
_READ = pa.schema([("id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])


@dataclass(frozen=True)
class Remember(Generation):
    """Writes the hashes of every document that says something new: a generation of an index.

    Beside the hashes: its `id` and `url`; `survivor`, the id of the document that stayed in its place, its
    own where it was kept; and with `ngram` its sorted set of shingle hashes and the set's `size`.
    """

    name: ClassVar[str] = "dedup.remember"

    hashes: tuple[str, ...] = ()
    ngram: int | None = None

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of a generation."""
        sets = _SETS if self.ngram is not None else ()
        return pa.schema([*(pa.field(name, pa.uint64()) for name in self.hashes), *sets, *_NAMES])

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part; `sources` are the hashes, what was found, then the documents."""
        before = Dataset(sources[0]).rows - sum(Dataset(source).rows for source in sources[2:])
        tasks = numbered_tasks(*sources[2:], beside=sources[:2])
        return [dataclasses.replace(task, work={**task.work, "before": before}) for task in tasks]

    def run(self, task: Task) -> Iterator[Split]:
        """Write down the documents of one part."""
        first, rows = task.work["first"], task.work["rows"]
        hashes = self._hashes(task)
        ids, known = _verdicts(read_between(task.inputs[2].path, "number", first, first + rows), first, rows)
        names = [name for name in _READ.names if name != "text" or self.ngram is not None]
        schema = pa.schema([_READ.field(name) for name in names])
        done = 0
        for batch in read_batches(task.inputs[0].path, schema, names):
            mine = slice(done, done + len(batch))
            piece = hashes.slice(done, len(batch))
            wanted = np.flatnonzero(~known[mine] & np.asarray(piece.column(0).combine_chunks().is_valid()))
            done += len(batch)
            if len(wanted):
                yield Split(self._rows(batch, piece, ids[mine], pa.array(wanted)))

    def _hashes(self, task: Task) -> pa.Table:
        """Read the hashes of a part; those of references come before all others."""
        first = task.work["before"] + task.work["first"]
        numbers = np.arange(first, first + task.work["rows"])
        names = list(self.hashes)
        schema = pa.schema([pa.field(name, pa.uint64()) for name in names])
        found = [
            batch.take(pa.array(rows)) for _, batch, rows in gather([task.inputs[1].path], numbers, names)
        ]
        return pa.Table.from_batches([batch.select(names).cast(schema) for batch in found], schema)

    def _rows(
        self, batch: pa.RecordBatch, hashes: pa.Table, ids: Sequence[str | None], wanted: pa.Array
    ) -> pa.RecordBatch:
        columns = [hashes[name].combine_chunks().take(wanted) for name in self.hashes]
        if self.ngram is not None:
            sets, offsets = minhash.sets(*shingles(batch["text"].take(wanted), self.ngram))
            columns += [
                pa.array(np.diff(offsets)),
                pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(sets)),
            ]
        own, survivors = batch["id"].take(wanted), pa.array(ids, pa.string()).take(wanted)
        columns += [own, batch["url"].take(wanted), pc.coalesce(survivors, own)]
        return pa.RecordBatch.from_arrays(columns, schema=self.writes(batch.schema))


def _verdicts(found: pa.Table, first: int, rows: int) -> tuple[list[str | None], npt.NDArray[np.bool_]]:
    """Return the id of each document's survivor, null for its own, and whether it says nothing new."""
    ids: list[str | None] = [None] * rows
    known = np.zeros(rows, bool)
    places = found["number"].to_numpy() - first
    known[places] = found["known"].to_numpy()
    for place, twin in zip(places.tolist(), found["twin"].to_pylist(), strict=True):
        ids[place] = twin
    return ids, known
