"""Overlap, steps 4 and 5: which documents the filter's hits are from, and the table of evaluation sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.bloom import grams_of
from corpuskit.dedup.numbering import distinct
from corpuskit.document import SCHEMA
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import Offsets, buffers, strings
from corpuskit.kernels.words import normalise
from corpuskit.stage import Split, Stage, Task, dataset_input, document_tasks

__all__ = ["LOCATIONS", "TABLE", "Locate", "Table"]

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LOCATIONS = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("document", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("documents", pa.int64(), nullable=False),
    ]
)
"""An n-gram that a part has: the id and url of the first document there with it, and how many have it."""

_READ = pa.schema([SCHEMA.field(name) for name in ("id", "text", "url")])

HIT = pa.struct(
    [
        ("example", pa.string()),
        ("words", pa.int64()),
        ("text", pa.large_string()),
        ("document", pa.string()),
        ("url", pa.string()),
        ("documents", pa.int64()),
    ]
)
TABLE = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("examples", pa.int64(), nullable=False),
        pa.field("examples_hit", pa.int64(), nullable=False),
        pa.field("ngrams", pa.int64(), nullable=False),
        pa.field("found", pa.int64(), nullable=False),
        pa.field("share", pa.float64()),
        pa.field("false_positives", pa.int64(), nullable=False),
        pa.field("longest", pa.list_(HIT), nullable=False),
    ]
)
"""A row for every evaluation set. `share` is null where there are no n-grams. Of a hit, `document` is the one
that is first to have most of its n-grams, and `documents` how many have its rarest."""


@dataclass(frozen=True)
class Locate(Stage):
    """Finds, part by part, the training documents that have the n-grams which the filter knows."""

    name: ClassVar[str] = "dedup.overlap.locate"

    n: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of locations."""
        return LOCATIONS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the training documents; `sources` are the hashes, then the documents."""
        return document_tasks(*sources[1:], beside=sources[:1])

    def run(self, task: Task) -> Iterator[Split]:
        """Look for the n-grams in one part."""
        wanted = _sorted_hashes(task.inputs[1].path, "hash")
        first, counts = np.full(len(wanted), -1, np.int64), np.zeros(len(wanted), np.int64)
        names: dict[int, tuple[str, str | None]] = {}
        number = 0
        for batch in read_batches(task.inputs[0].path, _READ, _READ.names):
            hashes, edges = grams_of(*buffers(batch["text"]), self.n)
            places, at = _matches(hashes, wanted)
            rows = np.searchsorted(edges, at, side="right") - 1
            pairs = np.unique(np.stack([places, rows]), axis=1)  # a document counts once for each n-gram
            counts += np.bincount(pairs[0], minlength=len(wanted))
            new, which = np.unique(pairs[0], return_index=True)  # the first row of each, as pairs are sorted
            fresh = first[new] < 0
            first[new[fresh]] = pairs[1][which[fresh]] + number
            for row in np.unique(pairs[1][which[fresh]]).tolist():
                names[number + row] = batch["id"][row].as_py(), batch["url"][row].as_py()
            number += len(batch)
        there = np.flatnonzero(first >= 0)
        told = [names[place] for place in first[there].tolist()]
        columns = [
            pa.array(wanted[there]),
            pa.array([one for one, _ in told], pa.string()),
            pa.array([url for _, url in told], pa.string()),
            pa.array(counts[there]),
        ]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=LOCATIONS))


def _sorted_hashes(dataset: str, column: str) -> Hashes:
    found = [batch[column].to_numpy() for batch in Dataset(dataset).batches([column])]
    return distinct(np.concatenate([np.zeros(0, np.uint64), *found]))


def _matches(hashes: Hashes, wanted: Hashes) -> tuple[Numbers, Numbers]:
    """Return which of `wanted` (sorted) occur among `hashes`, and where, for every occurrence."""
    table = np.zeros(1 << 20, bool)
    table[wanted >> np.uint64(44)] = True
    at = np.flatnonzero(table[hashes >> np.uint64(44)])  # most are ruled out without a search
    places = np.searchsorted(wanted, hashes[at])
    if not len(wanted):
        return places, at
    equal = wanted[np.minimum(places, len(wanted) - 1)] == hashes[at]
    return places[equal], at[equal]


@dataclass(frozen=True)
class Table(Stage):
    """Counts what was found of each evaluation set, and names its longest hits."""

    name: ClassVar[str] = "dedup.overlap.table"

    sets: tuple[str, ...]
    n: int
    longest: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the table."""
        return TABLE

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per evaluation set; `sources` are the examples, the hashes known, the locations."""
        inputs = tuple(dataset_input(path) for path in sources)
        return [Task(inputs, TABLE, {"set": name}) for name in self.sets]

    def run(self, task: Task) -> Iterator[Split]:
        """Count one set."""
        examples, probed, located = (item.path for item in task.inputs)
        known, places = _sorted_hashes(probed, "hash"), _Places(located)
        told: dict[str, Any] = {"set": task.work["set"], "longest": []}
        counts: Counter[str] = Counter()
        for batch in Dataset(examples).batches():
            mine = batch.filter(pc.equal(batch["set"], task.work["set"]))
            texts = strings(*normalise(*buffers(mine["text"])))
            hashes, edges = grams_of(*buffers(texts), self.n)
            found, claimed = np.isin(hashes, places.hashes), np.isin(hashes, known)
            owners = np.searchsorted(edges, np.flatnonzero(found), side="right") - 1
            counts.update(examples=len(mine), ngrams=len(hashes), found=int(found.sum()))
            counts.update(examples_hit=len(np.unique(owners)), false_positives=int((claimed & ~found).sum()))
            hits = told["longest"] + list(self._hits(mine["id"], texts, (hashes, edges), found, places))
            told["longest"] = _longest(hits, self.longest)
        names = ("examples", "examples_hit", "ngrams", "found", "false_positives")
        told |= {name: counts[name] for name in names}
        told["share"] = counts["found"] / counts["ngrams"] if counts["ngrams"] else None
        yield Split(pa.RecordBatch.from_pylist([told], TABLE))

    def _hits(
        self, ids: pa.Array, texts: pa.Array, grams: tuple[Hashes, Offsets], found: Flags, places: _Places
    ) -> Iterator[dict[str, Any]]:
        """Yield the longest runs of found n-grams, each a run of words in one example; no words twice."""
        hashes, edges = grams
        starts, ends = _runs(found, edges)
        seen: set[str] = set()
        for run in np.argsort(starts - ends, kind="stable").tolist():
            if len(seen) == self.longest:
                return
            start, end = int(starts[run]), int(ends[run])
            row = int(np.searchsorted(edges, start, side="right")) - 1
            at = start - int(edges[row])
            words = texts[row].as_py().split(" ")[at : at + end - start + self.n - 1]
            text = " ".join(words)
            if text in seen:
                continue
            seen.add(text)
            document, url, documents = places.of(hashes[start:end])
            yield {
                "example": ids[row].as_py(),
                "words": len(words),
                "text": text,
                "document": document,
                "url": url,
                "documents": documents,
            }


def _runs(found: Flags, edges: Offsets) -> tuple[Numbers, Numbers]:
    """Return where runs of found n-grams begin and end; a run lies within one example."""
    begins = found.copy()
    begins[1:] &= ~found[:-1]
    inner = edges[:-1][edges[:-1] < edges[-1]]
    begins[inner] = found[inner]
    ends = found.copy()
    ends[:-1] &= ~found[1:] | begins[1:]
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1


def _longest(hits: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Keep the longest hits, of the same words only the first."""
    distinct = {hit["text"]: hit for hit in reversed(hits)}
    firsts = [hit for hit in hits if distinct[hit["text"]] is hit]
    return sorted(firsts, key=lambda hit: -hit["words"])[:count]


class _Places:
    """Where the n-grams that were found are, in the order of parts."""

    def __init__(self, located: str) -> None:
        table = Dataset(located).table()
        hashes = table["hash"].to_numpy()
        self.hashes, self._first = np.unique(hashes, return_index=True)
        self._documents, self._urls = table["document"], table["url"]
        counts = np.zeros(len(self.hashes), np.int64)
        np.add.at(counts, np.searchsorted(self.hashes, hashes), table["documents"].to_numpy())
        self._counts = counts

    def of(self, hashes: Hashes) -> tuple[str, str | None, int]:
        """Return id and url of the document first to have most of some n-grams; how many have the rarest."""
        places = np.searchsorted(self.hashes, hashes)
        firsts = self._first[places]
        names = Counter(self._documents.take(pa.array(firsts)).to_pylist())
        document = names.most_common(1)[0][0]
        row = next(row for row in firsts.tolist() if self._documents[row].as_py() == document)
        return document, self._urls[row].as_py(), int(self._counts[places].min())
