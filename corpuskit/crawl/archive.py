"""Read the records of web archives (WARC, ARC, WET, WAT), and name every byte that cannot be read.

One reader for all: members (of gzip, zstd or lz4; a plain file is one) are inflated in bounded memory
by `members`, and cut into records by `recovery`, which carries on after damage. FastWARC and warcio
end without an error at a flipped bit and pass over what they do not understand, so they cannot say
what is missing; they are what this reader is tested against.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from corpuskit.crawl.members import Gap, Member, Source, members
from corpuskit.crawl.recovery import Piece, split

__all__ = ["RECORD_BYTES", "Lost", "Record", "records"]

RECORD_BYTES = 64 << 20
"""A record with more bytes than this is counted as lost, not read into memory."""

_HTTP = re.compile(rb"HTTP[A-Z]?/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)[^\n]*\n")
_BLANK = re.compile(rb"(?<=\n)\r*\n")
_ARC = re.compile(rb"(.*) (\S+) (\d{12,14}) (\S+)(?: \S+ \S+ \S+ \d+ \S+)? \d+\s*", re.DOTALL)


@dataclass(frozen=True)
class Lost:
    """A stretch of a file that no record could be read from, and why; the places are as in `Record`."""

    offset: int
    inner: int
    length: int
    reason: str

    @property
    def position(self) -> str:
        """Where it starts: `offset`, or `offset+inner` within a member of several records."""
        return f"{self.offset}+{self.inner}" if self.inner else f"{self.offset}"


@dataclass(frozen=True)
class Record:
    """One record of an archive. `body` is the payload without HTTP headers, as it went over the wire.

    `offset` is where its member (or, in a plain file, itself) starts in the file, `inner` where it
    starts in the inflated member. The `length` of all records and losses of a file add up to its size.
    `headers` and `http` have lower-case names; `status` is null where there are no HTTP headers.
    """

    offset: int
    inner: int
    length: int
    kind: str
    url: str | None
    date: datetime.datetime | None
    record_id: str | None
    headers: dict[str, str]
    status: int | None
    http: dict[str, str]
    body: bytes
    truncated: str | None

    @property
    def content_type(self) -> str | None:
        """What the server said the body is, or the record where there is no HTTP header."""
        return self.http.get("content-type") if self.status is not None else self.headers.get("content-type")

    @property
    def position(self) -> str:
        """Where it starts: `offset`, or `offset+inner` within a member of several records."""
        return f"{self.offset}+{self.inner}" if self.inner else f"{self.offset}"


def records(stream: BinaryIO, size: int | None = None, limit: int = RECORD_BYTES) -> Iterator[Record | Lost]:
    """Read an archive, known by its first bytes and not by its name, from a stream that need not seek.

    `size`, where known, is compared with what was read: a stream that ends early is a loss too.
    Whatever the bytes are, nothing is raised but the stream's own errors.
    """
    source = Source(stream)
    held: Record | Lost | None = None
    done = 0
    for member in members(source):
        for item, start in _items(member, size, limit):
            if held is not None:
                yield replace(held, length=start - done)
                done = start
            held = item
        if isinstance(member, Member) and member.fault and held is not None:
            held = Lost(held.offset, held.inner, 0, member.fault)
    if held is not None:
        yield replace(held, length=source.offset - done)
    elif source.offset:
        yield Lost(0, 0, source.offset, "nothing but empty members")
    if size is not None and size > source.offset:
        yield Lost(source.offset, 0, size - source.offset, "the file ends early")


def _items(member: Member | Gap, size: int | None, limit: int) -> Iterator[tuple[Record | Lost, int]]:
    """Read a member; with each item comes the offset in the file where the one before it ends."""
    if isinstance(member, Gap):
        yield Lost(member.offset, 0, 0, member.reason), member.offset
        return
    start: int | None = member.offset
    for piece in split(member.chunks(), limit, size if member.plain else None):
        offset, inner = (piece.start, 0) if member.plain else (member.offset, piece.start)
        if start is None:
            start = offset if member.plain else member.consumed
        yield (
            (_record(piece, offset, inner) if piece.reason is None else Lost(offset, inner, 0, piece.reason)),
            start,
        )
        start = None
    if start is not None and member.fault:
        yield Lost(member.offset, 0, 0, member.fault), start


def _record(piece: Piece, offset: int, inner: int) -> Record:
    headers = _warc_headers(piece.header) if piece.header.startswith(b"WARC/") else _arc_headers(piece.header)
    url = headers.get("warc-target-uri", "").strip().removeprefix("<").removesuffix(">").strip() or None
    kind = headers.get("warc-type", "").lower() or "unknown"
    body, status, http = piece.body, None, dict[str, str]()
    if kind in ("response", "revisit") and not headers.get("content-type", "").startswith("text/dns"):
        status, http, body = _divide_http(piece.body)
    return Record(
        offset=offset,
        inner=inner,
        length=0,
        kind=kind,
        url=url,
        date=_date(headers.get("warc-date", "")),
        record_id=headers.get("warc-record-id", "").strip() or None,
        headers=headers,
        status=status,
        http=http,
        body=body,
        truncated=headers.get("warc-truncated"),
    )


def _warc_headers(block: bytes) -> dict[str, str]:
    return _fields(block.split(b"\n", 1)[1])


def _fields(block: bytes) -> dict[str, str]:
    """Read `Name: value` lines; the first of a name counts, a line that starts with a space goes on."""
    found: dict[str, str] = {}
    name = ""
    for line in block.decode("utf-8", "replace").split("\n"):
        line = line.rstrip("\r")
        if line[:1] in (" ", "\t") and name:
            found[name] = f"{found[name]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon:
            name = ""
        elif name not in found:
            found[name] = value.strip()
        else:
            name = ""
    return found


def _arc_headers(line: bytes) -> dict[str, str]:
    """Give the one line of an ARC record the names of WARC."""
    found = _ARC.fullmatch(line)
    if not found:
        return {}
    url, ip, date, kind = (part.decode("utf-8", "replace") for part in found.groups())
    names = {"filedesc": "warcinfo", "http": "response", "https": "response"}
    return {
        "warc-type": names.get(url.partition(":")[0].lower(), "resource"),
        "warc-target-uri": url,
        "warc-ip-address": ip,
        "warc-date": date,
        "content-type": kind,
    }


def _divide_http(block: bytes) -> tuple[int | None, dict[str, str], bytes]:
    """Cut an HTTP message into status, headers and body; without a status line all of it is body."""
    status, fields = None, dict[str, str]()
    while line := _HTTP.match(block):
        blank = _BLANK.search(block, line.end() - 1)
        status = int(line[1])
        fields = _fields(block[line.end() : blank.start() if blank else len(block)])
        block = block[blank.end() :] if blank else b""
        if status >= 200:  # an interim answer, such as 100, comes before the true one
            break
    return status, fields, block


def _date(text: str) -> datetime.datetime | None:
    text = text.strip()
    if text.isdigit():
        text = f"{text.ljust(14, '0')[:8]}T{text.ljust(14, '0')[8:14]}"
    try:
        date = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    utc = datetime.UTC
    date = date.replace(tzinfo=utc) if date.tzinfo is None else date.astimezone(utc)
    return (
        date.replace(tzinfo=utc, microsecond=0)
        if date.tzinfo is None
        else date.astimezone(utc).replace(microsecond=0)
    )
