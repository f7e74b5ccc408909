"""MinHash, steps 4 and 5: the shingle sets of candidates, and the clusters that they confirm."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.index import before
from corpuskit.dedup.links import BLOCK_BYTES, CANDIDATES
from corpuskit.dedup.numbering import gather, gather_part, numbered_tasks, read_between
from corpuskit.dedup.remember import FOUND
from corpuskit.dedup.signatures import shingles
from corpuskit.dedup.survivors import duplicates
from corpuskit.kernels import minhash, unionfind
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import Offsets
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["Clusters", "Shingles", "room"]

Numbers = npt.NDArray[np.int64]

_SET = pa.field("set", pa.large_list(pa.uint64()), nullable=False)
_SIZE = pa.field("size", pa.int64(), nullable=False)


@dataclass(frozen=True)
class Shingles(Stage):
    """Writes the candidates of each part with their bands and shingle sets, sorted by block.

    Of candidates of one component with the same words only the first in the part carries its
    set (`size` > 0). Old documents have theirs from the index.
    """

    name: ClassVar[str] = "dedup.minhash.shingles"

    ngram: int
    bands: tuple[str, ...]
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    index: str | None = settings.setting(None, "the index", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of candidates with their bands, `content`, and sorted sets of shingle hashes."""
        bands = [pa.field(name, pa.uint64(), nullable=False) for name in (*self.bands, "content")]
        return pa.schema([*CANDIDATES, *bands, _SIZE, _SET])

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part: of references, of generations, of documents.

        `sources` are the signatures, the candidates, the generations where there is an index, the documents.
        """
        pinned = 2 if self.index is None else 3
        known = before(self.against, self.index, sources[2:pinned])
        kinds = (
            (self.against, 0, {"old": False, "shift": 0}),
            (known.generations, known.references, {"old": True}),
            (sources[pinned:], known.references + known.old, {"old": False, "shift": known.old}),
        )
        return [
            dataclasses.replace(task, work={**task.work, **work, "first": task.work["first"] + first})
            for paths, first, work in kinds
            for task in (numbered_tasks(*paths, beside=sources[:2]) if paths else ())
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Look up the candidates of one part and make their sets."""
        first, rows = task.work["first"], task.work["rows"]
        found = read_between(task.inputs[2].path, "number", first, first + rows).sort_by("number")
        if task.work["old"]:
            yield from self._old(task, found, first)
            return
        found = self._with_bands(found, task.inputs[1].path, task.work["shift"])
        order, begins = _groups(found)
        fresh = np.zeros(len(order), bool)
        fresh[order[begins]] = True
        start = 0
        for sets in self._sets(task.inputs[0].path, found["number"].to_numpy() - first, fresh):
            piece = found.slice(start, len(sets)).append_column(_SIZE, pc.list_value_length(sets))
            start += len(sets)
            yield from self._sorted(piece.append_column(_SET, sets))

    def _sorted(self, piece: pa.Table) -> Iterator[Split]:
        piece = piece.sort_by([("block", "ascending"), ("number", "ascending")])
        yield from map(Split, piece.cast(self.writes(piece.schema)).combine_chunks().to_batches())

    def _old(self, task: Task, found: pa.Table, first: int) -> Iterator[Split]:
        """Take the bands and sets of old documents as they are."""
        names, done = [*self.bands, "content", _SIZE.name, _SET.name], 0
        numbers = found["number"].to_numpy() - first
        for _, batch, rows in gather_part(task.inputs[0].path, 0, numbers, names):
            piece, taken = found.slice(done, len(rows)), batch.take(pa.array(rows))
            for name in names:
                piece = piece.append_column(name, taken[name])
            done += len(rows)
            yield from self._sorted(piece)

    def _with_bands(self, found: pa.Table, signatures: str, shift: int) -> pa.Table:
        names = [*self.bands, "content"]
        schema = pa.schema([pa.field(name, pa.uint64()) for name in names])
        pieces = [
            pa.RecordBatch.from_arrays([batch[name].take(pa.array(rows)) for name in names], schema=schema)
            for _, batch, rows in gather([signatures], found["number"].to_numpy() - shift, names)
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

    With an `index` a document is linked to the first before it that it meets and is like, so that later
    documents change nothing for earlier ones; its twin is the one that stayed in place of that one, and
    `value` is the similarity to that one.
    """

    name: ClassVar[str] = "dedup.minhash.clusters"

    keep: str
    threshold: float | None
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    index: str | None = settings.setting(None, "the index", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of what is found."""
        return FOUND

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per block; `sources` are the candidates, then the generations."""
        seen = [pc.unique(batch["block"]) for batch in Dataset(sources[0]).batches(["block"])]
        blocks = sorted({0, *(block for found in seen for block in found.to_pylist())})
        work = before(self.against, self.index, sources[1:]).work() | {"index": self.index is not None}
        return [Task((dataset_input(sources[0]),), FOUND, {**work, "block": block}) for block in blocks]

    def run(self, task: Task) -> Iterator[Split]:
        """Cluster the components of one block."""
        path, block = task.inputs[0].path, task.work["block"]
        names = [name for name in Dataset(path).schema.names if name != _SET.name]
        rows = read_between(path, "block", block, block + 1, names)
        first = task.work["references"] + task.work["old"]
        if self.threshold is None:
            found = self._clustered(rows, rows["component"].to_numpy())
            values = np.full(len(found.gone), np.nan)
        else:
            distinct = _distinct(rows)
            sizes = rows["size"].to_numpy()
            sets = _Sets(*_read_sets(path, block, sizes, distinct.firsts, self.memory), self.threshold)
            if self.index is None:
                found = self._clustered(rows, _confirmed(distinct.bands, sets)[distinct.which])
            else:
                found = _linked(rows["number"].to_numpy(), distinct, sets, first, task.work["references"])
            which = distinct.which
            values = minhash.similarities(sets.members, sets.offsets, which[found.gone], which[found.links])
        numbers = rows["number"].to_numpy()[found.gone]
        ours = numbers >= first
        columns = [
            pa.array(numbers[ours] - first),
            _text(rows).take(pa.array(found.twins[ours])),
            pa.array(values[ours], from_pandas=True),
            pa.array(found.known[ours]),
        ]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=FOUND))

    def _clustered(self, rows: pa.Table, clusters: Numbers) -> _Found:
        gone, twins = duplicates(clusters, rows["number"].to_numpy(), rows["rank"].to_numpy(), self.keep)
        return _Found(gone, twins, twins, np.zeros(len(gone), bool))


class _Found(NamedTuple):
    """Rows that go; those they are like, and those that stay in their place; whether they say nothing new."""

    gone: Numbers
    links: Numbers
    twins: Numbers
    known: npt.NDArray[np.bool_]


class _Distinct(NamedTuple):
    """The distinct text of each row; the first row of each distinct text, ordered by number; its bands."""

    which: Numbers
    firsts: Numbers
    bands: list[Hashes]


class _Sets(NamedTuple):
    """The sets of distinct texts, and the similarity from which two are alike."""

    members: Hashes
    offsets: Offsets
    threshold: float


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


def _distinct(rows: pa.Table) -> _Distinct:
    """Find the distinct texts.

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
    firsts = firsts[by_number]
    names = [name for name in rows.column_names if name.startswith("band_")]
    return _Distinct(which, firsts, [rows[name].to_numpy()[firsts] for name in names])


def _read_sets(path: str, block: int, sizes: Numbers, firsts: Numbers, memory: int) -> tuple[Hashes, Offsets]:
    """Read the sets of the rows `firsts` of a block, in their order."""
    offsets = np.concatenate([[0], np.cumsum(sizes[firsts])])
    members = room((int(offsets[-1]),), np.uint64, memory)
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


def room(shape: tuple[int, ...], kind: type[np.generic], memory: int) -> npt.NDArray[Any]:
    """Make room for an array: in memory, or in a temporary file where it would take more than half of it."""
    if math.prod(shape) * np.dtype(kind).itemsize <= memory // 2:
        return np.empty(shape, kind)
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, kind, "w+", shape=shape))


def _confirmed(bands: Sequence[Hashes], sets: _Sets) -> Numbers:
    """Return the cluster of each distinct text: bands propose pairs, true similarity joins them."""
    parents = unionfind.singletons(len(sets.offsets) - 1)
    for values in bands:
        minhash.confirm_band(values, *sets, parents)
    return unionfind.roots(parents).astype(np.int64)


def _linked(numbers: Numbers, distinct: _Distinct, sets: _Sets, first: int, references: int) -> _Found:
    """Link each document from number `first` on to the first before it with the same words, else alike."""
    which, firsts = distinct.which, distinct.firsts
    links = np.arange(len(firsts))
    start = int(np.searchsorted(numbers[firsts], first))
    for values in distinct.bands:
        minhash.link_band(values, *sets, start, links)
    repeats = firsts[which] != np.arange(len(which))
    gone = np.flatnonzero((numbers >= first) & (repeats | (links[which] != which)))
    like = np.where(repeats, which, links[which])[gone]
    twins = firsts[unionfind.roots(links)[which[gone]]]
    known = repeats[gone] & (numbers[firsts[which[gone]]] >= references)
    return _Found(gone, firsts[like], twins, known)
