"""MinHash, steps 2 and 3: documents that meet in a band, and the components they form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.index import before, numbered, old_batches
from corpuskit.dedup.numbering import BUCKET_ROWS, among, bucket_bits, in_bucket, numbered_batches
from corpuskit.kernels import unionfind
from corpuskit.stage import Split, Stage, Task, check_memory, dataset_input

__all__ = ["CANDIDATES", "Components", "Links", "components_bytes", "in_links", "joined"]

Numbers = npt.NDArray[np.int64]

LINKS = pa.schema(
    [pa.field("first", pa.int64(), nullable=False), pa.field("second", pa.int64(), nullable=False)]
)

CANDIDATES = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("component", pa.int64(), nullable=False),
        pa.field("block", pa.int64(), nullable=False),
        pa.field("rank", pa.float64(), nullable=False),
        pa.field("document", pa.string(), nullable=False),
    ]
)
"""A document that meets another in a band. Its component is named by the smallest number in it, and lies
whole in one block; `document` is its id, or of an old document the id of the one that stayed in its place."""

BLOCK_BYTES = 128 << 20
"""A block of components holds about this many bytes of shingles: what a later task has in memory."""
BIN_BITS = 20
"""Sizes of components are summed in some 2**20 bins, neighbours together: 8 MiB, however many there are."""


@dataclass(frozen=True)
class Links(Stage):
    """Links every document to the first that has the same hash in a band: n - 1 links for n that meet."""

    name: ClassVar[str] = "dedup.minhash.links"

    against: tuple[str, ...] = settings.setting((), "references", content=False)
    index: str | None = settings.setting(None, "the index", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links."""
        return LINKS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per band and bucket of hashes; small data has several bands in one task.

        `sources` are the signatures, and the generations where there is an index.
        """
        signatures = Dataset(sources[0])
        names = [name for name in signatures.schema.names if name.startswith("band_")]
        bits = bucket_bits(signatures.rows)
        together = max(1, BUCKET_ROWS // 4 // max(1, signatures.rows))
        groups = [names[at : at + together] for at in range(0, len(names), together)]
        known = before(self.against, self.index, sources[1:])
        inputs = tuple(dataset_input(path) for path in (sources[0], *known.generations))
        return [
            Task(inputs, LINKS, {**known.work(), "bands": group, "bucket": bucket, "bits": bits})
            for group in groups
            for bucket in range(1 << bits)
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Sort one bucket of each band and link equal hashes."""
        for band in task.work["bands"]:
            hashes, numbers = _bucket(task, band)
            order = np.lexsort((numbers, hashes))
            hashes, numbers = hashes[order], numbers[order]
            same = np.zeros(len(hashes), bool)
            same[1:] = hashes[1:] == hashes[:-1]
            heads = np.maximum.accumulate(np.where(same, 0, np.arange(len(hashes))))
            columns = [pa.array(numbers[heads[same]]), pa.array(numbers[same])]
            yield Split(pa.RecordBatch.from_arrays(columns, schema=LINKS))


def _bucket(task: Task, band: str) -> tuple[npt.NDArray[np.uint64], Numbers]:
    """Read one bucket of a band, and what generations have of it."""
    hashes, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    signatures, *generations = (item.path for item in task.inputs)
    for first, batch in numbered_batches(signatures, [band]):
        column = batch.column(0)
        values = column.fill_null(0).to_numpy()
        given = np.asarray(column.is_valid())
        rows = np.flatnonzero(given & in_bucket(values, task.work["bucket"], task.work["bits"]))
        hashes.append(values[rows])
        numbers.append(numbered(rows + first, task.work))
    wanted = np.sort(np.concatenate(hashes))
    for first, batch in old_batches(generations, task.work, [band]):
        values = batch.column(0).to_numpy()
        rows = np.flatnonzero(among(values, wanted))
        hashes.append(values[rows])
        numbers.append(rows + first)
    return np.concatenate(hashes), np.concatenate(numbers)


@dataclass(frozen=True)
class Components(Stage):
    """Joins linked documents into components, and packs the components into blocks.

    One task, with 5 bytes of memory for every document (9 from 2**31 documents on).
    """

    name: ClassVar[str] = "dedup.minhash.components"

    against: tuple[str, ...] = settings.setting((), "references", content=False)
    index: str | None = settings.setting(None, "the index", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of candidates."""
        return CANDIDATES

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the signatures and the links, then the generations.

        Raises:
            DoesNotFit: The numbers of all documents, those of the index too, take more than `memory`.
        """
        known = before(self.against, self.index, sources[2:])
        rows = Dataset(sources[0]).rows + known.old
        check_memory("dedup.minhash", components_bytes(rows), self.memory)
        inputs = tuple(dataset_input(path) for path in (*sources[:2], *known.generations))
        return [Task(inputs, CANDIDATES, {**known.work(), "rows": rows})]

    def run(self, task: Task) -> Iterator[Split]:
        """Join the links and write the candidates by number."""
        parents = joined(task.work["rows"], Dataset(task.inputs[1].path))
        linked = in_links(parents)
        shift = max(0, len(parents).bit_length() - BIN_BITS)
        blocks = _blocks(task, parents, linked, shift)
        for numbers, batch in _rows(task, ["rank", "document"], ["survivor"]):
            rows = np.flatnonzero(linked[numbers])
            numbers = numbers[rows]
            components = parents[numbers].astype(np.int64)
            columns = [pa.array(values) for values in (numbers, components, blocks[components >> shift])]
            ids, taken = batch.column(batch.num_columns - 1), pa.array(rows)
            rank = (
                batch["rank"].take(taken) if "rank" in batch.schema.names else pa.array(np.zeros(len(rows)))
            )
            yield Split(pa.RecordBatch.from_arrays([*columns, rank, ids.take(taken)], schema=CANDIDATES))


def _rows(task: Task, columns: list[str], old: list[str]) -> Iterator[tuple[Numbers, pa.RecordBatch]]:
    """Read `columns` of all signatures, and the columns `old` of all generations, with their numbers."""
    signatures, _, *generations = (item.path for item in task.inputs)
    for first, batch in numbered_batches(signatures, columns):
        yield numbered(np.arange(first, first + len(batch)), task.work), batch
    for first, batch in old_batches(generations, task.work, old):
        yield np.arange(first, first + len(batch)), batch


def components_bytes(rows: int) -> int:
    """Return the memory that `Components` needs for so many documents.

    >>> components_bytes(1_000_000)
    5000000
    """
    return unionfind.bytes_needed(rows) + rows


def joined(rows: int, *links: Dataset) -> unionfind.Parents:
    """Return the smallest number that each is linked with, through the columns `first` and `second`."""
    parents = unionfind.singletons(rows)
    for batch in (batch for dataset in links for batch in dataset.batches(["first", "second"])):
        unionfind.unite_pairs(parents, batch["first"].to_numpy(), batch["second"].to_numpy())
    return unionfind.roots(parents)


def in_links(parents: unionfind.Parents) -> npt.NDArray[np.bool_]:
    """Say which of the numbers are linked to another."""
    linked = np.zeros(len(parents), bool)
    step = 1 << 22
    for start in range(0, len(parents), step):
        some = parents[start : start + step]
        rows = np.flatnonzero(some != np.arange(start, start + len(some)))
        linked[start + rows] = True
        linked[some[rows]] = True
    return linked


def _blocks(task: Task, parents: unionfind.Parents, linked: npt.NDArray[np.bool_], shift: int) -> Numbers:
    """Return the block of each bin of components; a bin is `component >> shift`: no component is cut."""
    weights = np.zeros((len(parents) >> shift) + 1, np.int64)
    for numbers, batch in _rows(task, ["shingles"], ["size"]):
        rows = np.flatnonzero(linked[numbers])
        taken = batch.column(0).to_numpy()[rows] * 8 + 64
        np.add.at(weights, parents[numbers[rows]] >> shift, taken)
    return (np.cumsum(weights) - weights) // BLOCK_BYTES
