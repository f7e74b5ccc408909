"""Counts what bounds keep: of the documents of a dataset, and of those its rejects name."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.document import REJECT
from corpuskit.filter.tables import Rule
from corpuskit.kernels.utf8 import buffers
from corpuskit.kernels.words import spaced_counts

__all__ = ["REJECTED", "Count", "Example", "Rejected", "Step"]

_EACH_SIDE = 5
_TEXT_CHARS = 80

REJECTED = pa.schema([REJECT.field(name) for name in ("id", "rule", "value", "start")])
"""The columns of rejects that are read."""


@dataclass(frozen=True, order=True)
class Example:
    """A document close to a bound: its value, whether the bound keeps it, and how its text begins."""

    distance: float
    id: str
    url: str | None = dataclasses.field(compare=False)
    value: float = dataclasses.field(compare=False)
    kept: bool = dataclasses.field(compare=False)
    text: str = dataclasses.field(compare=False)


@dataclass(frozen=True)
class Step:
    """What one bound would keep.

    Attributes:
        bound: The bound; a value at it is kept.
        documents: Documents of the dataset that are kept.
        words: Their words, runs of bytes between white space.
        returned: Documents that the dataset's own rejects say would be kept too; their words are not known.
        examples: Up to five kept and five dropped, the closest to the bound first.
    """

    bound: float
    documents: int
    words: int
    returned: int
    examples: tuple[Example, ...]


class Count:
    """Counts what each bound keeps, a batch at a time, and remembers the documents closest to it."""

    def __init__(self, rule: Rule, bounds: Sequence[float]) -> None:
        self.words = self.unjudged = 0
        self._rule = rule
        self._bounds = bounds
        self._kept = np.zeros((2, len(bounds)), np.int64)
        self._examples: list[tuple[list[Example], list[Example]]] = [([], []) for _ in bounds]

    def columns(self, schema: pa.Schema) -> dict[str, None]:
        """Name the columns to read."""
        wanted = ["id", "text", self._rule.signal, "url", *(["lang"] if self._rule.languages else [])]
        return dict.fromkeys(name for name in wanted if name in schema.names)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch."""
        values, judged = self._values(batch)
        words = spaced_counts(*buffers(batch["text"]))
        self.words += int(words.sum())
        self.unjudged += int(len(batch) - judged.sum())
        for number, bound in enumerate(self._bounds):
            kept = _keeps(self._rule, values, bound) | ~judged
            self._kept[0, number] += kept.sum()
            self._kept[1, number] += words[kept].sum()
            for examples, side in zip(self._examples[number], (judged & kept, judged & ~kept), strict=True):
                found = [*examples, *_closest(batch, values, side, bound)]
                examples[:] = heapq.nsmallest(_EACH_SIDE, found)

    def step(self, number: int, returned: int) -> Step:
        """Return what one bound keeps."""
        documents, words = self._kept[:, number].tolist()
        kept, dropped = self._examples[number]
        told = [dataclasses.replace(one, kept=True) for one in kept] + dropped
        return Step(self._bounds[number], documents, words, returned, tuple(told))

    def _values(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Return the values, and which documents the rule judges."""
        column = batch[self._rule.signal].cast(pa.float64())
        judged = pc.is_valid(column)
        if self._rule.languages and "lang" in batch.schema.names:
            meant = pc.is_in(batch["lang"], pa.array(self._rule.languages, batch["lang"].type))
            judged = pc.and_(judged, pc.or_(meant, pc.is_null(batch["lang"])))
        return np.asarray(pc.fill_null(column, 0.0)), np.asarray(judged)


def _keeps(rule: Rule, values: npt.NDArray[np.float64], bound: float) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = values <= bound if rule.low is None else values >= bound
    return kept


def _closest(
    batch: pa.RecordBatch, values: npt.NDArray[np.float64], side: npt.NDArray[np.bool_], bound: float
) -> Iterator[Example]:
    """Choose the documents of one side that are closest to a bound; of equals those of the lowest id."""
    rows = np.flatnonzero(side)
    distances = np.abs(values[rows] - bound)
    if len(rows) > _EACH_SIDE:
        within = distances <= np.partition(distances, _EACH_SIDE - 1)[_EACH_SIDE - 1]
        rows, distances = rows[within], distances[within]
    table = pa.table({"distance": distances, "id": batch["id"].take(pa.array(rows)), "row": rows})
    keys = [("distance", "ascending"), ("id", "ascending")]
    for number in pc.select_k_unstable(table, _EACH_SIDE, sort_keys=keys).to_pylist():
        row = int(rows[number])
        yield Example(
            distance=float(distances[number]),
            id=batch["id"][row].as_py(),
            url=batch["url"][row].as_py() if "url" in batch.schema.names else None,
            value=float(values[row]),
            kept=False,
            text=pc.utf8_slice_codeunits(batch["text"][row], 0, _TEXT_CHARS).as_py(),
        )


class Rejected:
    """Counts the documents that rules on one signal alone rejected, and those each bound would keep."""

    def __init__(self, rule: Rule, bounds: Sequence[float]) -> None:
        self.documents = 0
        self.returned = np.zeros(len(bounds), np.int64)
        self._rule = rule
        self._bounds = bounds

    def add(self, batches: Iterator[pa.RecordBatch], alike: set[str]) -> None:
        """Count the rejects of one part: all that there are of its documents."""
        table = pa.Table.from_batches(list(batches), REJECTED)
        whole = table.filter(pc.is_null(table["start"]))
        ours = pc.is_in(whole["rule"], pa.array(sorted(alike), pa.string()))
        others = whole.filter(pc.invert(ours))["id"]
        mine = whole.filter(ours)
        alone = mine.filter(pc.invert(pc.is_in(mine["id"], others.combine_chunks())))
        grouped = alone.group_by("id").aggregate([("value", "min")])
        values = grouped["value_min"].to_numpy()
        self.documents += len(values)
        self.returned += [int(_keeps(self._rule, values, bound).sum()) for bound in self._bounds]
