"""The runs of units that one task looks at, a shard's or a turn's of it, and where each came first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.dedup.grams import shard_counts
from corpuskit.dedup.numbering import between, ids_of
from corpuskit.dedup.units import Unit
from corpuskit.dedup.windows import ANCHOR_BITS, WINDOWS, shard_bits, turns_and_room, worker_bytes
from corpuskit.kernels.firstseen import FirstSeen
from corpuskit.stage import Task, check_memory, dataset_input

__all__ = ["Compared", "Runs", "Turn", "new_entries", "room_for", "turn_tasks"]

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_OLD = 1 << 62
"""Numbers from here on are of documents that only an index knows."""


class Compared(NamedTuple):
    """The datasets that runs are of: references, documents, and the generations of an index."""

    references: Sequence[str]
    documents: Sequence[str]
    generations: Sequence[str]


class Runs(NamedTuple):
    """Some runs of units, in order: the columns of `WINDOWS`, and where each is in the table."""

    anchors: npt.NDArray[np.uint16]
    numbers: Numbers
    places: Numbers
    entries: npt.NDArray[np.int32]


def turn_tasks(windows: str, compared: Compared, unit: Unit, schema: pa.Schema, memory: int) -> list[Task]:
    """Plan one task per shard, or per turn of a shard that is too large.

    Raises:
        DoesNotFit: A table takes more than `memory`.
    """
    bits = shard_bits((*compared.references, *compared.documents), unit)
    inputs = tuple(dataset_input(path) for path in (windows, *(one for some in compared for one in some)))
    work = {"references": len(compared.references), "generations": len(compared.generations)}
    tasks = []
    for shard, count in enumerate(shard_counts(windows, bits)):
        needed = worker_bytes(count, indexed=bool(compared.generations))
        check_memory("dedup.repeats", needed, memory)
        turns, room = turns_and_room(count)
        width = (1 << ANCHOR_BITS - bits) // turns
        for turn in range(shard * turns, (shard + 1) * turns):
            own = {"shard": shard, "room": room, "low": turn * width, "high": (turn + 1) * width - 1}
            tasks.append(Task(inputs, schema, {**work, **own}))
    return tasks


def room_for(values: npt.NDArray[np.generic], table: FirstSeen) -> npt.NDArray[np.generic]:
    """Return an array with a value for every entry of a table, longer if the table has grown."""
    short = table.count - len(values)
    return values if short <= 0 else np.append(values, np.zeros(2 * short + 16, values.dtype))


class Turn:
    """The runs of one task, and the table of where each came first: in a reference, or a document."""

    def __init__(self, task: Task) -> None:
        """Open the files that have runs of the task's shard."""
        windows, *paths = (item.path for item in task.inputs)
        work = task.work
        self.low, self.high = work["low"], work["high"]
        end = len(paths) - work["generations"]
        first = work["references"]
        self.compared = Compared(paths[:first], paths[first:end], paths[end:])
        self.table = FirstSeen(work["room"])
        self._groups = _groups(windows, work["shard"])
        self._old: dict[str, int] = {}

    def runs(self) -> Iterator[Runs]:
        """Read the runs in order, a row group at a time, and put those that are not there into the table."""
        for path, groups in self._groups:
            with files.open_input(path) as file:
                parquet = pq.ParquetFile(file)
                for group in groups:
                    table = parquet.read_row_group(group)
                    anchors = table["anchor"].to_numpy()
                    table = table.filter(pa.array((anchors >= self.low) & (anchors <= self.high)))
                    if len(table):
                        yield self._added(table)

    def _added(self, table: pa.Table) -> Runs:
        _, anchors, numbers, places, high, low = (table[name].to_numpy() for name in WINDOWS.names)
        return Runs(anchors, numbers, places, self.table.add((high, low), numbers, places))

    def take_old(self) -> Flags:
        """Say which entries an index knows, and note the old document in the place of a later one.

        To be called when all runs are in the table. A reference stays: it comes before everything.
        """
        known = np.zeros(self.table.count, bool)
        for path in self.compared.generations:
            for found in between(path, "anchor", self.low, self.high):
                entries = self.table.find((found["high"].to_numpy(), found["low"].to_numpy()))
                rows = np.flatnonzero(entries >= 0)
                rows = rows[~known[entries[rows]]]  # an earlier generation comes first
                known[entries[rows]] = True
                self._note(found["document"].combine_chunks().take(pa.array(rows)), entries[rows])
        return known

    def _note(self, ids: pa.StringArray, entries: npt.NDArray[np.int32]) -> None:
        names = ids.dictionary_encode()
        numbers = [self._old.setdefault(name, _OLD + len(self._old)) for name in names.dictionary.to_pylist()]
        later = self.table.numbers[entries] >= 0
        owners = np.array(numbers, np.int64)[names.indices.to_numpy()]
        self.table.numbers[entries[later]] = owners[later]

    def named(self, numbers: Numbers, column: str = "id") -> pa.StringArray:
        """Look up the ids (or another column) of documents by number; `numbers` must ascend."""
        theirs, own = numbers[numbers < 0], numbers[(numbers >= 0) & (numbers < _OLD)]
        backwards = pa.array(np.arange(len(theirs) - 1, -1, -1))
        old = list(self._old)
        return pa.concat_arrays(
            [
                ids_of(self.compared.references, ~theirs[::-1], column).take(backwards),
                ids_of(self.compared.documents, own, column),
                pa.array([old[number - _OLD] for number in numbers[numbers >= _OLD].tolist()], pa.string()),
            ]
        )


def _groups(windows: str, shard: int) -> list[tuple[str, list[int]]]:
    """List the files that have runs of a shard, each with the row groups that do."""
    found = []
    dataset = Dataset(windows)
    for part in dataset.parts:
        with dataset.open(part) as file:
            footer = pq.read_metadata(file)
        told = [footer.row_group(group).column(0).statistics for group in range(footer.num_row_groups)]
        groups = [group for group, one in enumerate(told) if not one or one.min <= shard <= one.max]
        found.append((dataset.path_of(part), groups))
    return [(path, groups) for path, groups in found if groups]


def new_entries(turn: Turn) -> tuple[Numbers, npt.NDArray[np.uint16]]:
    """Return the entries that documents have and no generation has, by anchor; and the anchors of all."""
    occurs: npt.NDArray[np.generic] = np.zeros(0, bool)
    anchors: npt.NDArray[np.generic] = np.zeros(0, np.uint16)
    for runs in turn.runs():
        occurs, anchors = room_for(occurs, turn.table), room_for(anchors, turn.table)
        occurs[runs.entries[runs.numbers >= 0]] = True
        anchors[runs.entries] = runs.anchors
    known = turn.take_old()
    rows = np.flatnonzero(occurs[: len(known)].astype(bool) & ~known)
    return rows[np.argsort(anchors[rows], kind="stable")], anchors.astype(np.uint16, copy=False)
