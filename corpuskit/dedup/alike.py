"""Semantic dedup, steps 3 to 5: documents by cluster, who is like whom in each, and who goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import ROW_GROUPS_BY, Dataset, read_batches
from corpuskit.dedup.centroids import nearest_of, one_thread, rows_of
from corpuskit.dedup.clusters import room
from corpuskit.dedup.index import reference_rank
from corpuskit.dedup.numbering import between, ids_of
from corpuskit.dedup.survivors import DUPLICATES, columns_read, ranks
from corpuskit.dedup.vectors import as_column, directions, matrix, vector_field, vector_tasks
from corpuskit.errors import InputError
from corpuskit.kernels.cosine import LEAST, Cosines, Vectors, slack
from corpuskit.kernels.leaders import follow, nearest, settle
from corpuskit.stage import Split, Stage, Task, check_memory, dataset_input

__all__ = ["FARTHEST", "Assign", "Compare", "Settle", "leaders"]

Numbers = npt.NDArray[np.int64]

FARTHEST = "farthest"
"""The survivor policy that vectors have besides those of documents: SemDeDup's."""

CHUNK_BYTES = 64 << 20
"""So many bytes of vectors are sorted at once by block, each block of them a row group."""
_ROWS = 1024
_LEADERS = 8192

_PLACE = (
    pa.field("block", pa.uint64(), nullable=False),
    pa.field("cluster", pa.int64(), nullable=False),
    pa.field("number", pa.int64(), nullable=False),
    pa.field("rank", pa.float64(), nullable=False),
)
_FOLLOWS = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("leader", pa.int64(), nullable=False),
        pa.field("rank", pa.float64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""A document that is like a leader of its cluster: their numbers, its rank, and the cosine."""

_FOLLOW_BYTES = 80
"""What one row of that takes while all are sorted."""


@dataclass(frozen=True)
class Assign(Stage):
    """Writes each document that has a vector to its nearest clusters, `probes` of them, by block."""

    name: ClassVar[str] = "dedup.semantic.assign"

    column: tuple[str, ...]
    probes: int
    keep: str
    against: tuple[str, ...] = settings.setting((), "references", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of documents in clusters."""
        return pa.schema([*_PLACE, vector_field(self.column, schema)], metadata={ROW_GROUPS_BY: b"block"})

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first; `sources` are the centroids, then the documents.

        Raises:
            UsageError: The policy's signal is not in the documents.
        """
        centroids = dataset_input(sources[0])
        tasks = vector_tasks(self.against, sources[1:], self.column)
        for task in tasks:
            self._read(task)
        return [Task((*task.inputs, centroids), task.schema, task.work) for task in tasks]

    def _read(self, task: Task) -> pa.Schema:
        """Say which columns are read."""
        wanted = {"id", *self.column}
        if not task.work["reference"] and self.keep != FARTHEST:
            wanted |= set(columns_read(self.keep, task.schema))
        return pa.schema([field for field in task.schema if field.name in wanted])

    def run(self, task: Task) -> Iterator[Split]:
        """Find the clusters of one part's documents."""
        table = Dataset(task.inputs[1].path).table()
        blocks, centroids = table["block"].to_numpy(), matrix(table["vector"].combine_chunks())
        first, wanted, schema = task.work["first"], self._read(task), self.writes(task.schema)
        waiting: list[pa.RecordBatch] = []
        for batch in read_batches(task.inputs[0].path, wanted, wanted.names):
            found = directions(batch, self.column)
            with one_thread():
                which, cosines = nearest_of(found.units, centroids, self.probes)
            rank = self._rank(batch, task.work["reference"], found.rows, cosines)
            rows = np.repeat(np.arange(len(found.rows)), which.shape[1])
            clusters = which.ravel()
            arrays = (blocks[clusters], clusters, (found.rows + first)[rows], rank[rows])
            columns = [*map(pa.array, arrays), as_column(found.units[rows])]
            waiting.append(pa.RecordBatch.from_arrays(columns, schema=schema))
            if sum(piece.nbytes for piece in waiting) >= CHUNK_BYTES:
                yield Split(_by_block(waiting))
                waiting = []
            yield Split(pa.RecordBatch.from_pylist([], schema), facts=found.facts)
            first += len(batch)
        if waiting:
            yield Split(_by_block(waiting))

    def _rank(self, batch: pa.RecordBatch, reference: bool, rows: Numbers, cosines: Cosines) -> Cosines:
        if reference:
            return reference_rank(batch).to_numpy()[rows]  # type: ignore[no-any-return]
        if self.keep == FARTHEST:
            return -cosines[:, 0]
        liked = pc.fill_null(ranks(batch, self.keep), -np.inf).to_numpy()[rows]
        return np.where(np.isnan(liked), -np.inf, liked)


def _by_block(waiting: list[pa.RecordBatch]) -> pa.RecordBatch:
    whole = pa.concat_batches(waiting)
    return whole.take(pa.array(np.argsort(whole["block"].to_numpy(), kind="stable")))


@dataclass(frozen=True)
class Compare(Stage):
    """Compares the documents of each cluster, and writes who follows whom.

    In the order of the policy, a document follows the most alike of the leaders before it, if that is at
    least `threshold` like it; otherwise it is a leader. References are leaders.
    """

    name: ClassVar[str] = "dedup.semantic.compare"

    threshold: float
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of followers."""
        return _FOLLOWS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per block; `sources` are the documents in clusters, and the centroids.

        Raises:
            InputError: Not one document has a vector.
        """
        assigned = Dataset(sources[0])
        told = assigned.manifest["stages"][0].get("facts", {})
        if not assigned.rows and sum(told.values()):
            counts = " and ".join(f"{count:,} {what}" for what, count in told.items() if count)
            raise InputError(f"dedup.semantic: there is nothing to compare: {counts}", fix="see filter embed")
        blocks = sorted(set(Dataset(sources[1]).table(["block"])["block"].to_pylist()))
        work = {"references": rows_of(self.against)}
        return [
            Task((dataset_input(sources[0]),), assigned.schema, {**work, "block": block}) for block in blocks
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Compare the documents of one block, a cluster at a time."""
        held = _read_block(task, self.memory)
        edges = np.append(np.flatnonzero(np.diff(held.clusters, prepend=-1)), len(held.clusters)).tolist()
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            numbers, rank = held.numbers[start:end], held.rank[start:end]
            fixed = numbers < task.work["references"]
            which, values = leaders(held.units[start:end], fixed, self.threshold)
            rows = np.flatnonzero(which != np.arange(len(which)))
            arrays = (numbers[rows], numbers[which[rows]], rank[rows], values[rows])
            yield Split(pa.RecordBatch.from_arrays([*map(pa.array, arrays)], schema=_FOLLOWS))


class _Held(NamedTuple):
    """The documents of a block, by cluster and in the order of the policy."""

    clusters: Numbers
    numbers: Numbers
    rank: Cosines
    units: Vectors


def _read_block(task: Task, memory: int) -> _Held:
    path, block = task.inputs[0].path, task.work["block"]
    found: dict[str, list[Any]] = {
        field.name: [np.zeros(0, field.type.to_pandas_dtype())] for field in _PLACE[1:]
    }
    for table in between(path, "block", block, block, [field.name for field in _PLACE]):
        for name, pieces in found.items():
            pieces.append(table[name].to_numpy())
    cluster, number, rank = (np.concatenate(pieces) for pieces in found.values())
    order = np.lexsort((number, -rank, cluster))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    units = room((len(order), task.schema.field("vector").type.list_size), np.float32, memory)
    done = 0
    for table in between(path, "block", block, block, ["block", "vector"]):
        units[places[done : done + len(table)]] = matrix(table["vector"].combine_chunks())
        done += len(table)
    return _Held(cluster[order], number[order], rank[order], units)


def leaders(units: Vectors, fixed: npt.NDArray[np.bool_], threshold: float) -> tuple[Numbers, Cosines]:
    """Go through vectors in order: each follows the most alike leader before it, or is a leader itself.

    Args:
        units: float32[n, dimensions], at length 1. Overwritten: leaders are moved to the front.
        fixed: bool[n], which are leaders whatever they are like.
        threshold: The cosine from which two are alike.

    Returns:
        For each the number of its leader, its own if it is one (int64), and the cosine (float64, `LEAST` for
        leaders). Of leaders just as alike it is the first.

    >>> vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [1, 0]], np.float32)
    >>> leaders(vectors, np.zeros(4, bool), 0.79)[0].tolist()
    [0, 1, 0, 0]
    """
    bounds = threshold, slack(units.shape[1])
    which, cosines = np.full(len(units), -1), np.full(len(units), LEAST)
    numbers, count = np.empty(len(units), np.int64), 0
    with one_thread():
        for start in range(0, len(units), _ROWS):
            some = np.array(units[start : start + _ROWS])
            found = which[start : start + _ROWS], cosines[start : start + _ROWS]
            for at in range(0, count, _LEADERS):
                others = units[at : min(count, at + _LEADERS)]
                names = numbers[at : at + len(others)]
                nearest(some @ others.T, some, others, names, bounds, found)
            follow(some @ some.T, some, fixed[start : start + _ROWS], start, bounds, found)
            rows = np.flatnonzero(found[0] == np.arange(start, start + len(some)))
            units[count : count + len(rows)] = some[rows]
            numbers[count : count + len(rows)] = rows + start
            count += len(rows)
    return which, cosines


@dataclass(frozen=True)
class Settle(Stage):
    """Decides, over all clusters, which documents go: those like one that stays, the most alike their twin.

    One task; what grows is 80 bytes for each finding and a byte for every document.
    """

    name: ClassVar[str] = "dedup.semantic.settle"

    keep: str
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of duplicates."""
        return DUPLICATES

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the followers, then the documents.

        Raises:
            DoesNotFit: The followers take more than `memory`.
        """
        paths = (*self.against, *sources[1:])
        rows = rows_of(paths)
        check_memory("dedup.semantic", rows + Dataset(sources[0]).rows * _FOLLOW_BYTES, self.memory)
        inputs = tuple(dataset_input(path) for path in (sources[0], *paths))
        return [Task(inputs, DUPLICATES, {"rows": rows, "references": rows_of(self.against)})]

    def run(self, task: Task) -> Iterator[Split]:
        """Go through the followers in the order of the policy."""
        references = task.work["references"]
        table = Dataset(task.inputs[0].path).table()
        number, leader, rank, value = (table[name].to_numpy() for name in _FOLLOWS.names)
        order = np.lexsort((leader, number, -rank))
        number, leader, value = number[order], leader[order], value[order]
        chosen = settle(number, leader, value, np.ones(task.work["rows"], bool))
        gone, twins, value = number[chosen], leader[chosen], value[chosen]
        if self.keep == "none":
            heads, firsts = np.unique(twins, return_index=True)
            firsts = firsts[heads >= references]
            gone, twins = np.append(gone, twins[firsts]), np.append(twins, gone[firsts])
            value = np.append(value, value[firsts])
        order = np.argsort(gone)
        paths = [item.path for item in task.inputs[1:]]
        wanted, places = np.unique(twins[order], return_inverse=True)
        ids = ids_of(paths, wanted).take(pa.array(places))
        columns = [pa.array(gone[order] - references), ids, pa.array(value[order])]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=DUPLICATES))
