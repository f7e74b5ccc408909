"""`crawl clicks`: logs of queries and clicked pages in, a row per page with its queries out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.crawl.lines import Block, Damage, lines
from corpuskit.crawl.logs import Fault, tables
from corpuskit.crawl.mentions import (
    Gather,
    Groups,
    Sorter,
    canonical_column,
    faults,
    file_tasks,
    host_column,
    mention_schema,
)
from corpuskit.errors import InputError, UsageError
from corpuskit.settings import setting, suggest
from corpuskit.stage import Chain, Split, Stage, Step, Task

__all__ = ["CLICKS", "Clicks"]

CLICKS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("clicks", pa.int64()),
        pa.field("queries", pa.list_(pa.struct([("query", pa.string()), ("clicks", pa.int64())]))),
    ]
)
"""A row per canonical URL: as first seen, all its clicks, and those of each query, most clicked first."""

_MENTIONS = mention_schema([pa.field("query", pa.string()), pa.field("clicks", pa.int64())])
_ORCAS = ("2", "4")
"""Where ORCAS (Craswell et al. 2020, arXiv:2006.05324) has query and URL, of its four columns, unnamed."""
_CHUNK = 8192
_TRIED = 1000
_decode = msgspec.json.Decoder(dict).decode


@dataclass(frozen=True)
class Clicks(Chain):
    """Gather the clicked pages of query logs: a row per page, with its queries and their clicks.

    Sources are tables divided by tabs or commas, or JSON lines, plain or compressed. Columns are named as in
    the header or object, or counted from 1; a table without a header, of four columns whose last is an
    address, is taken for ORCAS. Equal pages, by `urls.canonical`, are one row; equal queries of a
    page, up to white space at their ends, are one query. Without a column of clicks a row is one click.

    Rejects: `clicks.lost` (bytes that cannot be inflated) and `clicks.malformed` (no JSON object, or a row of
    another width), which are damage; `clicks.scheme`: no http or https address; `clicks.query`: no query;
    `clicks.count`: clicks that are no whole number from 0 on.

    Raises:
        UsageError: A column without a name.
    """

    name: ClassVar[str] = "crawl.clicks"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"clicks.lost", "clicks.malformed"})

    query_column: str = setting("query", "column of the query, by its name, or by its number from 1")
    url_column: str = setting("url", "column of the clicked address")
    clicks_column: str | None = setting(
        None, "column of the number of clicks  [default: none: a row is one click]"
    )

    def __post_init__(self) -> None:
        for name in ("query_column", "url_column", "clicks_column"):
            if getattr(self, name) == "":
                raise UsageError(f"{self.name}: {name} is empty", fix="name a column, or leave it out")

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of clicked pages."""
        return CLICKS

    def plan(self, *sources: str) -> list[Task]:
        """Plan what its first step does: a task per file."""
        return self.steps()[0].stage.plan(*sources)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: rows of the logs, and the pages they are gathered into."""
        return Step(settings.passed_on(Clicked, self), sources=True), Step(GatherClicks(), steps=(0,))


@dataclass(frozen=True)
class GatherClicks(Gather):
    """The second step: one row for each page."""

    name: ClassVar[str] = Clicks.name
    bad_rules: ClassVar[frozenset[str]] = Clicks.bad_rules

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of clicked pages."""
        return CLICKS

    def links(self, groups: Groups) -> Mapping[str, pa.Array]:
        """Gather the rows of each page."""
        clicks = groups.rows["clicks"].fill_null(0).to_numpy()
        of, queries, counts = groups.pairs("query", clicks)
        order = np.lexsort((-counts, of))  # stable: equal counts stay in order of the alphabet
        pairs = pa.StructArray.from_arrays(
            [queries.take(pa.array(order)), pa.array(counts[order])], ["query", "clicks"]
        )
        return {
            "url": groups.rows["url"].take(pa.array(groups.starts)),
            "clicks": pa.array(groups.total(clicks)),
            "queries": pa.ListArray.from_arrays(groups.offsets(of), pairs),
        }


@dataclass(frozen=True)
class Clicked(Stage):
    """Writes a row for every query and clicked page, and one for everything that is none."""

    name: ClassVar[str] = "crawl.clicks.clicked"

    query_column: str
    url_column: str
    clicks_column: str | None

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of mentions."""
        return _MENTIONS

    def plan(self, *sources: str) -> list[Task]:
        """Plan a task per file."""
        return file_tasks(sources, _MENTIONS)

    def run(self, task: Task) -> Iterator[Split]:
        """Read one file."""
        sorter = Sorter(task)
        for chunk in self._read(task.inputs[0].path):
            keys = canonical_column(chunk.urls)
            queries = pc.utf8_trim_whitespace(chunk.queries)
            wrong = (
                ("clicks.scheme", pc.is_null(host_column(keys))),
                ("clicks.query", pc.equal(pc.fill_null(queries, ""), "")),
                ("clicks.count", pc.is_null(chunk.clicks)),
            )
            rules = pa.nulls(len(keys), pa.string())
            for rule, mark in reversed(wrong):
                rules = pc.if_else(mark, rule, rules)
            columns = {"url": chunk.urls, "query": queries, "clicks": chunk.clicks, "rule": rules}
            places = pa.array(chunk.places, pa.int64()).cast(pa.string())
            yield from sorter.add(columns, places, keys)
            yield from sorter.add(*faults(chunk.faults, "clicks"))
        yield from sorter.rest()

    def _read(self, path: str) -> Iterator[_Chunk]:
        found = lines(path)
        first = next(found, None)
        if first is None:
            raise InputError(f"{path} is empty", fix="fetch it again, or leave it out")
        found = itertools.chain([first], found)
        head = b"" if isinstance(first, Damage) else first.data.lstrip()
        if head[:1] == b"{":
            yield from self._of_objects(path, _objects(found))
        elif head:
            yield from self._of_tables(path, found)
        else:
            yield from (_Chunk.of([], table.faults) for table in tables(found))

    def _of_objects(self, path: str, chunks: Iterator[_Objects]) -> Iterator[_Chunk]:
        wanted = [self.query_column, self.url_column, *([self.clicks_column] if self.clicks_column else [])]
        known = False
        for chunk in chunks:
            if not known and chunk.rows:
                names = list(dict.fromkeys(name for row in chunk.rows[:_TRIED] for name in row))
                for name in wanted:
                    if name not in names:
                        raise _no_column(path, name, names)
                known = True
            rows = [[row.get(name) for name in wanted] for row in chunk.rows]
            yield _Chunk.of(rows, chunk.faults, chunk.places)

    def _of_tables(self, path: str, found: Iterable[Block | Damage]) -> Iterator[_Chunk]:
        """Read a table; its first row is a header if it has the name of a wanted column."""
        places: list[int] | None = None
        for table in tables(found, header=False):
            if places is None and table.rows:
                names = [name.strip() for name in table.rows[0]]
                named = {name for name in (self.query_column, self.url_column) if not name.isdigit()}
                header = bool(named & set(names))
                places = self._places(path, names, header)
                table = table._replace(rows=table.rows[header:], places=table.places[header:])
            rows = [[row[place] for place in places or ()] for row in table.rows]
            yield _Chunk.of(rows, table.faults, table.places)

    def _places(self, path: str, names: Sequence[str], header: bool) -> list[int]:
        wanted = [self.query_column, self.url_column]
        orcas = len(names) == 4 and names[3].startswith(("http://", "https://"))
        if not header and orcas and wanted == ["query", "url"]:
            wanted = list(_ORCAS)
        if self.clicks_column is not None:
            wanted.append(self.clicks_column)
        found = []
        for name in wanted:
            if name.isdigit() and 0 < int(name) <= len(names):
                found.append(int(name) - 1)
            elif header and name in names:
                found.append(names.index(name))
            else:
                raise _no_column(path, name, names if header else None)
        return found


def _no_column(path: str, name: str, names: Sequence[str] | None) -> InputError:
    if names is None:
        what = f"{path} has no column {name!r}: its first line is no header with that name"
        return InputError(what, fix="count its columns from 1, like --query-column 2 --url-column 4")
    return InputError(f"{path} has no column {name!r}", fix=suggest(name, names))


class _Objects(NamedTuple):
    rows: list[dict[str, Any]]
    places: list[int]
    faults: list[Fault]


def _objects(found: Iterable[Block | Damage]) -> Iterator[_Objects]:
    """Read JSON lines."""
    chunk = _Objects([], [], [])
    for block in found:
        if isinstance(block, Damage):
            chunk.faults.append(Fault(block.offset, "lost", block.length))
            continue
        for offset, line in block:
            if not line.strip():
                continue
            try:
                chunk.rows.append(_decode(line))
                chunk.places.append(offset)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                chunk.faults.append(Fault(offset, "malformed", len(line)))
        if len(chunk.rows) >= _CHUNK or len(chunk.faults) >= _CHUNK:
            yield chunk
            chunk = _Objects([], [], [])
    yield chunk


class _Chunk(NamedTuple):
    """Some rows as columns: null clicks are none that can be counted."""

    queries: pa.StringArray
    urls: pa.StringArray
    clicks: pa.Int64Array
    places: list[int]
    faults: list[Fault]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]], found: list[Fault], places: list[int] | None = None) -> _Chunk:
        """Lay out rows of a query, a URL and, where they are told, clicks."""
        queries, urls = (
            pa.array([row[place] if isinstance(row[place], str) else None for row in rows], pa.string())
            for place in (0, 1)
        )
        clicks = pa.array([_count(row[2]) if len(row) > 2 else 1 for row in rows], pa.int64())
        return cls(queries, urls, clicks, places or [], found)


def _count(value: object) -> int | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    whole = number.is_integer() and 0 <= number < 1 << 53 and not isinstance(value, bool)
    return int(number) if whole else None
