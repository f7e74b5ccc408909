"""Images of documents, step 2: which have the same key, and which have nearly the same pHash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.imagekeys import rows_in
from corpuskit.dedup.numbering import BUCKET_ROWS, bucket_bits, bucket_rows, in_bucket, numbered_batches
from corpuskit.errors import InputError
from corpuskit.kernels.hamming import ALL, join_groups, pieces
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.unionfind import roots, singletons
from corpuskit.stage import Split, Stage, Task, check_memory, dataset_input

__all__ = ["Equal", "Near", "links_bytes", "spread"]

Numbers = npt.NDArray[np.int64]

_LINK = (
    pa.field("first", pa.int64(), nullable=False),
    pa.field("second", pa.int64(), nullable=False),
)
_LINKS = pa.schema(_LINK)
_EQUAL = pa.schema(
    [*_LINK, pa.field("high", pa.uint64(), nullable=False), pa.field("low", pa.uint64(), nullable=False)]
)
"""A row for every image that has a key: itself (`second`), the first that has the same, and the key."""

ROW_BYTES = 128
"""What one image takes while its bucket is sorted and compared."""

_ODD = np.uint64(0x9E3779B97F4A7C15)


def links_bytes(images: int) -> int:
    """Return what a worker needs for one bucket of so many images."""
    return bucket_rows(images) * ROW_BYTES


def spread(values: npt.NDArray[np.generic]) -> Hashes:
    """Return a 64-bit number for each, of which the leading bits choose a bucket.

    >>> (spread(np.arange(4)) >> np.uint64(62)).tolist()
    [0, 2, 0, 3]
    """
    return values.astype(np.uint64) * _ODD


@dataclass(frozen=True)
class Equal(Stage):
    """Links every image to the first that has the same key; with `text`, of those with the same text."""

    name: ClassVar[str] = "dedup.images.equal"

    text: bool
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links with keys."""
        return _EQUAL

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per bucket of keys.

        Raises:
            DoesNotFit: A bucket takes more than the memory there is.
            InputError: Not one image has a key.
        """
        images = Dataset(sources[0])
        check_memory("dedup.images", links_bytes(images.rows), self.memory)
        _check_keys(images, rows_in(self.against))
        bits, inputs = bucket_bits(images.rows), (dataset_input(sources[0]),)
        return [Task(inputs, _EQUAL, {"bits": bits, "bucket": bucket}) for bucket in range(1 << bits)]

    def run(self, task: Task) -> Iterator[Split]:
        """Sort one bucket and link equal keys."""
        numbers, high, low = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        for first, batch in numbered_batches(task.inputs[0].path, ["high", "low"]):
            keys = pc.fill_null(batch["high"], 0).to_numpy()
            mine = in_bucket(spread(keys), task.work["bucket"], task.work["bits"])
            rows = np.flatnonzero(np.asarray(batch["high"].is_valid()) & mine)
            numbers.append(rows + first)
            high.append(keys[rows])
            low.append(batch["low"].to_numpy()[rows] if self.text else np.zeros(len(rows), np.uint64))
        keyed = _Keyed(np.concatenate(numbers), np.concatenate(high), np.concatenate(low))
        order, begins = _sorted(keyed)
        ordered = _Keyed(keyed.numbers[order], keyed.high[order], keyed.low[order])
        heads = np.flatnonzero(begins)
        firsts = ordered.numbers[np.repeat(heads, np.diff(np.append(heads, len(order))))]
        columns = [pa.array(column) for column in (firsts, *ordered)]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=_EQUAL))


class _Keyed(NamedTuple):
    """The numbers of some images, and their keys."""

    numbers: Numbers
    high: Hashes
    low: Hashes


def _sorted(keyed: _Keyed) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Order images by key and number, and say where a key begins."""
    order = np.lexsort((keyed.numbers, keyed.low, keyed.high))
    high, low = keyed.high[order], keyed.low[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return order, begins


def _check_keys(images: Dataset, references: int) -> None:
    """Check that of the images there are, of references and of documents, some have a key."""
    given, keyed = {True: 0, False: 0}, {True: 0, False: 0}
    for batch in images.batches(["document", "high"]):
        reference, valid = batch["document"].to_numpy() < references, np.asarray(batch["high"].is_valid())
        for kind in (True, False):
            given[kind] += int(np.sum(reference == kind))
            keyed[kind] += int(np.sum(valid[reference == kind]))
    for kind, whose in ((False, "the documents"), (True, "the references")):
        if given[kind] and not keyed[kind]:
            what = f"dedup.images: not one of the {given[kind]:,} images of {whose} can be told from another"
            raise InputError(what, fix="they have no bytes that can be decoded: fetch them with crawl images")


@dataclass(frozen=True)
class Near(Stage):
    """Links images whose pHashes differ in at most `distance` bits; of those with equal keys the first only.

    Two such hashes agree on at least one of `distance` + 1 bands of their bits: a task compares those that
    agree on a band. What it writes joins as the pairs would: one link for each hash at most.
    """

    name: ClassVar[str] = "dedup.images.near"

    distance: int

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links."""
        return _LINKS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per band and bucket; small data has several bands in one task."""
        images, bands = Dataset(sources[0]), list(range(self.distance + 1))
        bits = bucket_bits(images.rows)
        together = max(1, BUCKET_ROWS // 4 // max(1, images.rows))
        inputs = (dataset_input(sources[0]),)
        return [
            Task(inputs, _LINKS, {"bands": bands[at : at + together], "bits": bits, "bucket": bucket})
            for at in range(0, len(bands), together)
            for bucket in range(1 << bits)
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Compare the images of one bucket of each band."""
        for band in task.work["bands"]:
            mask = np.uint64(pieces(ALL, self.distance + 1)[band])
            keyed = _bucket(task, mask)
            order, begins = _sorted(keyed._replace(high=keyed.high & mask))
            bounds = np.append(np.flatnonzero(begins), len(order))
            parents = singletons(len(order))
            join_groups(keyed.high, order, bounds, self.distance, parents)
            linked = np.flatnonzero(roots(parents) != np.arange(len(parents)))
            columns = [pa.array(keyed.numbers[rows]) for rows in (parents[linked], linked)]
            yield Split(pa.RecordBatch.from_arrays(columns, schema=_LINKS))


def _bucket(task: Task, mask: np.uint64) -> _Keyed:
    """Read the first image of each key of one bucket of a band."""
    numbers, high, low = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for batch in Dataset(task.inputs[0].path).batches():
        first, second, keys, texts = (batch[name].to_numpy() for name in _EQUAL.names)
        mine = in_bucket(spread((keys & mask) ^ spread(texts)), task.work["bucket"], task.work["bits"])
        rows = np.flatnonzero((first == second) & mine)
        numbers.append(second[rows])
        high.append(keys[rows])
        low.append(texts[rows])
    return _Keyed(np.concatenate(numbers), np.concatenate(high), np.concatenate(low))
