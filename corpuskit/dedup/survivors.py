"""Which document of a cluster stays, and the step that drops the others; shared by every kind of dedup.

Documents are numbered through all sources in order: source, part, row. A tie goes to the smaller number.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.dataset import read_batches
from corpuskit.dedup.numbering import numbered_tasks, read_between
from corpuskit.document import empty_rejects, reject_rows
from corpuskit.errors import UsageError
from corpuskit.settings import suggest
from corpuskit.stage import Split, Stage, Task

__all__ = ["DUPLICATES", "KEEP_HELP", "Survivors", "check_keep", "columns_read", "duplicates", "ranks"]

Numbers = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.float64]

POLICIES = ("first", "longest", "newest", "best:SIGNAL", "none")
KEEP_HELP = "which of a cluster stays: first (in order of inputs), longest, newest, best:SIGNAL, or none"

DUPLICATES = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("twin", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""The documents to drop, a row each: the document's number, the id of its twin, and how alike they are."""

_BEST = "best:"


def check_keep(keep: str, *others: str) -> None:
    """Check that a survivor policy is one there is, or one of `others`.

    Raises:
        UsageError: It is not.

    >>> check_keep("best:edu_score")
    """
    best = keep.startswith(_BEST) and len(keep) > len(_BEST)
    if keep not in (*POLICIES[:3], "none", *others) and not best:
        raise UsageError(f"keep is {keep!r}", fix=suggest(keep, (*POLICIES, *others)))


def columns_read(keep: str, schema: pa.Schema) -> list[str]:
    """Name the columns of documents that a policy looks at.

    Raises:
        UsageError: The signal is no numeric column of the documents.

    >>> columns_read("longest", pa.schema([("text", pa.large_string())]))
    ['text']
    """
    if not keep.startswith(_BEST):
        return {"longest": ["text"], "newest": ["date"]}.get(keep, [])
    signal = keep.removeprefix(_BEST)
    numeric = [field.name for field in schema if _is_number(field.type)]
    if signal not in numeric:
        close = difflib.get_close_matches(signal, numeric, n=1)
        fix = (
            f"did you mean 'best:{close[0]}'?"
            if close
            else f"numeric columns: {', '.join(numeric) or 'none'}"
        )
        raise UsageError(f"keep is {keep!r}, and the documents have no signal {signal!r}", fix=fix)
    return [signal]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def ranks(batch: pa.RecordBatch, keep: str) -> pa.DoubleArray:
    """Return how much a policy likes each document, the more the better; null is least.

    `longest` counts bytes of text, `newest` seconds; `first` and `none` like all the same.

    >>> ranks(pa.RecordBatch.from_pylist([{"text": "abc"}, {"text": ""}]), "longest").to_pylist()
    [3.0, 0.0]
    """
    if keep == "longest":
        return pc.binary_length(batch["text"]).cast(pa.float64())
    if keep == "newest":
        return batch["date"].cast(pa.timestamp("s", tz="UTC")).cast(pa.int64()).cast(pa.float64(), safe=False)
    if keep.startswith(_BEST):
        signal = batch[keep.removeprefix(_BEST)]
        return (signal.cast(pa.uint8()) if pa.types.is_boolean(signal.type) else signal).cast(
            pa.float64(), safe=False
        )
    return pa.array(np.zeros(len(batch)))


def duplicates(clusters: Numbers, numbers: Numbers, rank: Ranks, keep: str) -> tuple[Numbers, Numbers]:
    """Say which documents of some clusters go, and which document is the twin of each.

    Args:
        clusters: int64, the label of each document's cluster.
        numbers: int64, the documents' own numbers.
        rank: As `ranks` returns them; NaN is least.
        keep: The policy. With `none` every member goes; the twin of the first is the second, of any other
            the first.

    Returns:
        Two index arrays (int64) into the input: those who go, by number, and their twins.
        A cluster of one never goes.

    >>> labels, numbers = np.array([5, 5, 7]), np.array([10, 11, 12])
    >>> gone, twins = duplicates(labels, numbers, np.array([1.0, 2.0, 0.0]), "longest")
    >>> gone.tolist(), twins.tolist()
    ([0], [1])
    """
    if not len(clusters):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort((numbers, -np.where(np.isnan(rank), -np.inf, rank), clusters))
    labels = clusters[order]
    begins = np.concatenate([[True], labels[1:] != labels[:-1]])
    heads = np.flatnonzero(begins)
    twins = order[np.repeat(heads, np.diff(np.append(heads, len(order))))]
    goes = ~begins
    if keep == "none":
        several = heads[np.diff(np.append(heads, len(order))) > 1]
        goes[several] = True
        twins[several] = order[several + 1]
    by_number = np.argsort(numbers[order][goes], kind="stable")
    return order[goes][by_number], twins[goes][by_number]


@dataclass(frozen=True)
class Survivors(Stage):
    """The last step of a kind of dedup: drops the duplicates that an earlier step has found."""

    name: ClassVar[str] = "dedup.survivors"

    kind: str
    rule: str
    bound: float | None = None

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the documents; `sources` are the duplicates, then the documents."""
        return numbered_tasks(*sources[1:], beside=sources[:1])

    def run(self, task: Task) -> Iterator[Split]:
        """Divide each batch of one part into survivors and duplicates."""
        first, rows = task.work["first"], task.work["rows"]
        found = read_between(task.inputs[1].path, "number", first, first + rows).sort_by("number")
        numbers = found["number"].to_numpy()
        for batch in read_batches(task.inputs[0].path, task.schema):
            low, high = np.searchsorted(numbers, [first, first + len(batch)])
            yield self._divide(batch, found.slice(low, high - low), numbers[low:high] - first)
            first += len(batch)

    def _divide(self, batch: pa.RecordBatch, found: pa.Table, rows: npt.NDArray[Any]) -> Split:
        if not len(rows):
            return Split(batch, empty_rejects(), batch)
        stays = np.ones(len(batch), bool)
        stays[rows] = False
        rejected = reject_rows(
            batch,
            self.kind,
            self.rule,
            pa.array(rows),
            value=found["value"].combine_chunks(),
            bound=self.bound,
            twin=found["twin"].combine_chunks(),
        )
        return Split(batch.filter(pa.array(stays)), rejected, batch)
