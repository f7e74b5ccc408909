"""What a signal is, and the scan of a batch that signals share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from corpuskit.kernels import utf8

T = TypeVar("T")


class Scan:
    """One batch on its way through the signals: each pass over it runs at most once.

    A pass is any function of a `Scan`; `once` remembers what it returned, so ten signals that need the
    words of a batch split it into words one time.

    >>> batch = pa.RecordBatch.from_pydict({"text": ["a b", None]})
    >>> scan = Scan(batch)
    >>> scan.rows
    2
    >>> scan.text[1].tolist()
    [0, 3, 3]
    """

    def __init__(self, batch: pa.RecordBatch, lists: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """Wrap `batch`; nothing is computed yet. `lists` are those that signals, by name, shall read."""
        self.batch = batch
        self.lists: Mapping[str, tuple[str, ...]] = lists or {}
        self.rows: int = batch.num_rows
        self._seen: dict[Callable[[Scan], Any], Any] = {}

    def column(self, name: str) -> pa.Array:
        """Return a column of the batch as it stands.

        Raises:
            KeyError: the batch has no such column.
        """
        return self.batch.column(name)

    def once(self, step: "Callable[[Scan], T]") -> T:
        """Return `step(self)`, computed on the first call only."""
        if step not in self._seen:
            self._seen[step] = step(self)
        result: T = self._seen[step]
        return result

    @property
    def text(self) -> tuple[utf8.Bytes, utf8.Offsets]:
        """UTF-8 bytes and offsets of the text column; a null text is an empty one."""
        return self.once(_text)


def _text(scan: Scan) -> tuple[utf8.Bytes, utf8.Offsets]:
    return utf8.buffers(scan.column("text"))


@dataclass(frozen=True)
class Signal:
    """A named column that a pure, vectorised function makes from a batch.

    Attributes:
        name: The column's name.
        type: Its Arrow type.
        meaning: One sentence for people, shown by the command line.
        values: Makes the column: one value a row (or a line, for line signals); null = undefined (0/0).
        reads: The columns of the batch that it needs.
    """

    name: str
    type: pa.DataType
    meaning: str
    values: Callable[[Scan], pa.Array] = field(repr=False)
    reads: tuple[str, ...] = ("text",)


def counts(values: np.ndarray[Any, Any], undefined: np.ndarray[Any, Any] | None = None) -> pa.Array:
    """Return an int64 column, null where `undefined`.

    >>> counts(np.array([1, 2]), np.array([False, True])).to_pylist()
    [1, None]
    """
    return pa.array(values.astype(np.int64, copy=False), type=pa.int64(), mask=undefined)


def ratios(part: np.ndarray[Any, Any], whole: np.ndarray[Any, Any]) -> pa.Array:
    """Return part / whole as a float64 column, null where `whole` is 0.

    >>> ratios(np.array([1, 0]), np.array([4, 0])).to_pylist()
    [0.25, None]
    """
    empty = whole == 0
    return pa.array(part / np.where(empty, 1, whole), type=pa.float64(), mask=empty)
