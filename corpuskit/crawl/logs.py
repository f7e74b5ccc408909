"""Tables as they are exported: comma or tab separated, with a header or without, plain or compressed."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from corpuskit.crawl.lines import Block, Damage

__all__ = ["Fault", "Table", "tables"]

_CHUNK = 8192
_FIELD_BYTES = 16 << 20


class Fault(NamedTuple):
    """What could not be read: where, by which rule (without its kind), and that rule's value."""

    at: int
    rule: str
    value: float | None = None


class Table(NamedTuple):
    """Some rows of a table, the offset of each in the inflated file, and what could not be read.

    `names` are those of the header, or empty where there is none.
    """

    names: list[str]
    rows: list[list[str]]
    places: list[int]
    faults: list[Fault]


def tables(items: Iterable[Block | Damage], *, header: bool = True) -> Iterator[Table]:
    """Read the lines of a table, some thousand at a time; the first says whether tabs or commas divide it.

    In a table divided by commas a field may be quoted, and then hold commas and line ends. A row with
    another number of fields than the first is a fault, `malformed`, with that number as its value; `lost`
    are bytes that could not be inflated, and lines too long. Without a `header` the first line is a row.
    """
    source = _Lines(items)
    reader = source.reader()
    names: list[str] = []
    width: int | None = None
    table = Table(names, [], [], source.faults)
    while True:
        at = source.ahead
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            table.faults.append(Fault(at, "malformed"))
            reader = source.reader()
            continue
        if width is None and row:
            width = len(row)
            if header:
                names += [name.strip() for name in row]
                continue
        if len(row) == width:
            table.rows.append(row)
            table.places.append(at)
        elif row:
            table.faults.append(Fault(at, "malformed", len(row)))
        if len(table.rows) >= _CHUNK or len(table.faults) >= _CHUNK:
            yield table
            source.faults = []
            table = Table(names, [], [], source.faults)
    yield table


class _Lines:
    """The lines of a file as the csv module wants them; `ahead` is where the one to be read next starts."""

    def __init__(self, items: Iterable[Block | Damage]) -> None:
        self.faults: list[Fault] = []
        self.ahead = 0
        found = self._read(items)
        first = next(found, (0, ""))
        self._tabs = first[1].count("\t") > first[1].count(",")
        self._lines = itertools.chain([first], found)

    def reader(self) -> Iterator[list[str]]:
        """Read on from the next line."""
        csv.field_size_limit(_FIELD_BYTES)
        if self._tabs:
            return csv.reader(self._texts(), delimiter="\t", quoting=csv.QUOTE_NONE)
        return csv.reader(self._texts())

    def _texts(self) -> Iterator[str]:
        for end, line in self._lines:
            self.ahead = end
            yield line

    def _read(self, items: Iterable[Block | Damage]) -> Iterator[tuple[int, str]]:
        """Yield every line with where it ends."""
        for item in items:
            if isinstance(item, Damage):
                self.faults.append(Fault(item.offset, "lost", item.length))
                continue
            at = item.offset
            for line in item.data.splitlines(keepends=True):
                at += len(line)
                yield at, line.decode("utf-8", "replace")
