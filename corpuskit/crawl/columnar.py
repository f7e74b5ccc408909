"""Looks up captures in Common Crawl's columnar index: Parquet, sorted by URL, read only where it may match.

Source: https://github.com/commoncrawl/cc-index-table, cc-index-schema-flat.json, for the columns.
"""

from __future__ import annotations

import functools
import ipaddress
import operator
import re
from collections.abc import Iterator
from io import RawIOBase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from corpuskit.crawl import captures
from corpuskit.crawl.captures import SCHEMA, Wanted, is_path
from corpuskit.errors import InputError, UsageError
from corpuskit.stage import Split

__all__ = ["captures_in", "ranges"]

_ROWS = 1 << 16
_KEY = "url_surtkey"
_COLUMNS = {
    "url": "url",
    "date": "fetch_time",
    "status": "fetch_status",
    "type": "content_mime_detected",
    "languages": "content_languages",
    "digest": "content_digest",
    "warc": "warc_filename",
    "offset": "warc_record_offset",
    "length": "warc_record_length",
}
_SENT_TYPE = "content_mime_type"
_ALWAYS = ("url", "warc", "offset", "length")
_URL = re.compile(
    r"(?:https?://)?(?P<host>\[[^\]/]*\]|[^\[\]/?#:*@\s]+)(?::(?P<port>\d+))?(?P<rest>(?:[/?][^#\s]*)?)"
)
_WWW = re.compile(r"\Awww\d*\.(?=.)")


def captures_in(file: RawIOBase, place: str, wanted: Wanted) -> Iterator[Split]:
    """Read the captures that are wanted from one part of the index, in its order; at most 65,536 at a time.

    Row groups whose least and greatest URLs rule them out are not read. Rows that do not say where a
    record lies are rejects. `place` names the part in errors.

    Raises:
        InputError: It is not Parquet, or lacks a column that is asked for.
    """
    try:
        fragment = pds.ParquetFileFormat().make_fragment(pa.PythonFile(file, mode="r"))
        columns = _columns(fragment.physical_schema.names, place, wanted)
        scanner = fragment.scanner(
            columns=columns,
            filter=_condition(fragment.physical_schema.names, wanted),
            batch_size=_ROWS,
            batch_readahead=0,
            fragment_readahead=0,
            use_threads=False,
        )
        seen = 0
        for batch in scanner.to_batches():
            if len(batch):
                yield _split(batch, place.rsplit("/", 1)[-1], seen)
                seen += len(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{place} is not a part of a columnar index: {str(error).splitlines()[0]}", fix="check --base-url"
        ) from None


def _columns(names: list[str], place: str, wanted: Wanted) -> dict[str, pc.Expression]:
    needed = {*(_COLUMNS[name] for name in _ALWAYS)}
    needed |= {_KEY} if wanted.patterns else set()
    needed |= {"content_languages"} if wanted.languages else set()
    needed |= {"fetch_status"} if wanted.statuses else set()
    lacking = sorted(needed - {*names})
    if lacking:
        raise InputError(
            f"{place} has no column {lacking[0]}", fix="leave out what asks for it: older crawls know less"
        )
    found = {name: pc.field(column) for name, column in _COLUMNS.items() if column in names}
    kind = _type(names)
    return found | ({"type": kind} if kind is not None else {})


def _type(names: list[str]) -> pc.Expression | None:
    """Return the type as detected, else as sent."""
    kinds = [pc.field(name) for name in (_COLUMNS["type"], _SENT_TYPE) if name in names]
    return pc.coalesce(*kinds) if len(kinds) > 1 else kinds[0] if kinds else None


def _condition(names: list[str], wanted: Wanted) -> pc.Expression | None:
    parts = []
    if wanted.patterns:
        spans = [span for pattern in wanted.patterns for span in ranges(pattern)]
        key = pc.field(_KEY)
        parts.append(_any([(key >= low) & (key < high) for low, high in spans]))
    if wanted.languages:
        told = pc.field("content_languages")
        parts.append(_any([(told == code) | pc.starts_with(told, f"{code},") for code in wanted.languages]))
    if wanted.statuses:
        parts.append(_any([pc.field("fetch_status") == status for status in wanted.statuses]))
    kind = _type(names)
    if wanted.types and kind is not None:
        parts.append(pc.utf8_lower(kind).isin(list(wanted.types)))
    return functools.reduce(operator.and_, parts) if parts else None


def _any(parts: list[pc.Expression]) -> pc.Expression:
    return functools.reduce(operator.or_, parts)


def _split(batch: pa.RecordBatch, part: str, seen: int) -> Split:
    """Bring rows of the index under our schema."""
    ids = pa.array([f"{part}:{seen + row}" for row in range(len(batch))], pa.string())
    arrays = [ids]
    for field in list(SCHEMA)[1:]:
        known = field.name in batch.schema.names
        arrays.append(
            batch[field.name].cast(field.type, safe=False) if known else pa.nulls(len(batch), field.type)
        )
    table = pa.RecordBatch.from_arrays(
        arrays, schema=pa.schema([field.with_nullable(True) for field in SCHEMA])
    )
    good = _makes_sense(table)
    kept = pa.RecordBatch.from_arrays(table.filter(good).columns, schema=SCHEMA)
    return Split(kept, captures.rejects(ids.filter(pc.invert(good)).to_pylist()))


def _makes_sense(batch: pa.RecordBatch) -> pa.Array:
    names = batch["warc"].dictionary_encode()
    paths = pa.array(
        [name is not None and is_path(name) for name in names.dictionary.to_pylist()], pa.bool_()
    )
    known = pc.fill_null(paths.take(names.indices), False)
    offset, length = (pc.fill_null(batch[name], -1).to_numpy() for name in ("offset", "length"))
    return pa.array(np.asarray(known) & (offset >= 0) & (length > 0))


def ranges(pattern: str) -> list[tuple[str, str]]:
    """Return the ranges of sort keys, first and end, that a pattern of the CDX server stands for.

    Keys are SURTs as Common Crawl makes them: the host backwards without www, then the path, lower-case.

    Raises:
        UsageError: It is no pattern.

    >>> ranges("*.example.com")[0], ranges("https://www.example.com/A/*")
    (('com,example)', 'com,example*'), [('com,example)/a/', 'com,example)/a0')])
    """
    text = pattern.strip()
    if text.startswith("*."):
        host = _host(text[2:].removesuffix("/*").removesuffix("/"), pattern)
        return [_from(host + end) for end in "),:"]
    whole = not text.endswith("*")
    found = _URL.fullmatch(text if whole else text[:-1])
    if found is None:
        raise UsageError(
            f"{pattern!r} is no URL, prefix or domain",
            fix="give example.com/page, example.com/a/* or *.example.com",
        )
    port = f":{found['port']}" if found["port"] not in (None, "80", "443") else ""
    host = _host(found["host"], pattern) + port
    if not found["rest"] and not whole:
        return [_from(host)]
    rest = _rest(found["rest"]) if whole else found["rest"].lower()
    key = f"{host}){rest}"
    return [(key, f"{key}\0")] if whole else [_from(key)]


def _host(name: str, pattern: str) -> str:
    """Turn a host around; an address stays as it is."""
    if not re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[^\s/:*?#@\[\]]+", name.strip(".")):
        raise UsageError(f"{pattern!r} names no host", fix="give it like example.com/page or *.example.com")
    name = name.strip(".").lower()
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        name = name if name.isascii() else _ascii(name)
        return ",".join(reversed(_WWW.sub("", name).split(".")))
    return name


def _ascii(name: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise UsageError(f"{name!r} is no host", fix="check its spelling") from None


def _rest(text: str) -> str:
    """Write path and query of a whole URL as a key has them: no slash at the end, parameters sorted."""
    path, _, query = text.lower().partition("?")
    path = path.rstrip("/") or "/"
    return f"{path}?{'&'.join(sorted(query.split('&')))}" if query else path


def _from(prefix: str) -> tuple[str, str]:
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)
