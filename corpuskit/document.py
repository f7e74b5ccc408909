"""The one schema: what a document is, what a reject is, and how a document gets its id."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

import pyarrow as pa

__all__ = [
    "BATCH_BYTES",
    "IMAGE",
    "IMAGES",
    "IMAGE_VECTORS",
    "REJECT",
    "SCHEMA",
    "document_id",
    "empty_rejects",
    "reject_rows",
]

IMAGE_VECTORS = "image_embedding"
"""The column of the vectors of documents' images."""

BATCH_BYTES = 16 << 20
"""A batch holds at most this many bytes of text, or one document."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("date", pa.timestamp("ms", tz="UTC")),  # Parquet has no seconds and reads them back as ms
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("lang", pa.string()),
        pa.field("lang_score", pa.float32()),
    ]
)
"""The columns of every document; signals follow them, one nullable column each."""

IMAGE = pa.struct(
    [
        ("offset", pa.int64()),
        ("url", pa.string()),
        ("alt", pa.string()),
        ("sha256", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.binary()),
    ]
)
IMAGES = pa.field("images", pa.list_(IMAGE))
"""The optional column of images; `offset` counts UTF-8 bytes of the text."""

REJECT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("bound", pa.float64()),
        pa.field("twin", pa.string()),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
    ]
)
"""One row per reason. No span: the whole document went. A span: those bytes of its text were cut."""


def document_id(source: str, record_id: str | None, origin: str) -> str:
    """Name a document: 32 hex digits that stay the same when its file moves to another folder.

    `record_id` is the WARC-Record-ID where there is one; otherwise the file name and offset of
    `origin` (`folder/file@offset`) stand in, without the folders.

    >>> document_id("books", None, "a/b.warc.gz@77") == document_id("books", None, "b.warc.gz@77")
    True
    >>> len(document_id("books", "<urn:uuid:1>", "x@0"))
    32
    """
    where = record_id if record_id else PurePosixPath(origin).name
    return hashlib.blake2b(f"{source}\0{where}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def empty_rejects() -> pa.RecordBatch:
    """Return no rejects, under the schema of rejects."""
    return pa.RecordBatch.from_pylist([], REJECT)


def reject_rows(
    batch: pa.RecordBatch, stage: str, rule: str, rows: pa.Array, **columns: pa.Array | float | str | None
) -> pa.RecordBatch:
    """Build the rejects of `rows` (int64 indices into `batch`) by one rule.

    `columns` may give `value`, `bound`, `twin`, `start` and `end`: an array as long as `rows`, or
    one value for all. What is not given is null. No rows give no rejects.

    >>> docs = pa.RecordBatch.from_pylist([{"id": "a", "url": "http://a/"}])
    >>> reject_rows(docs, "filter.rules", "gopher.word_count.min", pa.array([0]), value=3.0)["id"].to_pylist()
    ['a']
    """
    count = len(rows)
    names = batch.schema.names
    given = {name: batch.column(name).take(rows) for name in ("id", "url", "origin") if name in names}
    given |= {"stage": stage, "rule": rule, **columns}
    arrays = []
    for field in REJECT:
        value = given.get(field.name)
        if isinstance(value, pa.Array | pa.ChunkedArray):
            arrays.append(value.cast(field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), count))
    return pa.RecordBatch.from_arrays(arrays, schema=REJECT)
