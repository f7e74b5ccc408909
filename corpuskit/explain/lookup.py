"""Finding a few documents in large datasets: ids and urls are scanned, and only rows that match are read."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.dataset import Dataset, Part
from corpuskit.dedup.index import opened
from corpuskit.errors import CorpuskitError
from corpuskit.funnel import upstream

__all__ = [
    "Row",
    "ancestors",
    "beside",
    "family",
    "ids_with_url",
    "missing",
    "near",
    "rejects_of",
    "rows_of",
    "urls_of",
]

_PIECES = re.compile(r"([#~][0-9]+)+$")
_NAMED = ("id", "url", "document")
_IGNORED = re.compile(r"^https?://(www\.)?|/+$", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A document as a part holds it: its columns but the images, and the part's path."""

    path: str
    columns: dict[str, Any]

    @property
    def id(self) -> str:
        """The document's id, or the piece's."""
        return str(self.columns["id"])

    @property
    def text(self) -> bytes | None:
        """Its text as UTF-8, the unit of spans; null where the rows are no documents, but links."""
        return str(self.columns["text"]).encode() if "text" in self.columns else None


def family(name: str) -> str:
    """Return the id of the document that a piece was cut from, that a mix repeats, or of the document itself.

    >>> family("ab#0#12"), family("ab#0~1"), family("ab")
    ('ab', 'ab', 'ab')
    """
    return _PIECES.sub("", name)


def ids_with_url(dataset: Dataset, url: str) -> set[str]:
    """List the documents, kept or rejected, that have exactly this url."""
    found: set[str] = set()
    for batch in _names(dataset):
        found.update(batch["id"].filter(pc.equal(batch["url"], url)).to_pylist())
    return found


def rows_of(dataset: Dataset, ids: Collection[str]) -> list[Row]:
    """Read the rows of these documents and of their pieces."""
    return [row for part in dataset.parts for row in _rows(dataset, part, ids)]


def _rows(dataset: Dataset, part: Part, ids: Collection[str]) -> Iterator[Row]:
    with dataset.open(part) as source:
        parquet = pq.ParquetFile(source)
        wanted = [name for name in parquet.schema_arrow.names if name != "images"]
        for group in range(parquet.num_row_groups):
            names = parquet.read_row_group(group, columns=["id"])["id"]
            places = _places(names, ids)
            if len(places):
                for columns in parquet.read_row_group(group, columns=wanted).take(places).to_pylist():
                    yield Row(dataset.path_of(part), columns)


def rejects_of(dataset: Dataset, ids: Collection[str]) -> list[dict[str, Any]]:
    """Read the rejects of these documents and of their pieces, in the order they were written."""
    found: list[dict[str, Any]] = []
    for batch in dataset.reject_batches():
        found += batch.take(_places(batch["id"], ids)).to_pylist()
    return found


def _places(names: pa.Array | pa.ChunkedArray, ids: Collection[str]) -> pa.Array:
    """Number the names that are one of `ids` or a piece of one."""
    mine = functools.reduce(pc.or_, (pc.starts_with(names, name) for name in ids))
    places = pc.indices_nonzero(mine)
    exact = [family(name) in ids or name in ids for name in names.take(places).to_pylist()]
    return places.filter(pa.array(exact, pa.bool_()))


def ancestors(dataset: Dataset) -> list[tuple[Dataset, tuple[Dataset, ...]]]:
    """List every dataset on the way to this one that still stands, with its sources; this one is last."""
    found: dict[str, tuple[Dataset, tuple[Dataset, ...]]] = {}

    def visit(one: Dataset) -> None:
        if one.sha256 in found:
            return
        sources = tuple(source for _, source in upstream(one) if source is not None)
        for source in sources:
            visit(source)
        found[one.sha256] = (one, sources)

    visit(dataset)
    return list(found.values())


def beside(dataset: Dataset) -> list[Dataset]:
    """List what documents were compared with and still stands: references, and generations of an index."""
    try:
        plan = json.loads(files.read_bytes(files.join(dataset.path, "plan.json")))
    except FileNotFoundError:
        return []
    found: list[Dataset] = []
    for path in plan.get("beside", []):
        if not files.is_url(path) and not files.is_url(dataset.path):
            path = os.path.normpath(files.join(dataset.path, path))
        with contextlib.suppress(CorpuskitError):  # moved, damaged, or a filter: then less is told
            found += opened(path) or [Dataset(path)]
    return found


def urls_of(dataset: Dataset, ids: Collection[str]) -> dict[str, str | None]:
    """Look up the urls of documents that a reference holds or a generation of an index names."""
    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, str | None] = {}
    for part in dataset.parts:
        for table in _columns(dataset, part):
            rows = table.filter(pc.is_in(table["id"], wanted))
            for name, url in zip(rows["id"].to_pylist(), rows["url"].to_pylist(), strict=True):
                found.setdefault(name, url)
    return found


def missing(datasets: Iterable[Dataset]) -> tuple[str, ...]:
    """List the datasets that some datasets were made from and that no longer stand as they were read."""
    return tuple(
        dict.fromkeys(
            path
            for dataset in datasets
            for told, (path, source) in zip(dataset.manifest["inputs"], upstream(dataset), strict=True)
            if told["kind"] == "dataset" and source is None
        )
    )


def near(dataset: Dataset, query: str, limit: int = 3) -> list[str]:
    """Find ids and urls that begin with `query`, and urls that differ in scheme, www, case or last slash."""
    loose = _IGNORED.sub("", query).lower()
    found: list[str] = []
    for batch in _names(dataset):
        urls = pc.fill_null(batch["url"], "")
        plain = pc.utf8_lower(pc.replace_substring_regex(urls, r"(?i)^https?://(www\.)?|/+$", ""))
        found += urls.filter(pc.or_(pc.equal(plain, loose), pc.starts_with(urls, query))).to_pylist()[:limit]
        found += batch["id"].filter(pc.starts_with(batch["id"], query)).to_pylist()[:limit]
        found = list(dict.fromkeys(found))
        if len(found) >= limit:
            break
    return found[:limit]


def _names(dataset: Dataset) -> Iterator[pa.Table]:
    """Read ids and urls of documents and of rejects, a row group at a time."""
    for part in (*dataset.parts, *dataset.rejects):
        yield from _columns(dataset, part)


def _columns(dataset: Dataset, part: Part) -> Iterator[pa.Table]:
    with dataset.open(part) as source:
        parquet = pq.ParquetFile(source)
        columns = [name for name in _NAMED if name in parquet.schema_arrow.names]
        for group in range(parquet.num_row_groups if {"id", "document"} & set(columns) else 0):
            table = parquet.read_row_group(group, columns=columns)
            if "id" not in columns:
                table = table.rename_columns({"document": "id"})
            yield table if "url" in columns else table.append_column("url", pa.nulls(len(table), pa.string()))
