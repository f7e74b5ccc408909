"""Cut a stream into the records it holds, and carry on at the next record after bytes that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Piece", "split", "starts_record"]

_HEADER_BYTES = 1 << 20
_LINE_BYTES = 8 << 10
_PADDING = b"\r\n\0 "
_WARC = re.compile(rb"WARC/\d\.\d+[ \t\r]*\n")
# URL, IP, date, type, (version 2: result code, checksum, location, offset, file name,) length
_ARC_FIELDS = (
    rb"([a-zA-Z][\w+.-]{1,15}:[^\r\n]*) (\S+) (\d{12,14}) (\S+)(?: \S+ \S+ \S+ \d+ \S+)? (\d+)[ \t]*\r?\n"
)
_ARC = re.compile(_ARC_FIELDS)
_NEXT_ARC = re.compile(rb"(?<![^\n])" + _ARC_FIELDS)
_DATE = re.compile(rb" \d{12,14} ")  # a cheap look before that of _NEXT_ARC, which is slow
_LINE_END = 10
_BLANK = re.compile(rb"\n\r*\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d+)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """A record (its header and body), or lost bytes (the reason), and where in the stream it starts.

    A piece reaches to the start of the next, or to the end.
    """

    start: int
    header: bytes = b""
    body: bytes = b""
    reason: str | None = None


def starts_record(data: bytes) -> bool:
    """Whether the first bytes of a stream begin a WARC or ARC record."""
    data = data.lstrip(_PADDING)
    return bool(_WARC.match(data) or _ARC.match(data))


class _Stream:
    """What has arrived of a stream and is still needed; positions count from the stream's start."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.data = bytearray()
        self.start = 0
        self.ended = False

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    def reach(self, position: int) -> bool:
        """Read on until `position` has arrived; false if the stream ends before."""
        while self.end < position and not self.ended:
            chunk = next(self._chunks, None)
            self.ended = chunk is None
            self.data += chunk or b""
        return self.end >= position

    def get(self, start: int, stop: int) -> bytes:
        return bytes(self.data[start - self.start : stop - self.start])

    def forget(self, position: int) -> None:
        del self.data[: position - self.start]
        self.start = position


def split(chunks: Iterator[bytes], limit: int, size: int | None = None) -> Iterator[Piece]:
    """Cut a stream into pieces that cover it: records, and stretches that are none with the reason.

    A record's length is believed where a record, or the end, follows it. Bodies over `limit` bytes
    are lost, not read into memory. `size` is the length of the stream, where known.
    """
    stream = _Stream(chunks)
    at = _skip_padding(stream, 0)
    while stream.reach(at + 1):
        stream.forget(at)
        header = _header(stream, at)
        length = _body_length(header)
        if isinstance(length, str):
            yield Piece(at, reason=length)
            at = _find(stream, at + 1)
            continue
        body_at = at + len(header)
        if length > limit:
            yield Piece(at, reason=f"a record of {length} bytes, more than {limit}")
            believed = size is not None and body_at + length <= size
            at = (
                _skip_padding(stream, _pass(stream, body_at + length)) if believed else _find(stream, body_at)
            )
            continue
        whole = stream.reach(body_at + length)
        after = _skip_padding(stream, body_at + length) if whole else body_at
        if whole and _fits(stream, after):
            yield Piece(at, header, stream.get(body_at, body_at + length))
            at = after
            continue
        found = _search(stream.data, body_at - stream.start)
        inside = found is not None and stream.start + found < body_at + length
        if whole and not inside:
            yield Piece(at, header, stream.get(body_at, body_at + length))
            at = after
            continue
        yield Piece(at, reason=f"its Content-Length of {length} is wrong, or what follows is missing")
        at = _find(stream, body_at)


def _skip_padding(stream: _Stream, at: int) -> int:
    while stream.reach(at + 1):
        rest = stream.get(at, min(stream.end, at + _LINE_BYTES))
        skipped = len(rest) - len(rest.lstrip(_PADDING))
        at += skipped
        if skipped < len(rest):
            break
    return at


def _header(stream: _Stream, at: int) -> bytes:
    """Return the header block with its blank line (WARC) or its one line (ARC); empty where there is none."""
    stream.reach(at + _LINE_BYTES)
    line = stream.get(at, at + _LINE_BYTES)
    arc = _ARC.match(line)
    if arc:
        return arc[0]
    if not _WARC.match(line):
        return b""
    seen = 0
    while seen < _HEADER_BYTES:
        blank = _BLANK.search(stream.data, max(0, seen - 3))
        if blank:
            return stream.get(at, at + blank.end())
        seen = len(stream.data)
        if not stream.reach(stream.end + 1):
            break
    return b""


def _body_length(header: bytes) -> int | str:
    if not header:
        return "no record header"
    arc = _ARC.fullmatch(header)
    length = arc[5] if arc else (_LENGTH.search(header) or (b"", b""))[1]
    if not length:
        return "a record header without a Content-Length"
    return int(length) if len(length) <= 18 else 10**18


def _fits(stream: _Stream, at: int) -> bool:
    """Whether a record starts here, or the stream ends."""
    stream.reach(at + _LINE_BYTES)
    rest = stream.get(at, at + _LINE_BYTES)
    return not rest or starts_record(rest)


def _search(data: bytearray, start: int) -> int | None:
    """Find the first line that looks like the start of a record."""
    arc = _NEXT_ARC.search(data, start) if _DATE.search(data, start) else None
    end = arc.start() if arc else len(data)
    at = data.find(b"WARC/", start, end)
    while at >= 0 and not (_WARC.match(data, at) and (at == 0 or data[at - 1] == _LINE_END)):
        at = data.find(b"WARC/", at + 1, end)
    if at >= 0:
        return at
    return arc.start() if arc else None


def _find(stream: _Stream, at: int) -> int:
    """Return where the next record starts, or the end of the stream."""
    while True:
        at = max(at, stream.start)
        found = _search(stream.data, at - stream.start)
        if found is not None:
            return stream.start + found
        if stream.end - at > _LINE_BYTES:
            at = stream.end - _LINE_BYTES
            stream.forget(at - 1)  # a look-behind needs the byte before
        if not stream.reach(stream.end + 1):
            return stream.end


def _pass(stream: _Stream, position: int) -> int:
    """Read on to `position` and forget what lies before."""
    while stream.end < position and stream.reach(min(position, stream.end + 1)):
        stream.forget(stream.end)
    stream.forget(min(position, stream.end))
    return stream.start
