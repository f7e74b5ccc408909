"""Repeats, step 2: which runs of units occurred before, a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files, settings
from corpuskit.dataset import ROW_GROUPS_BY, Dataset
from corpuskit.dedup.grams import shard_counts
from corpuskit.dedup.numbering import ids_of
from corpuskit.dedup.units import Unit
from corpuskit.dedup.windows import WINDOWS, shard_bits, turns_and_room
from corpuskit.kernels.firstseen import FirstSeen
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["REPEATS", "Repeats"]

Numbers = npt.NDArray[np.int64]
Columns = list[npt.NDArray[np.generic]]

REPEATS = pa.schema(
    [
        pa.field("part", pa.int64(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("place", pa.int64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("twin", pa.string(), nullable=False),
    ],
    metadata={ROW_GROUPS_BY: b"part"},
)
"""Runs of units that occurred before: the part and the number of their document, the place of the first one's
first unit, how many follow one another from there, and the id of the document where all occurred first."""


@dataclass(frozen=True)
class Repeats(Stage):
    """Finds the runs of n units that occurred before, in an earlier document or clear of this one.

    Within a document, two occurrences that overlap are no repeat: a text of one word a hundred times over
    has one copy of fifty of them to keep.
    """

    name: ClassVar[str] = "dedup.repeats.repeats"

    unit: Unit
    n: int
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return {f"against {place}": Dataset(path).sha256 for place, path in enumerate(self.against)}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of repeats."""
        return REPEATS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard, or per turn of a shard that is too large; `sources` are runs, documents.

        Raises:
            DoesNotFit: A table takes more than the memory there is.
        """
        windows, *documents = sources
        counts = shard_counts(windows, shard_bits((*self.against, *documents), self.unit))
        inputs = tuple(dataset_input(path) for path in (windows, *self.against, *documents))
        tasks = []
        for shard, count in enumerate(counts):
            turns, room = turns_and_room(count, self.memory)
            work = {"shard": shard, "turns": turns, "room": room, "references": len(self.against)}
            tasks += [Task(inputs, REPEATS, {**work, "turn": turn}) for turn in range(turns)]
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Note where each key of the shard came first; then take the keys again and tell the repeats."""
        windows, *datasets = (item.path for item in task.inputs)
        groups = _groups(windows, task.work["shard"])
        table = FirstSeen(task.work["room"])
        repeated = np.zeros(task.work["room"], bool)
        for columns in _turn(groups, task):
            entries = self._look_up(table, columns)
            if table.count > len(repeated):
                repeated = np.append(repeated, np.zeros(table.count, bool))
            repeated[entries[self._repeats(table, entries, columns)]] = True
        numbers = np.unique(table.numbers[: table.count][repeated[: table.count]])
        references = datasets[: task.work["references"]]
        documents = datasets[task.work["references"] :]
        ids = _ids(numbers, references, documents)
        ends = np.cumsum([part.rows for path in documents for part in Dataset(path).parts])
        for columns in _turn(groups, task):
            entries = self._look_up(table, columns)
            rows = np.flatnonzero(self._repeats(table, entries, columns))
            mine, places = (column[rows].astype(np.int64, copy=False) for column in columns[:2])
            twins = table.numbers[entries[rows]]
            heads, counts = _followed(mine, places, twins)
            parts = np.searchsorted(ends, mine[heads], side="right")
            named = ids.take(pa.array(np.searchsorted(numbers, twins[heads])))
            arrays = [pa.array(column) for column in (parts, mine[heads], places[heads], counts)]
            yield Split(pa.RecordBatch.from_arrays([*arrays, named], schema=REPEATS))

    def _look_up(self, table: FirstSeen, columns: Columns) -> npt.NDArray[np.int32]:
        number, place, high, low = columns
        return table.add((high, low), number, place)  # type: ignore[arg-type]

    def _repeats(
        self, table: FirstSeen, entries: npt.NDArray[np.int32], columns: Columns
    ) -> npt.NDArray[np.bool_]:
        """Say which runs of documents occurred before."""
        number, place = (column.astype(np.int64, copy=False) for column in columns[:2])
        clear = (table.numbers[entries] != number) | (place - table.places[entries] >= self.n)
        return np.asarray(clear & (number >= 0))


def _ids(numbers: Numbers, references: list[str], documents: list[str]) -> pa.StringArray:
    """Look up the ids of documents and, by numbers below 0, of references; `numbers` must ascend."""
    theirs, own = numbers[numbers < 0], numbers[numbers >= 0]
    backwards = pa.array(np.arange(len(theirs) - 1, -1, -1))
    return pa.concat_arrays([ids_of(references, ~theirs[::-1]).take(backwards), ids_of(documents, own)])


def _followed(numbers: Numbers, places: Numbers, twins: Numbers) -> tuple[Numbers, Numbers]:
    """Join runs that follow one another and have the same twin: return the first of each, and how many.

    >>> heads, counts = _followed(np.array([1, 1, 1, 2]), np.array([4, 5, 7, 8]), np.array([0, 0, 0, 0]))
    >>> heads.tolist(), counts.tolist()
    ([0, 2, 3], [2, 1, 1])
    """
    begins = np.ones(len(numbers), bool)
    begins[1:] = (np.diff(numbers) != 0) | (np.diff(places) != 1) | (np.diff(twins) != 0)
    heads = np.flatnonzero(begins)
    return heads, np.diff(np.append(heads, len(numbers)))


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


def _turn(found: list[tuple[str, list[int]]], task: Task) -> Iterator[Columns]:
    """Read number, place and key of the runs of one turn of a shard, in order, a row group at a time."""
    shard, turn, turns = (task.work[name] for name in ("shard", "turn", "turns"))
    for path, groups in found:
        with files.open_input(path) as file:
            parquet = pq.ParquetFile(file)
            for group in groups:
                table = parquet.read_row_group(group)
                table = table.filter(pc.equal(table["shard"], shard))
                if turns > 1:
                    mine = table["turn"].to_numpy() >> np.uint8(9 - turns.bit_length()) == turn
                    table = table.filter(pa.array(mine))
                if len(table):
                    yield [table[name].to_numpy() for name in WINDOWS.names[2:]]
