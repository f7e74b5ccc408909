"""Repeats, step 2: which runs of units occurred before, a shard at a time; and what an index keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dataset import ROW_GROUPS_BY, Dataset
from corpuskit.dedup.cutting import CutRepeats
from corpuskit.dedup.index import Generation, Generations, Indexed, generations, identities
from corpuskit.dedup.numbering import distinct
from corpuskit.dedup.turns import Compared, Runs, Turn, new_entries, room_for, turn_tasks
from corpuskit.dedup.units import Unit
from corpuskit.dedup.windows import Windows, memory_needed
from corpuskit.stage import Split, Stage, Step, Task

__all__ = ["KEPT", "REPEATS", "Kept", "Repeating", "Repeats"]

Numbers = npt.NDArray[np.int64]

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

KEPT = pa.schema(
    [
        pa.field("anchor", pa.uint16(), nullable=False),
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("document", pa.string(), nullable=False),
        pa.field("url", pa.string()),
    ]
)
"""A run of units that no earlier batch had: the leading bits of its anchor, both halves of its key, and the
document where it came first, which keeps it; or the reference, where one has it."""

_ROWS_AT_ONCE = 1 << 17


class Repeating(Indexed):
    """A kind of dedup that cuts runs of units which occurred before."""

    memory: int

    def cutter(self) -> CutRepeats:
        """Return the last step, which says what units are compared, and how."""
        raise NotImplementedError(f"{self.name} does not say what it cuts")

    def memory_needed(self, *sources: str) -> int:
        """Return about how many bytes one worker needs for a shard, before anything is read."""
        indexed = self.index is not None
        return memory_needed((*self.against, *sources), self.cutter().unit, indexed=indexed)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: windows, repeats, cut; and those of the index."""
        cut, against, memory = self.cutter(), self.against, self.memory
        windows = Step(Windows(cut.unit, cut.n, cut.normalised, against, memory), sources=True)
        repeats = Repeats(cut.unit, cut.n, against, self.index, memory)
        if self.index is None:
            return windows, Step(repeats, steps=(0,), sources=True), Step(cut, steps=(1,), sources=True)
        return (
            Step(Generations(self.index), sources=True),
            windows,
            Step(repeats, steps=(1, 0), sources=True),
            Step(Kept(self.index, self.made_with, cut.unit, against, memory), steps=(1, 0), sources=True),
            Step(cut, steps=(2,), sources=True),
        )


@dataclass(frozen=True)
class Repeats(Stage):
    """Finds the runs of n units that occurred before, in an earlier document or clear of this one.

    Within a document, two occurrences that overlap are no repeat: a text of one word a hundred times over
    has one copy of fifty of them to keep. With an index, what it knows occurred before.
    """

    name: ClassVar[str] = "dedup.repeats.repeats"

    unit: Unit
    n: int
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    index: str | None = settings.setting(None, "the index", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return identities(self.against)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of repeats."""
        return REPEATS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard, or per turn of a shard that is too large.

        `sources` are the runs, the generations where there is an index, then the documents.

        Raises:
            DoesNotFit: A table takes more than the memory there is.
        """
        pinned = 1 if self.index is None else 2
        old = generations(self.index, sources[1:pinned])
        compared = Compared(self.against, sources[pinned:], old)
        return turn_tasks(sources[0], compared, self.unit, REPEATS, self.memory)

    def run(self, task: Task) -> Iterator[Split]:
        """Note where each key of the shard came first; then take the keys again and tell the repeats."""
        turn = Turn(task)
        repeated = self._repeated(turn)
        first = turn.table.numbers[: turn.table.count]
        numbers = distinct(first[repeated])
        ids = turn.named(numbers)
        ends = np.cumsum([part.rows for path in turn.compared.documents for part in Dataset(path).parts])
        for runs in turn.runs():
            rows = np.flatnonzero(self._repeats(turn, runs))
            mine, places = runs.numbers[rows], runs.places[rows]
            twins = turn.table.numbers[runs.entries[rows]]
            heads, counts = _followed(mine, places, twins)
            parts = np.searchsorted(ends, mine[heads], side="right")
            named = ids.take(pa.array(np.searchsorted(numbers, twins[heads])))
            arrays = [pa.array(column) for column in (parts, mine[heads], places[heads], counts)]
            yield Split(pa.RecordBatch.from_arrays([*arrays, named], schema=REPEATS))

    def _repeated(self, turn: Turn) -> npt.NDArray[np.bool_]:
        """Put all runs into the table, and say which of its entries occur again in a document."""
        repeated: npt.NDArray[np.generic] = np.zeros(0, bool)
        for runs in turn.runs():
            repeated = room_for(repeated, turn.table)
            repeated[runs.entries[self._repeats(turn, runs)]] = True
        own = turn.table.numbers[: turn.table.count] >= 0
        return np.asarray(repeated[: turn.table.count].astype(bool) | (turn.take_old() & own))

    def _repeats(self, turn: Turn, runs: Runs) -> npt.NDArray[np.bool_]:
        """Say which runs of documents occurred before."""
        first, places = turn.table.numbers[runs.entries], turn.table.places[runs.entries]
        clear = (first != runs.numbers) | (runs.places - places >= self.n)
        return np.asarray(clear & (runs.numbers >= 0))


@dataclass(frozen=True)
class Kept(Generation):
    """Writes the runs of units that no earlier batch had, and who keeps each: a generation of an index."""

    name: ClassVar[str] = "dedup.repeats.kept"

    unit: Unit = "line"
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of runs that are kept."""
        return KEPT

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard or turn; `sources` are the runs, the generations, then the documents."""
        compared = Compared(self.against, sources[2:], generations(self.index, sources[1:2]))
        return turn_tasks(sources[0], compared, self.unit, KEPT, self.memory)

    def run(self, task: Task) -> Iterator[Split]:
        """Write down the runs of one turn."""
        turn = Turn(task)
        entries, anchors = new_entries(turn)
        high, low = turn.table.keys
        numbers, which = np.unique(turn.table.numbers[entries], return_inverse=True)
        ids, urls = turn.named(numbers), turn.named(numbers, "url")
        for start in range(0, len(entries), _ROWS_AT_ONCE):
            some = entries[start : start + _ROWS_AT_ONCE]
            owners = pa.array(which[start : start + _ROWS_AT_ONCE])
            columns = [pa.array(column[some]) for column in (anchors, high, low)]
            arrays = [*columns, ids.take(owners), urls.take(owners)]
            yield Split(pa.RecordBatch.from_arrays(arrays, schema=KEPT))


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
