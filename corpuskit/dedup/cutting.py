"""Repeats, step 3: cut them out of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.dataset import cut, read_batches
from corpuskit.dedup.numbering import numbered_tasks, read_between
from corpuskit.dedup.pieces import pieces_of
from corpuskit.dedup.units import SLICE_BYTES, Unit, Units, units_of
from corpuskit.document import IMAGES, empty_rejects, reject_rows
from corpuskit.errors import UsageError
from corpuskit.kernels.spans import characters, gathered, trimmed, united
from corpuskit.kernels.utf8 import Bytes, Offsets, buffers, strings
from corpuskit.stage import Split, Stage, Task

__all__ = ["CutRepeats", "check_no_images"]

Numbers = npt.NDArray[np.int64]

BATCHES = 4
"""So many batches of text are in memory at a time, with the repeats in them."""


def check_no_images(tasks: Iterable[Task]) -> None:
    """Refuse to cut text from documents with images.

    Raises:
        UsageError: A task's documents have images.
    """
    if any(IMAGES.name in task.schema.names for task in tasks):
        raise UsageError(
            "text cannot be cut from documents with images: their offsets would point elsewhere",
            fix="drop the column `images` first, or drop whole documents with dedup exact or dedup minhash",
        )


class Spans(NamedTuple):
    """Spans to cut from a batch's data, in order and apart: row, first byte, byte after the last, twin."""

    rows: Numbers
    starts: Numbers
    ends: Numbers
    twins: pa.StringArray


@dataclass(frozen=True)
class CutRepeats(Stage):
    """Cuts the runs of n units that occurred before, and rejects documents with too little left."""

    name: ClassVar[str] = "dedup.repeats.cut"

    kind: str
    unit: Unit
    n: int
    normalised: bool
    min_left: int | None = None

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the documents; `sources` are the repeats, then the documents."""
        return numbered_tasks(*sources[1:], beside=sources[:1])

    def run(self, task: Task) -> Iterator[Split]:
        """Cut the documents of one part, a few at a time."""
        first = task.work["first"]
        for batches in _several(read_batches(task.inputs[0].path, task.schema)):
            end = first + sum(len(batch) for batch in batches)
            found = read_between(task.inputs[1].path, "number", first, end)
            order = np.lexsort((found["place"].to_numpy(), found["number"].to_numpy()))
            numbers = found["number"].to_numpy()[order]
            for batch in (piece for whole in batches for piece in cut(whole, SLICE_BYTES)):
                low, high = np.searchsorted(numbers, [first, first + len(batch)])
                if low == high:
                    yield Split(batch, empty_rejects(), batch)
                else:
                    yield self._cut(batch, numbers[low:high] - first, found.take(pa.array(order[low:high])))
                first += len(batch)

    def _cut(self, batch: pa.RecordBatch, rows: Numbers, found: pa.Table) -> Split:
        data, offsets = buffers(batch["text"])
        units, _ = units_of(data, offsets, self.unit, normalised=self.normalised)
        firsts = units.offsets[rows] + found["place"].to_numpy()
        counts = found["count"].to_numpy() - 1 + self.n
        spans = _spans(offsets, units, _covered(rows, firsts, counts), found["twin"].combine_chunks())
        starts, ends = spans.starts, spans.ends
        cuts, gaps = united(spans.rows, starts, ends)
        pieces = pieces_of(data, offsets, (spans.rows[cuts], starts[cuts], gaps), 0)
        first, last = trimmed(data, pieces.starts, pieces.ends)
        inked = np.bincount(pieces.rows, last > first, len(batch))
        left = np.bincount(pieces.rows, characters(data, pieces.starts, pieces.ends), len(batch))
        blank = pieces.touched & (inked == 0)
        few = pieces.touched & ~blank & (left < (self.min_left or 0))
        gone = blank | few
        stays = ~gone[spans.rows]
        twins = spans.twins.take(
            pa.array(np.searchsorted(spans.rows, np.arange(len(batch))) % len(spans.rows))
        )
        begins = offsets[spans.rows]
        rejects = [
            self._reject(
                batch,
                "repeat",
                spans.rows[stays],
                start=pa.array((starts - begins)[stays]),
                end=pa.array((ends - begins)[stays]),
                twin=spans.twins.filter(pa.array(stays)),
            ),
            self._reject(batch, "repeat", np.flatnonzero(blank), twin=twins.filter(pa.array(blank))),
            self._reject(
                batch,
                "left",
                np.flatnonzero(few),
                value=pa.array(left[few]),
                bound=None if self.min_left is None else float(self.min_left),
                twin=twins.filter(pa.array(few)),
            ),
        ]
        place = batch.schema.get_field_index("text")
        text = _joined(data, offsets, pieces.touched, (pieces.rows, pieces.starts, pieces.ends))
        kept = batch.set_column(place, batch.schema.field(place), text).filter(pa.array(~gone))
        return Split(kept, pa.concat_batches(rejects), batch)

    def _reject(
        self, batch: pa.RecordBatch, rule: str, rows: Numbers, **columns: pa.Array | float | None
    ) -> pa.RecordBatch:
        rule = f"{self.kind.rsplit('.', 1)[-1]}.{rule}"
        return reject_rows(batch, self.kind, rule, pa.array(rows), **columns)


def _several(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Group batches: the files of repeats are opened anew for each group."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if len(held) == BATCHES:
            yield held
            held = []
    if held:
        yield held


def _covered(rows: Numbers, firsts: Numbers, counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return the row of each unit that runs cover, the unit, and the first run that covers it."""
    stops = np.maximum.accumulate(firsts + counts)
    fresh = np.maximum(firsts, np.append(0, stops[:-1]))  # units of an earlier run are that run's
    sizes = np.maximum(stops - fresh, 0)
    which = np.repeat(np.arange(len(rows)), sizes)
    units = fresh[which] + np.arange(len(which)) - (np.cumsum(sizes) - sizes)[which]
    return rows[which], units, which


def _spans(
    offsets: Offsets, units: Units, covered: tuple[Numbers, Numbers, Numbers], twins: pa.StringArray
) -> Spans:
    """Say which bytes go with units, as spans that each have one twin.

    The white space after a unit goes with it. At the end of a text that before it goes instead, so that the
    text ends as it did.
    """
    rows, chosen, which = covered
    starts, ends = units.starts[chosen], units.nexts[chosen]
    opens = np.append(True, (starts[1:] != ends[:-1]) | (rows[1:] != rows[:-1]))
    closes = np.append(opens[1:], True)
    hangs = closes & (ends == offsets[rows + 1])
    from_here = np.flatnonzero(opens)[(np.cumsum(opens) - 1)[hangs]]
    starts[from_here] = units.befores[chosen[from_here]]
    ends[hangs] = units.ends[chosen[hangs]]
    codes = twins.dictionary_encode().indices.to_numpy()[which]
    heads = opens | np.append(True, codes[1:] != codes[:-1])
    tails = np.append(heads[1:], True)
    return Spans(rows[heads], starts[heads], ends[tails], twins.take(pa.array(which[heads])))


def _joined(
    data: Bytes, offsets: Offsets, touched: npt.NDArray[np.bool_], pieces: tuple[Numbers, Numbers, Numbers]
) -> pa.LargeStringArray:
    """Put the pieces of each text together; texts that are not touched stay whole."""
    whole = np.flatnonzero(~touched)
    rows = np.concatenate([whole, pieces[0]])
    order = np.argsort(rows, kind="stable")
    starts = np.concatenate([offsets[whole], pieces[1]])[order]
    ends = np.concatenate([offsets[whole + 1], pieces[2]])[order]
    joined, edges = gathered(data, starts, ends)
    return strings(joined, edges[np.searchsorted(rows[order], np.arange(len(touched) + 1))])
