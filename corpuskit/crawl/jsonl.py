"""`crawl jsonl`: existing corpora in JSON lines, such as C4, Dolma and RedPajama."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from corpuskit import files
from corpuskit.crawl.columns import field_names, lookup, no_column
from corpuskit.crawl.corpora import TASK_BYTES, Corpus, Refused, Row, Rows, corpus_files, split_rows
from corpuskit.crawl.lines import Damage, compression, lines
from corpuskit.errors import InputError, UsageError
from corpuskit.stage import Input, Split, Task

__all__ = ["Jsonl", "check_fields", "first_records", "json_rows", "line_tasks"]

_NAMES = re.compile(r"\.(?:jsonl|ndjson|json)\Z", re.IGNORECASE)
_FIRST = 1000
_decode = msgspec.json.Decoder().decode
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class Jsonl(Corpus):
    """Read existing corpora in JSON lines: one object a line, plain or compressed.

    Every line that is not blank becomes a document, its text as it is, or a reject that says why not:

    - `jsonl.malformed`: no JSON object; `jsonl.encoding`: not UTF-8, or half of a surrogate pair
    - `jsonl.lost`: the compressed data is damaged or ends early, or the line is over 64 MiB
    - `jsonl.missing` (no text, or null), `jsonl.empty` (white space alone)
    - `jsonl.type`: the text is no string, or a column is not of its type

    The columns are those of `layout`, or as named; none is guessed. Of further columns those are kept that
    are named with their type (string, int64, float64, bool, date). A date that cannot be read, and a language
    that is not known, are null.

    Raises:
        UsageError: An unknown type or layout, or a column that the files do not have.
    """

    name = "crawl.jsonl"
    bad_rules = frozenset({"jsonl.malformed", "jsonl.encoding", "jsonl.lost", "jsonl.type"})

    def __post_init__(self) -> None:
        """Check the columns to keep."""
        for kept in self.columns.kept:
            if kept.type is None:
                raise UsageError(
                    f"{self.name}: column {kept.path!r} has no type, and JSON does not say it",
                    fix=f"write {kept.path}:string, or :int64, :float64, :bool, :date",
                )

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the columns of documents and those that are kept."""
        return self.columns.schema

    def plan(self, *sources: str) -> list[Task]:
        """Make every file a task, and every 256 MiB or so of a file that is not compressed."""
        tasks = line_tasks(corpus_files(sources, _NAMES), self.columns.schema)
        check_fields(tasks, self.asked)
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Read one file or a range of it, at most 16 MiB of text at a time."""
        rows = Rows.of(self, self.columns.schema, task, self.source)
        yield from split_rows(json_rows(task), self.columns.read, rows)


def json_rows(task: Task) -> Iterator[Row | Refused]:
    """Read the JSON objects of a task's lines; blank lines are passed over."""
    work = task.work
    for block in lines(task.inputs[0].path, start=work.get("start", 0), stop=work.get("stop")):
        if isinstance(block, Damage):
            yield Refused(block.offset, "lost", block.length)
            continue
        for at, line in block:
            try:
                record = _decode(line)
            except _ERRORS:
                if not line.isspace() and line:
                    yield Refused(at, _fault(line), len(line))
                continue
            yield Row(at, record) if isinstance(record, dict) else Refused(at, "malformed", len(line))


def _fault(line: bytes) -> str:
    """Say whether a line is no JSON, or JSON whose text has characters that do not exist."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return "encoding"
    surrogates = re.sub(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", b" ", line)
    try:
        return "encoding" if isinstance(_decode(surrogates), dict) else "malformed"
    except _ERRORS:
        return "malformed"


def line_tasks(found: Sequence[tuple[Input, dict[str, Any]]], schema: pa.Schema) -> list[Task]:
    """Make each file of lines a task, and a large plain one several, by ranges of its bytes."""
    tasks = []
    for item, work in found:
        count = -(-item.size // TASK_BYTES) if item.size > TASK_BYTES and _is_plain(item.path) else 1
        bounds = [item.size * number // count for number in range(count + 1)]
        for start, stop in itertools.pairwise(bounds):
            part = {"start": start, "stop": stop} if count > 1 else {}
            tasks.append(Task(inputs=(item,), schema=schema, work=work | part))
    return tasks


def _is_plain(path: str) -> bool:
    if path.startswith(("http://", "https://")):  # not every server gives ranges
        return False
    with files.open_input(path) as stream:
        return compression(stream.read(6)) is None


def first_records(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Read the first thousand records of the first task's file; none of standard input.

    Raises:
        InputError: It holds one JSON array.
    """
    task = tasks[0]
    if task.inputs[0].path == "-":
        return []
    found = list(itertools.islice(json_rows(task), _FIRST))
    records = [row.record for row in found if isinstance(row, Row)]
    if not records and found:
        with files.open_input(task.inputs[0].path) as stream:
            if stream.read(64).lstrip().startswith(b"["):
                raise InputError(
                    f"{task.inputs[0].path} is one JSON array, not JSON lines",
                    fix="make it lines: jq -c '.[]' FILE > FILE.jsonl",
                )
    return records


def check_fields(tasks: Sequence[Task], asked: Sequence[str]) -> None:
    """Check that the first records have the fields asked for, each of them in one record at least.

    Raises:
        UsageError: They have not; what they have is named.
    """
    records = first_records(tasks) if tasks else []
    for path in asked if records else ():
        if not any(_has(record, path) for record in records):
            names = (name for record in records for name in field_names(record))
            raise no_column(path, names, tasks[0].inputs[0].path)


def _has(record: dict[str, Any], path: str) -> bool:
    return lookup(record, path) is not None or path in field_names(record)
