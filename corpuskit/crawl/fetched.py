"""The row of a fetched page: its schema, made from what was recorded, and back."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from corpuskit.crawl.journal import Entry
from corpuskit.crawl.recording import Place, payload_digest, warc_date
from corpuskit.crawl.transport import Exchange
from corpuskit.document import REJECT

__all__ = ["SCHEMA", "kept_rows", "page", "rejected_rows", "written_date"]

_TIME = pa.timestamp("ms", tz="UTC")

SCHEMA = pa.schema(
    [
        pa.field("status", pa.int32()),
        pa.field("final_url", pa.string()),
        pa.field("fetched", _TIME),
        pa.field("record_id", pa.string()),
        pa.field("warc", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("digest", pa.string()),
        pa.field("type", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("truncated", pa.string()),
        pa.field("redirects", pa.int32()),
        pa.field("etag", pa.string()),
        pa.field("last_modified", pa.string()),
        pa.field("refers_to", pa.string()),
        pa.field("refers_to_date", _TIME),
        pa.field("ip", pa.string()),
        pa.field("seconds", pa.float32()),
    ]
)
"""The columns that fetching adds to a link. `offset` and `length` are of its gzip member in `warc`."""

_DATES = [field.name for field in SCHEMA if field.type == _TIME]


def page(exchange: Exchange, place: Place, redirects: int) -> dict[str, Any]:
    """Describe the last answer of a URL and where it was recorded, as plain JSON values."""
    kind = exchange.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return {
        "status": exchange.status,
        "final_url": exchange.url,
        "fetched": warc_date(exchange),
        "record_id": place.record_id,
        "warc": place.warc,
        "offset": place.offset,
        "length": place.length,
        "digest": payload_digest(exchange.body),
        "type": kind or None,
        "bytes": len(exchange.body),
        "truncated": exchange.truncated,
        "redirects": redirects,
        "etag": exchange.headers.get("ETag"),
        "last_modified": exchange.headers.get("Last-Modified"),
        "refers_to": None,
        "refers_to_date": None,
        "ip": exchange.ip,
        "seconds": round(exchange.seconds, 3),
    }


def kept_rows(links: pa.RecordBatch, entries: Sequence[Entry], schema: pa.Schema) -> pa.RecordBatch:
    """Join what was fetched to the links it was fetched for."""
    own = links.take(pa.array([entry["row"] for entry in entries], pa.int64()))
    pages = [
        {**entry["page"], **{name: _read_date(entry["page"][name]) for name in _DATES}} for entry in entries
    ]
    fetched = pa.RecordBatch.from_pylist(pages, SCHEMA)
    return pa.RecordBatch.from_arrays([*own.columns, *fetched.columns], schema=schema)


def rejected_rows(links: pa.RecordBatch, entries: Sequence[Entry], stage: str) -> pa.RecordBatch:
    """Make a reject of each entry that says why a link was not fetched."""
    own = links.take(pa.array([entry["row"] for entry in entries], pa.int64()))
    rows = [
        {**link, "stage": stage, "rule": entry["rule"], "value": entry["value"], "bound": entry["bound"]}
        for link, entry in zip(own.select(["id", "url"]).to_pylist(), entries, strict=True)
    ]
    return pa.RecordBatch.from_pylist(rows, REJECT)


def _read_date(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)


def written_date(date: datetime.datetime) -> str:
    """Write a date of a row as its WARC record has it."""
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"
