"""What goes along from links to documents: score, subreddits, queries, by the record that was fetched."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.crawl import fetched
from corpuskit.dataset import Dataset, conform, unify

__all__ = ["LinkColumns", "fetched_archives", "link_columns", "was_fetched"]


def was_fetched(source: str) -> bool:
    """Say whether a source is a finished dataset of `crawl fetch`, with the archives it wrote."""
    if source == "-" or not files.exists(files.join(source, "manifest.json")):
        return False
    return {"record_id", "warc"} <= set(Dataset(source).schema.names)


def fetched_archives(source: str) -> list[str]:
    """List the archives that the rows of a fetch lie in, sorted."""
    names = {
        name for batch in Dataset(source).batches(["warc"]) for name in pc.unique(batch["warc"]).to_pylist()
    }
    return [files.join(source, "warc", name) for name in sorted(name for name in names if name)]


def link_columns(sources: Sequence[str], own: Sequence[str]) -> list[pa.Field]:
    """List the columns that go along with the documents: what the links had before they were fetched.

    `own` are the columns of documents, which are made anew.

    Raises:
        UsageError: A column has two types.
    """
    schema = unify([Dataset(source).schema for source in sources if was_fetched(source)])
    return [field.with_nullable(True) for field in schema if field.name not in {*own, *fetched.SCHEMA.names}]


class LinkColumns:
    """The columns that go along with the documents of one archive, by the ids of its records.

    Without a `source` there are none: all columns are null.
    """

    def __init__(self, source: str | None, archive: str, columns: Sequence[pa.Field]) -> None:
        schema = pa.schema([pa.field("record_id", pa.string()), *columns])
        rows = schema.empty_table() if source is None else _rows_in(Dataset(source), archive, schema)
        self._places = {name: row for row, name in enumerate(rows["record_id"].to_pylist())}
        self._columns = [
            pa.concat_arrays([*rows[field.name].chunks, pa.nulls(0, field.type)]) for field in columns
        ]

    def take(self, record_ids: Sequence[str | None]) -> list[pa.Array]:
        """Return the columns for some records; null for one that was fetched for no link, like a redirect."""
        rows = pa.array([self._places.get(name or "") for name in record_ids], pa.int64())
        return [column.take(rows) for column in self._columns]


def _rows_in(dataset: Dataset, archive: str, schema: pa.Schema) -> pa.Table:
    """Read the rows of one archive under a schema, opening only row groups that hold such."""
    names = [name for name in schema.names if name in dataset.schema.names]
    tables = [schema.empty_table()]
    for part in dataset.parts:
        with dataset.open(part) as file:
            found = pq.read_table(file, columns=names, filters=[("warc", "=", archive)])
        tables += [pa.Table.from_batches([conform(batch, schema)]) for batch in found.to_batches()]
    return pa.concat_tables(tables)
