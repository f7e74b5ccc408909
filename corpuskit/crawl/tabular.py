"""Rows of CSV, TSV, JSON lines and Parquet files, one like another, and the fields they have."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from corpuskit.crawl.columns import field_names
from corpuskit.crawl.corpora import Refused, Row, unpacked
from corpuskit.crawl.jsonl import first_records, json_rows, line_tasks
from corpuskit.crawl.lines import Damage, lines
from corpuskit.crawl.parquet import group_tasks, leaf_types, read_groups
from corpuskit.errors import InputError, UsageError
from corpuskit.stage import Input, Task

__all__ = ["Dialect", "Format", "fields", "format_of", "read_rows", "table_tasks"]

Format = Literal["csv", "tsv", "jsonl", "parquet"]

_ENDINGS: dict[str, Format] = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}
_FIELD_BYTES = 16 << 20
_UNREADABLE = (ValueError, OverflowError)  # not UTF-8; a date beyond the year 9999


@dataclass(frozen=True)
class Dialect:
    """How a file of separated values is written. TSV has no quotes: a tab never stands in a value."""

    delimiter: str = ","
    quotes: bool = True
    encoding: str = "utf-8"


def format_of(name: str) -> Format:
    """Say by its name what a file is.

    Raises:
        UsageError: The name does not say it.

    >>> format_of("films.tsv.gz")
    'tsv'
    """
    ending = unpacked(name).rpartition(".")[2].lower()
    if ending not in _ENDINGS:
        raise UsageError(
            f"{name}: its name does not say what it is", fix="say it: --format csv, tsv, jsonl or parquet"
        )
    return _ENDINGS[ending]


def table_tasks(found: Sequence[tuple[Input, dict[str, object]]], form: Format | None) -> list[Task]:
    """Make each file a task, and a large one several, where rows can be found from anywhere in it."""
    tasks = []
    for item, work in found:
        kind = form or format_of(item.name)
        told = [(item, work | {"format": kind})]
        if kind == "parquet":
            tasks += group_tasks(told, pa.schema([]))
        elif kind == "jsonl":
            tasks += line_tasks(told, pa.schema([]))
        else:  # a line end may stand within quotes
            tasks.append(Task(inputs=(item,), work=told[0][1]))
    return tasks


def fields(task: Task, dialect: Dialect) -> list[str]:
    """Name the fields of a task's file; of JSON lines, those of the first records. None of standard input.

    Raises:
        InputError: The file is empty, or cannot be read as what it is said to be.
    """
    kind = task.work["format"]
    if kind == "parquet":
        return list(leaf_types(task.inputs[0].path))
    if task.inputs[0].path == "-":
        return []
    if kind == "jsonl":
        records = first_records([task])
        return list(dict.fromkeys(name for record in records for name in field_names(record)))
    first = next(_records(task, dialect), None)
    if first is None or isinstance(first, Refused):
        what = (
            "is empty"
            if first is None
            else f"does not begin with the names of its columns in {dialect.encoding}"
        )
        raise InputError(f"{task.inputs[0].path} {what}", fix="check the file, --format and --encoding")
    return first[1]


def read_rows(task: Task, columns: Sequence[str], dialect: Dialect) -> Iterator[Row | Refused]:
    """Read the rows of a task's file, of Parquet only these columns; an empty field has no value."""
    kind = task.work["format"]
    if kind == "parquet":
        yield from _parquet_rows(task, columns)
    elif kind == "jsonl":
        for row in json_rows(task):
            yield (
                row._replace(rule="malformed") if isinstance(row, Refused) and row.rule == "encoding" else row
            )
    else:
        yield from _separated_rows(task, dialect)


def _separated_rows(task: Task, dialect: Dialect) -> Iterator[Row | Refused]:
    names: list[str] | None = None
    for item in _records(task, dialect):
        if isinstance(item, Refused):
            yield item
        elif names is None:
            names = item[1]
        elif len(item[1]) != len(names):
            yield Refused(item[0], "malformed", len(item[1]))
        else:
            yield Row(item[0], dict(zip(names, item[1], strict=True)))


def _records(task: Task, dialect: Dialect) -> Iterator[tuple[int, list[str]] | Refused]:
    """Read the records of separated values, each with its offset; a record may be of several lines."""
    csv.field_size_limit(_FIELD_BYTES)
    source = _Lines(task.inputs[0].path, dialect.encoding)
    quotes = dialect.quotes
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(source, delimiter=dialect.delimiter, quoting=quoting, strict=quotes)
    while True:
        source.begin()
        try:
            values = next(reader)
        except StopIteration:
            yield from source.damages
            return
        except csv.Error:
            yield Refused(source.start, "malformed", source.at - source.start)
        else:
            if source.broken:
                yield Refused(source.start, "malformed", source.at - source.start)
            elif values:
                yield source.start, values
        yield from source.damages


class _Lines:
    """The lines of a file as text, which notes where the record in hand began and what was damaged since."""

    def __init__(self, path: str, encoding: str) -> None:
        self._lines = (
            pair
            for item in lines(path)
            for pair in ([(item.offset, item)] if isinstance(item, Damage) else item)
        )
        self._encoding = encoding
        self.start = self.at = 0
        self.broken = False
        self.damages: list[Refused] = []
        self._fresh = True

    def begin(self) -> None:
        """Say that a new record begins with the next line."""
        self._fresh, self.broken, self.damages = True, False, []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        at, line = next(self._lines)
        while isinstance(line, Damage):
            self.damages.append(Refused(at, "lost", line.length))
            at, line = next(self._lines)
        if self._fresh:
            self.start, self._fresh = at, False
        self.at = at + len(line) + 1
        try:
            return f"{line.decode(self._encoding)}\n"
        except UnicodeDecodeError:
            self.broken = True
            return f"{line.decode(self._encoding, 'replace')}\n"


def _parquet_rows(task: Task, columns: Sequence[str]) -> Iterator[Row | Refused]:
    for found in read_groups(task, columns):
        if isinstance(found, Refused):
            yield found
            continue
        at, batch = found
        try:
            records = batch.to_pylist()
        except _UNREADABLE:
            records = [_record(batch.slice(row, 1)) for row in range(len(batch))]
        for row, record in enumerate(records):
            yield Refused(at + row, "malformed") if record is None else Row(at + row, record)


def _record(batch: pa.RecordBatch) -> dict[str, object] | None:
    try:
        found: list[dict[str, object]] = batch.to_pylist()
    except _UNREADABLE:
        return None
    return found[0]
