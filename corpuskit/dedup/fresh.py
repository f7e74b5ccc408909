"""The n-grams of documents for an index, before step 2: which no generation has, by their hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dedup.bloom import Flags
from corpuskit.dedup.grams import gram_count, shard_bits, shard_counts, shard_units
from corpuskit.dedup.index import Generation, generations
from corpuskit.dedup.numbering import between, distinct
from corpuskit.dedup.references import datasets
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import Offsets
from corpuskit.stage import Split, Task, check_memory, dataset_input

__all__ = ["FRESH", "FirstUnits", "Fresh", "fresh_bytes", "shard_between"]

FRESH = pa.schema([pa.field("hash", pa.uint64(), nullable=False)])
"""Hashes of n-grams, each once, in ascending order."""

GRAM_BYTES = 32
"""What an n-gram of a shard takes: its hash, copies while hashes are sorted, and the unit it came with."""
_ROWS_AT_ONCE = 1 << 18
_NEVER = np.iinfo(np.int64).max


def fresh_bytes(sources: tuple[str, ...]) -> int:
    """Return about how many bytes one worker needs for a shard, before anything is read."""
    return (gram_count(sources) >> shard_bits(sources)) * GRAM_BYTES


def shard_between(dataset: str, shard: int, bits: int) -> Iterator[Hashes]:
    """Read the hashes of a shard from a dataset under `FRESH`, a row group at a time."""
    first = shard << 64 - bits
    for table in between(dataset, "hash", first, first + (1 << 64 - bits) - 1):
        yield table["hash"].to_numpy()


@dataclass(frozen=True)
class Fresh(Generation):
    """Writes the hashes of the documents' n-grams that no earlier batch had: a generation of an index."""

    name: ClassVar[str] = "dedup.ngram.fresh"

    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of hashes."""
        return FRESH

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard; `sources` are the n-grams, the generations, then the documents.

        Raises:
            DoesNotFit: A shard takes more than the memory there is.
        """
        grams, pinned, *documents = sources
        bits = shard_bits((*datasets(self.against), *documents))
        counts = shard_counts(grams, bits)
        check_memory("dedup.ngram", max(counts) * GRAM_BYTES, self.memory)
        inputs = tuple(dataset_input(path) for path in (grams, *generations(self.index, (pinned,))))
        return [Task(inputs, FRESH, {"shard": shard, "bits": bits}) for shard in range(len(counts))]

    def run(self, task: Task) -> Iterator[Split]:
        """Sort the hashes of one shard, and leave out those that are old."""
        grams, *old = (item.path for item in task.inputs)
        shard, bits = task.work["shard"], task.work["bits"]
        hashes = _distinct(grams, shard)
        known = np.zeros(len(hashes), bool)
        for path in old if len(hashes) else ():
            for some in shard_between(path, shard, bits):
                places = np.minimum(np.searchsorted(hashes, some), len(hashes) - 1)
                known[places[hashes[places] == some]] = True
        hashes = hashes[~known]
        for start in range(0, len(hashes), _ROWS_AT_ONCE):
            column = pa.array(hashes[start : start + _ROWS_AT_ONCE])
            yield Split(pa.RecordBatch.from_arrays([column], schema=FRESH))


def _distinct(grams: str, shard: int) -> Hashes:
    """Return the hashes of one shard that documents have, those of references apart, sorted."""
    found = [np.zeros(0, np.uint64)]
    for units in shard_units(grams, shard):
        found.append(units.hashes[np.repeat(units.numbers >= 0, np.diff(units.bounds))])
    return distinct(np.concatenate(found))


class FirstUnits:
    """The n-grams of a shard that are in no generation, and the unit that each came with first.

    It answers as a filter does, `NgramFilter.add_units`, but never errs: what it does not hold is old, or no
    document has it.

    >>> units = FirstUnits(np.array([5, 7], np.uint64))
    >>> units.add_units(np.array([5, 5, 5, 7, 9], np.uint64), np.array([0, 2, 5])).tolist()
    [False, False, True, False, True]
    """

    def __init__(self, hashes: Hashes) -> None:
        """Take the hashes that are new, in ascending order."""
        self._hashes = np.append(hashes, np.uint64(0))  # where no place is, this one is
        self._count = len(hashes)
        self._first: npt.NDArray[np.int64] = np.full(len(hashes) + 1, _NEVER)
        self._done = 0

    def add_units(self, hashes: Hashes, units: Offsets) -> Flags:
        """Say of each hash whether it is old, or an earlier unit had it; unit i begins at `units[i]`."""
        order, places = np.argsort(hashes), np.empty(len(hashes), np.int64)
        places[order] = np.searchsorted(
            self._hashes[: self._count], hashes[order]
        )  # in order: close to the last one
        new = (places < self._count) & (self._hashes[places] == hashes)
        numbers = np.repeat(np.arange(self._done, self._done + len(units) - 1), np.diff(units))
        self._done += len(units) - 1
        unseen = np.flatnonzero(new & (self._first[places] == _NEVER))[::-1]
        self._first[places[unseen]] = numbers[unseen]  # of several the last assignment holds: the first unit
        return np.asarray(~new | (self._first[places] < numbers))
