"""MinHash, steps 4 and 5: the shingle sets of candidates, and the clusters that they confirm."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.links import BLOCK_BYTES, CANDIDATES
from corpuskit.dedup.numbering import gather, gather_part, numbered_tasks, read_between
from corpuskit.dedup.signatures import shingles
from corpuskit.dedup.survivors import DUPLICATES, duplicates
from corpuskit.kernels import minhash, unionfind
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import Offsets
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["Clusters", "Shingles"]

Numbers = npt.NDArray[np.int64]

_SET = pa.field("set", pa.large_list(pa.uint64()), nullable=False)
_SIZE = pa.field("size", pa.int64(), nullable=False)


@dataclass(frozen=True)
class Shingles(Stage):
    """Writes the candidates of each part with their bands and shingle sets, sorted by block.

    Of candidates of one component with the same words only the first in the part carries its
    set (`size` > 0).
    """

    name: ClassVar[str] = "dedup.minhash.shingles"

    ngram: int
    bands: tuple[str, ...]

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of candidates with their bands, `content`, and sorted sets of shingle hashes."""
        bands = [pa.field(name, pa.uint64(), nullable=False) for name in (*self.bands, "content")]
        return pa.schema([*CANDIDATES, *bands, _SIZE, _SET])

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part; `sources` are the signatures, the candidates, then the documents."""
        signatures, candidates = sources[:2]
        return numbered_tasks(*sources[2:], beside=(signatures, candidates))

    def run(self, task: Task) -> Iterator[Split]:
        """Look up the candidates of one part and make their sets."""
        first, rows = task.work["first"], task.work["rows"]
        found = read_between(task.inputs[2].path, "number", first, first + rows).sort_by("number")
        found = self._with_bands(found, task.inputs[1].path)
        order, begins = _groups(found)
        fresh = np.zeros(len(order), bool)
        fresh[order[begins]] = True
        start = 0
        for sets in self._sets(task.inputs[0].path, found["number"].to_numpy() - first, fresh):
            piece = found.slice(start, len(sets)).append_column(_SIZE, pc.list_value_length(sets))
            start += len(sets)
            piece = piece.append_column(_SET, sets).sort_by([("block", "ascending"), ("number", "ascending")])
            yield from map(Split, piece.cast(self.writes(task.schema)).combine_chunks().to_batches())

    def _with_bands(self, found: pa.Table, signatures: str) -> pa.Table:
        names = [*self.bands, "content"]
        schema = pa.schema([pa.field(name, pa.uint64()) for name in names])
        pieces = [
            pa.RecordBatch.from_arrays([batch[name].take(pa.array(rows)) for name in names], schema=schema)
            for _, batch, rows in gather([signatures], found["number"].to_numpy(), names)
        ]
        for name, column in zip(names, pa.Table.from_batches(pieces, schema).itercolumns(), strict=True):
            found = found.append_column(name, column)
        return found.combine_chunks()

    def _sets(self, part: str, rows: Numbers, fresh: npt.NDArray[np.bool_]) -> Iterator[pa.LargeListArray]:
        """Yield the sets of some rows of a part, about a block at a time; empty where not `fresh`."""
        waiting: list[pa.LargeListArray] = []
        done = 0
        for _, batch, wanted in gather_part(part, 0, rows, ["text"]):
            texts = pc.if_else(
                pa.array(fresh[done : done + len(wanted)]), batch["text"].take(pa.array(wanted)), ""
            )
            done += len(wanted)
            members, offsets = minhash.sets(*shingles(texts, self.ngram))
            waiting.append(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(members)))
            if sum(len(sets.values) for sets in waiting) * members.itemsize >= BLOCK_BYTES:
                yield pa.concat_arrays(waiting)
                waiting = []
        if waiting:
            yield pa.concat_arrays(waiting)


@dataclass(frozen=True)
class Clusters(Stage):
    """Clusters the candidates of a block and writes which documents go, with the ids of their twins.

    With a `threshold`, documents are joined where they meet in a band and the Jaccard similarity of their
    shingle sets is at least that; `value` is then the similarity of a document and its twin. Without one, a
    component is a cluster, and `value` is null.
    """

    name: ClassVar[str] = "dedup.minhash.clusters"

    keep: str
    threshold: float | None
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of duplicates."""
        return DUPLICATES

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per block; `sources` are the candidates."""
        seen = [pc.unique(batch["block"]) for batch in Dataset(sources[0]).batches(["block"])]
        blocks = sorted({0, *(block for found in seen for block in found.to_pylist())})
        return [Task((dataset_input(sources[0]),), DUPLICATES, {"block": block}) for block in blocks]

    def run(self, task: Task) -> Iterator[Split]:
        """Cluster the components of one block."""
        path, block = task.inputs[0].path, task.work["block"]
        names = [name for name in Dataset(path).schema.names if name != _SET.name]
        rows = read_between(path, "block", block, block + 1, names)
        if self.threshold is None:
            gone, twins = self._choose(rows, rows["component"].to_numpy())
            values = pa.nulls(len(gone), pa.float64())
        else:
            which, firsts = _distinct(rows)
            members, offsets = _read_sets(path, block, rows["size"].to_numpy(), firsts, self.memory)
            clusters = _confirmed(rows, firsts, members, offsets, self.threshold)
            gone, twins = self._choose(rows, clusters[which])
            values = pa.array(minhash.similarities(members, offsets, which[gone], which[twins]))
        columns = [
            rows["number"].combine_chunks().take(pa.array(gone)),
            _text(rows).take(pa.array(twins)),
            values,
        ]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=DUPLICATES))

    def _choose(self, rows: pa.Table, clusters: Numbers) -> tuple[Numbers, Numbers]:
        return duplicates(clusters, rows["number"].to_numpy(), rows["rank"].to_numpy(), self.keep)


def _text(rows: pa.Table) -> pa.StringArray:
    return pa.concat_arrays([pa.array([], pa.string()), *rows["document"].chunks])


def _groups(rows: pa.Table) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Order rows by component, content and number, and say which begin a group of the same words."""
    component, content = rows["component"].to_numpy(), rows["content"].to_numpy()
    order = np.lexsort((rows["number"].to_numpy(), content, component))
    component, content = component[order], content[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (component[1:] != component[:-1]) | (content[1:] != content[:-1])
    return order, begins


def _distinct(rows: pa.Table) -> tuple[Numbers, Numbers]:
    """Return the distinct text of each row, and the first row of each distinct text, ordered by number.

    Documents with the same words are one from here on, so that a bucket of equal documents costs nothing. The
    first of them is the first in its part, so it carries their set.
    """
    order, begins = _groups(rows)
    firsts = order[begins]
    by_number = np.argsort(rows["number"].to_numpy()[firsts], kind="stable")
    place = np.empty(len(firsts), np.int64)
    place[by_number] = np.arange(len(firsts))
    which = np.empty(len(order), np.int64)
    which[order] = place[np.cumsum(begins) - 1]
    return which, firsts[by_number]


def _read_sets(path: str, block: int, sizes: Numbers, firsts: Numbers, memory: int) -> tuple[Hashes, Offsets]:
    """Read the sets of the rows `firsts` of a block, in their order."""
    offsets = np.concatenate([[0], np.cumsum(sizes[firsts])])
    members = _room(int(offsets[-1]), memory)
    put = np.full(len(sizes), -1, np.int64)
    put[firsts] = offsets[:-1]
    row = 0
    for sets in read_between(path, "block", block, block + 1, [_SET.name]).column(0).chunks:
        values, edges = sets.values.to_numpy(), sets.offsets.to_numpy()
        for at in np.flatnonzero(put[row : row + len(sets)] >= 0).tolist():
            start, end = edges[at], edges[at + 1]
            members[put[row + at] : put[row + at] + end - start] = values[start:end]
        row += len(sets)
    return members, offsets


def _room(count: int, memory: int) -> Hashes:
    """Make room for hashes: in memory, or in a temporary file for a component that is too large."""
    if count * 8 <= memory // 2:
        return np.empty(count, np.uint64)
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, np.uint64, "w+", shape=count))


def _confirmed(
    rows: pa.Table, firsts: Numbers, members: Hashes, offsets: Offsets, threshold: float
) -> Numbers:
    """Return the cluster of each distinct text: bands propose pairs, true similarity joins them."""
    parents = unionfind.singletons(len(firsts))
    for name in rows.column_names:
        if name.startswith("band_"):
            minhash.confirm_band(rows[name].to_numpy()[firsts], members, offsets, threshold, parents)
    return unionfind.roots(parents).astype(np.int64)
