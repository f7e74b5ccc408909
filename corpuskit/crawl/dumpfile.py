"""Inflate a dump from any place in it: bzip2 by its streams, plain files by bytes, other packings whole."""

from __future__ import annotations

import bz2
import re
from collections.abc import Generator, Iterator
from typing import BinaryIO, NamedTuple

from corpuskit import files
from corpuskit.crawl.lines import Damaged, compression, inflated
from corpuskit.errors import InputError

__all__ = ["Chunk", "Lost", "chunks", "ranges"]

_READ = 256 << 10
_INFLATED = 1 << 20
_HEAD = re.compile(rb"BZh[1-9](?=1AY&SY)")
_MAGIC = 10
_PROBE = 64 << 20
_BZ2, _SEVEN_ZIP = b"BZh", b"7z\xbc\xaf\x27\x1c"
_PACKED_STEP, _PLAIN_STEP = 8 << 20, 64 << 20


class Chunk(NamedTuple):
    """Some bytes of the dump: the compressed stream they are of (null: the file is plain) and where in it.

    `own` says whether the stream, or the byte, begins within the range that was asked for.
    """

    stream: int | None
    offset: int
    data: bytes
    own: bool


class Lost(NamedTuple):
    """Bytes of the file, from `position`, that could not be inflated."""

    position: int
    length: int
    own: bool


def ranges(path: str, size: int) -> list[tuple[int, int]]:
    """Divide a file into ranges whose `chunks` are disjoint, of 8 MiB or, of a plain file, 64 MiB.

    One range where it cannot be entered anywhere: a bzip2 file of one stream, and other packings.

    Raises:
        InputError: It is a 7z archive.
    """
    step = _PLAIN_STEP
    with files.open_input(path) as file:
        head = file.read(8)
        if head.startswith(_SEVEN_ZIP):
            raise InputError(f"{path} is a 7z archive", fix="unpack it, or take the .bz2 of the same dump")
        if packing := compression(head):
            step = _PACKED_STEP
            # A multistream dump begins with a stream of its own for what is said of the site.
            if packing != "bzip2" or (size > step and _next_stream(file, 1, _PROBE) is None):
                return [(0, size)]
    return [(start, min(start + step, size)) for start in range(0, size, step)] or [(0, size)]


def chunks(path: str, start: int, end: int) -> Iterator[Chunk | Lost]:
    """Inflate what begins in a range of the file, then, as not `own`, what follows to the end of the file."""
    with files.open_input(path) as file:
        packing = compression(file.read(8))
        file.seek(start)
        if packing == "bzip2":
            yield from _streams(file, start, end)
        elif packing:
            yield from _whole(file, end)
        else:
            yield from _plain(file, start, end)


def _plain(file: BinaryIO, start: int, end: int) -> Iterator[Chunk]:
    at = start
    while data := file.read(min(_INFLATED, end - at) if at < end else _INFLATED):
        yield Chunk(None, at, data, at < end)
        at += len(data)


def _whole(file: BinaryIO, size: int) -> Iterator[Chunk | Lost]:
    offset = 0
    try:
        for data in inflated(file):
            yield Chunk(0, offset, data, own=True)
            offset += len(data)
    except Damaged:
        at = file.tell()
        yield Lost(at, max(0, size - at), own=True)


def _streams(file: BinaryIO, start: int, end: int) -> Iterator[Chunk | Lost]:
    """Inflate bzip2 streams one after the other; after damage go on where the next one begins."""
    at = start if start == 0 else _next_stream(file, start, end - start + _MAGIC)
    while at is not None:
        own = at < end
        done = yield from _stream(file, at, own)
        if done is not None:
            at = done if _has_more(file, done) else None
            continue
        damage, at = at, _next_stream(file, at + 1)
        yield Lost(damage, (file.seek(0, 2) if at is None else at) - damage, own)


def _stream(file: BinaryIO, at: int, own: bool) -> Generator[Chunk, None, int | None]:
    """Inflate the stream that begins at `at`; return where it ends, or null where it is damaged or none."""
    file.seek(at)
    inflater = bz2.BZ2Decompressor()
    used, offset = at, 0
    try:
        while not inflater.eof:
            data = file.read(_READ) if inflater.needs_input else b""
            if not data and inflater.needs_input:
                return None
            used += len(data)
            found = inflater.decompress(data, _INFLATED)
            if found:
                yield Chunk(at, offset, found, own)
                offset += len(found)
    except (OSError, EOFError, ValueError):
        return None
    return used - len(inflater.unused_data)


def _has_more(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    return bool(file.read(1))


def _next_stream(file: BinaryIO, at: int, limit: int | None = None) -> int | None:
    """Find the next bzip2 stream that begins at `at` or later; null where there is none."""
    file.seek(at)
    tail, base, read = b"", at, 0
    while (limit is None or read < limit) and (data := file.read(_INFLATED)):
        read += len(data)
        block = tail + data
        found = _HEAD.search(block)
        if found:
            return base + found.start()
        tail = block[1 - _MAGIC :]
        base += len(block) - len(tail)
    return None
