"""Pairs of an image's address and a text: read from tables of others, and the addresses they have."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files, urls
from corpuskit.crawl.addresses import BadScheme, BadUrl, split
from corpuskit.crawl.columns import TYPES, Kept, Layout, as_type, kept_columns, lookup, no_column
from corpuskit.crawl.corpora import Refused, Row, Rows, corpus_files, split_rows
from corpuskit.crawl.tabular import Dialect, fields, read_rows, table_tasks
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import IMAGES, SCHEMA
from corpuskit.errors import UsageError
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task, dataset_input, document_tasks

__all__ = ["LINKS", "Address", "Addresses", "Pairs", "address", "image_urls", "is_dataset"]

LINKS = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("url", pa.string(), nullable=False)])
"""The distinct addresses of images: `id` is a hash of the canonical URL, `url` as it is first met."""

_NAMES = re.compile(r"\.(?:csv|tsv|tab|jsonl|ndjson|json|parquet|pq)\Z", re.IGNORECASE)
_SHARE_ROWS = 2_000_000


def is_dataset(path: str) -> bool:
    """Say whether a path is that of a finished dataset."""
    return path != "-" and files.exists(files.join(path, "manifest.json"))


@dataclass(frozen=True)
class Pairs(Stage):
    """Reads pairs from CSV, TSV, JSON lines or Parquet files, or passes those of a dataset on.

    Every row of a file becomes a pair, or a reject: `images.missing` (no URL or caption), `images.empty`,
    `images.column` (a column that is not of its type), `images.malformed` and `images.lost` (no row).

    Raises:
        UsageError: A column that the files do not have, or a dataset without images.
    """

    name: ClassVar[str] = "crawl.images.pairs"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"images.malformed", "images.lost", "images.column"})

    from_: str | None = setting(None, "files or dataset of pairs, in place of the sources", content=False)
    url_column: str = setting("url", "of files: column of the image's URL")
    caption_column: str = setting("caption", "of files: column of its caption")
    keep_columns: tuple[str, ...] = setting(
        (), "of files: further columns to keep, as [NAME=]PATH[:TYPE]; text by default"
    )
    source: str | None = setting(None, "of files: name of the collection  [default: the file's name]")

    def __post_init__(self) -> None:
        """Check the columns to keep."""
        _ = self._kept

    @cached_property
    def _kept(self) -> tuple[Kept, ...]:
        found = kept_columns(self.keep_columns, Layout(text=self.caption_column), "crawl.images")
        for one in found:
            if one.name == IMAGES.name:
                raise UsageError(
                    f"crawl.images: there is a column {one.name!r} already", fix="give it another name"
                )
        return tuple(one._replace(type=one.type or TYPES["string"]) for one in found)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the pairs."""
        return schema

    def plan(self, *sources: str) -> list[Task]:
        """Plan a task per part of a dataset, or per file; a large file of lines or Parquet is cut."""
        given = (self.from_,) if self.from_ is not None else sources
        if all(map(is_dataset, given)):
            tasks = document_tasks(*given)
            if any(IMAGES.name not in task.schema.names for task in tasks):
                what = f"there is no column of images in {', '.join(given)}"
                raise UsageError(what, fix="make pairs with corpuskit crawl pool, or name a table of URLs")
            return tasks
        kept = [pa.field(one.name, one.type) for one in self._kept]
        schema = pa.schema([*SCHEMA, IMAGES, *kept])
        tasks = [
            dataclasses.replace(task, schema=schema)
            for task in table_tasks(corpus_files(given, _NAMES), None)
        ]
        for number, task in enumerate(tasks):
            if not number or task.inputs != tasks[number - 1].inputs:
                self._check(task)
        return tasks

    def _check(self, task: Task) -> None:
        known = fields(task, self._dialect(task))
        for path in (self.url_column, self.caption_column, *(one.path for one in self._kept)):
            if known and path not in known:
                found = no_column(path, known, task.inputs[0].path)
                hint = {self.url_column: "--url-column", self.caption_column: "--caption-column"}.get(path)
                raise UsageError(found.what, fix=f"{found.fix} Name it with {hint}." if hint else found.fix)

    @staticmethod
    def _dialect(task: Task) -> Dialect:
        return Dialect("\t", quotes=False) if task.work["format"] == "tsv" else Dialect()

    def run(self, task: Task) -> Iterator[Split]:
        """Read one file, or a range of it."""
        if "format" not in task.work:
            for batch in read_batches(task.inputs[0].path, task.schema):
                yield Split(batch, source=batch)
            return
        rows = dataclasses.replace(Rows.of(self, task.schema, task, self.source), stage="crawl.images")
        wanted = [self.url_column, self.caption_column, *(one.path for one in self._kept)]
        found = read_rows(task, list(dict.fromkeys(wanted)), self._dialect(task))
        yield from split_rows(found, self._read, rows)

    def _read(self, row: Row, rows: Rows) -> None:
        """Make a pair of a row, or a reject."""
        url, text = lookup(row.record, self.url_column), lookup(row.record, self.caption_column)
        try:
            kept = [as_type(lookup(row.record, one.path), one.type) for one in self._kept]
            url, text = as_type(url, pa.string()), as_type(text, pa.string())
        except TypeError:
            rows.refuse(Refused(row.at, "column"))
            return
        if not url or text is None:
            rows.refuse(Refused(row.at, "missing"))
        elif not text.strip():
            rows.refuse(Refused(row.at, "empty", len(text)))
        else:
            image: dict[str, Any] = {"offset": 0, "url": url, "alt": text}
            rows.keep(row.at, None, None, (text, None, None, None, None, [image], *kept))


class Address(NamedTuple):
    """The id of an image's address, or the rule by which it is none; the other is null."""

    id: str | None
    rule: str | None = None


def address(url: str | None) -> Address:
    """Name an image's address; two that are equal in their canonical form have one name.

    >>> address("HTTP://a.example:80/b.jpg#c") == address(" http://a.example/b.jpg")
    True
    >>> address("data:image/gif;base64,R0lGOD").rule, address(None).rule
    ('fetch.scheme', 'images.missing')
    """
    if url is None:
        return Address(None, "images.missing")
    try:
        split(url)
    except BadScheme:
        return Address(None, "fetch.scheme")
    except BadUrl:
        return Address(None, "fetch.url")
    found = urls.canonical(url).encode("utf-8", "surrogatepass")
    return Address(hashlib.blake2b(found, digest_size=16).hexdigest())


def image_urls(batch: pa.RecordBatch) -> pa.Array:
    """Return the URL of each pair's image; null where it has none."""
    images = batch[IMAGES.name]
    counts = np.asarray(pc.fill_null(pc.list_value_length(images), 0))
    flat = pc.struct_field(images.flatten(), "url")
    starts = np.cumsum(counts) - counts
    return flat.take(pa.array(np.where(counts > 0, starts, 0), mask=counts == 0))


@dataclass(frozen=True)
class Addresses(Stage):
    """Lists the distinct addresses of the images of pairs, as links to be fetched.

    An address that cannot be fetched is left out: its pairs say so.
    """

    name: ClassVar[str] = "crawl.images.addresses"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of links."""
        return LINKS

    def plan(self, *sources: str) -> list[Task]:
        """Plan tasks that share the addresses by their ids, for every two million pairs one."""
        inputs = tuple(dataset_input(source) for source in sources)
        shares = max(1, -(-sum(item.size for item in inputs) // _SHARE_ROWS))
        return [Task(inputs, LINKS, {"share": share, "of": shares}) for share in range(shares)]

    def run(self, task: Task) -> Iterator[Split]:
        """Go through all pairs, and give each address of one share the first time it is met."""
        share, of = int(task.work["share"]), int(task.work["of"])
        seen: set[bytes] = set()
        for item in task.inputs:
            for batch in Dataset(item.path).batches([IMAGES.name]):
                yield Split(_links(_new(image_urls(batch).to_pylist(), share, of, seen)))


def _new(found: Sequence[str | None], share: int, of: int, seen: set[bytes]) -> Iterator[tuple[str, str]]:
    """Yield the id and URL of addresses of a share that were not seen before."""
    for url in found:
        name = address(url).id
        if name is None or url is None:
            continue
        key = bytes.fromhex(name)
        if key not in seen and int.from_bytes(key[:8], "little") % of == share:
            seen.add(key)
            yield name, url


def _links(found: Iterator[tuple[str, str]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": name, "url": url} for name, url in found], LINKS)
