"""Read the lines of a file, compressed or not, in bounded memory, and say where it is damaged."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from corpuskit import files

__all__ = ["LINE_BYTES", "Block", "Damage", "Damaged", "compression", "inflated", "lines", "split_lines"]

LINE_BYTES = 64 << 20
"""A line with more bytes than this is damage, not read into memory."""

_BLOCK = 1 << 20
_READ = 64 << 10
_READ_ZSTD = 512  # its decompressor knows no limit, and a block of 4 bytes inflates to 128 KiB
_HEAD = 6
_MAGIC = {
    "gzip": (b"\x1f\x8b\x08",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))),
    "lz4": (b"\x04\x22\x4d\x18",),
}
_ERRORS = (zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, MemoryError)


class Damaged(Exception):
    """The compressed bytes of a stream end early, or cannot be inflated."""


@dataclass(frozen=True)
class Damage:
    """A stretch that no line could be read from, and why; offsets count uncompressed bytes.

    The `length` bytes of it that could be inflated are a line that is too long, or the piece of a
    line before the damage. Behind damage to its compressed bytes a file is not read on.
    """

    offset: int
    length: int
    reason: str


@dataclass(frozen=True)
class Block:
    """Whole lines in a row, as they stand in the file; iterate it for (offset, line without its end)."""

    offset: int
    data: bytes

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Give every line, the empty ones too, with the offset it starts at."""
        at = self.offset
        for line in self.data.removesuffix(b"\n").split(b"\n"):
            yield at, line.removesuffix(b"\r")
            at += len(line) + 1


def lines(
    path: str, *, start: int = 0, stop: int | None = None, limit: int = LINE_BYTES
) -> Iterator[Block | Damage]:
    """Read the lines of a path, a URL or `-`: about a MiB of whole lines at a time, in order.

    gzip, bzip2, xz, zstd (windows up to 2 GiB) and lz4 are known by their first bytes, whatever the
    name. A byte order mark is passed over. With `start` and `stop`, which only a plain file can have,
    those lines are read that begin in these bytes: ranges that adjoin share no line and lose none.

    Raises:
        InputError: The file is missing or unreadable.
    """
    with files.open_input(path) as stream:
        if start:
            stream.seek(start - 1)  # the byte before says whether a line begins at `start`
            found = _without_first(split_lines(_plain(stream, b""), offset=start - 1, limit=limit))
        else:
            found = _without_mark(split_lines(inflated(stream), limit=limit))
        yield from found if stop is None else _until(found, stop)


def _without_first(items: Iterator[Block | Damage]) -> Iterator[Block | Damage]:
    """Drop the first line: it began before, so it is another range's."""
    first = next(items, None)
    if isinstance(first, Block):
        end = first.data.find(b"\n") + 1 or len(first.data)
        if first.data[end:]:
            yield Block(first.offset + end, first.data[end:])
    yield from items


def _without_mark(items: Iterator[Block | Damage]) -> Iterator[Block | Damage]:
    first = next(items, None)
    if isinstance(first, Block) and first.data.startswith(b"\xef\xbb\xbf"):
        first = Block(3, first.data[3:])
    if first is not None:
        yield first
    yield from items


def _until(items: Iterator[Block | Damage], stop: int) -> Iterator[Block | Damage]:
    """End before the first line that begins at `stop` or later."""
    for item in items:
        if item.offset >= stop:
            return
        if isinstance(item, Block) and (end := item.data.find(b"\n", stop - item.offset - 1) + 1):
            item = Block(item.offset, item.data[:end])
        yield item


def split_lines(
    chunks: Iterable[bytes], *, offset: int = 0, limit: int = LINE_BYTES
) -> Iterator[Block | Damage]:
    r"""Cut chunks of bytes into blocks of whole lines; the last line need not have an end.

    >>> [list(item) for item in split_lines([b"on", b"e\ntwo"]) if isinstance(item, Block)]
    [[(0, b'one')], [(4, b'two')]]
    """
    held: list[bytes] = []
    size = 0  # of the line in hand; once that is too long, nothing of it is held
    try:
        for chunk in chunks:
            first, end = 0, chunk.rfind(b"\n") + 1
            if end and size > limit:
                first = chunk.index(b"\n") + 1
                yield _too_long(offset, size + first, limit)
                offset, size = offset + size + first, 0
            if end > first:
                data = b"".join([*held, chunk[first:end]])
                yield from _within(data, offset, limit)
                held, offset, size = [], offset + len(data), 0
            held.append(chunk[end:])
            size += len(chunk) - end
            if size > limit:
                held = []
    except Damaged as damaged:
        yield Damage(offset, size, str(damaged))
        return
    if size:
        yield _too_long(offset, size, limit) if size > limit else Block(offset, b"".join(held))


def _within(data: bytes, offset: int, limit: int) -> Iterator[Block | Damage]:
    """Give out whole lines, and damage in place of those that are too long."""
    if len(data) <= limit:
        yield Block(offset, data)
        return
    start = at = 0
    while at < len(data):
        end = data.index(b"\n", at) + 1
        if end - at > limit + 1:
            if at > start:
                yield Block(offset + start, data[start:at])
            yield _too_long(offset + at, end - at, limit)
            start = end
        at = end
    if at > start:
        yield Block(offset + start, data[start:])


def _too_long(offset: int, length: int, limit: int) -> Damage:
    return Damage(offset, length, f"a line of more than {limit} bytes")


def compression(head: bytes) -> str | None:
    """Name the compression that the first 6 bytes of a file tell of; null where they tell of none.

    >>> compression(b"BZh91AY"), compression(b'{"text": 1}')
    ('bzip2', None)
    """
    return next((name for name, magics in _MAGIC.items() if head.startswith(magics)), None)


def inflated(stream: BinaryIO) -> Iterator[bytes]:
    """Inflate a stream in at most 32 MiB of memory and the window it asks for; a plain one is read as it is.

    Several members or frames in a row are one stream, as the tools that write them mean it.

    Raises:
        Damaged: It ends early, or is broken; what was sound has been given out before.
    """
    head = _at_least(stream, b"", _HEAD)
    kind = compression(head)
    chunks = _plain(stream, head) if kind is None else _members(stream, head, kind)
    held: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size >= _BLOCK:
                yield b"".join(held)
                held, size = [], 0
    except Damaged:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _plain(stream: BinaryIO, data: bytes) -> Iterator[bytes]:
    while data or (data := stream.read(_BLOCK)):
        yield data
        data = b""


def _at_least(stream: BinaryIO, data: bytes, count: int) -> bytes:
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    return data


def _members(stream: BinaryIO, data: bytes, kind: str) -> Iterator[bytes]:
    """Inflate one member after another; zeros between and behind them are padding."""
    while data:
        if compression(data) != kind:
            raise Damaged(f"other bytes follow the {kind} data")
        inflater = _inflater(kind)
        while not inflater.at_end:
            data = data or (b"" if inflater.full else stream.read(inflater.reads))
            if not data and not inflater.full:
                raise Damaged(f"the {kind} data ends early")
            try:
                found, data = inflater.feed(data)
            except (*_ERRORS, inflater.error) as error:
                raise Damaged(f"the {kind} data is damaged: {error}") from None
            if found:
                yield found
        data = data.lstrip(b"\0")
        while not data and (more := stream.read(_READ)):
            data = more.lstrip(b"\0")
        data = _at_least(stream, data, _HEAD)


class _Inflater:
    """One member's decompressor, of any of the libraries: `feed` gives what came out and what is left over.

    `full` says that more would come out without feeding more.
    """

    def __init__(self, made: Any, reads: int = _READ, limited: bool = True) -> None:  # noqa: ANN401 - of five kinds
        self._made = made
        self._limit = (_BLOCK,) if limited else ()
        self.reads = reads
        self.full = False
        self.error: type[Exception] = ValueError

    @property
    def at_end(self) -> bool:
        return bool(self._made.eof)

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        found: bytes = self._made.decompress(data, *self._limit)
        left: bytes = self._made.unused_data if self.at_end else getattr(self._made, "unconsumed_tail", b"")
        self.full = not left and len(found) >= _BLOCK and bool(self._limit)
        return found, left or b""


def _inflater(kind: str) -> _Inflater:
    if kind == "zstd":
        import zstandard

        # Dumps of long windows, such as Reddit's, need 2 GiB of address space; untouched, it is no memory.
        made = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        inflater = _Inflater(made, _READ_ZSTD, limited=False)
        inflater.error = zstandard.ZstdError
        return inflater
    if kind == "lz4":
        import lz4.frame

        return _Inflater(lz4.frame.LZ4FrameDecompressor())
    makers: dict[str, Callable[[], Any]] = {
        "gzip": lambda: zlib.decompressobj(31),
        "bzip2": bz2.BZ2Decompressor,
        "xz": lambda: lzma.LZMADecompressor(memlimit=1 << 30),
    }
    return _Inflater(makers[kind]())
