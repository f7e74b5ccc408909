"""Inflate an archive member by member in bounded memory, and find the next one after damage."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from corpuskit.crawl.recovery import starts_record

if TYPE_CHECKING:
    from zstandard import ZstdCompressionDict

__all__ = ["Gap", "Member", "Source", "members"]

_GZIP, _ZSTD, _LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
_SKIPPABLE, _DICTIONARY = b"\x2a\x4d\x18", b"\x5d\x2a\x4d\x18"
_CHUNK = 32 << 10
_INFLATED = 1 << 20
_KEPT = 64 << 20  # bytes of a member kept to search for the next one, should this one be damaged
_PROBE = 64 << 10
_ERRORS = (zlib.error, EOFError, OSError, RuntimeError, ValueError, MemoryError)


class _Inflater(Protocol):
    """One member's decompressor: `feed` returns inflated bytes, and how many bytes it did not need."""

    size: int
    at_end: bool

    def feed(self, data: bytes) -> tuple[bytes, int]: ...


class _Gzip:
    size = _CHUNK

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)
        self.at_end = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        found = self._zlib.decompress(data, _INFLATED)
        self.at_end = self._zlib.eof
        # At the end of a stream, what is unused may stand in `unconsumed_tail` as well.
        unused = self._zlib.unused_data if self.at_end else self._zlib.unconsumed_tail
        return found, len(unused)


class _Zstd:
    size = 1 << 10  # a block of 4 bytes inflates to 128 KiB, and the decompressor knows no limit

    def __init__(self, dictionary: ZstdCompressionDict | None = None) -> None:
        import zstandard

        context = zstandard.ZstdDecompressor(dictionary, max_window_size=1 << 27)
        self._zstd = context.decompressobj()
        self._error = zstandard.ZstdError
        self.at_end = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        try:
            found = self._zstd.decompress(data)
        except self._error as error:
            raise ValueError(str(error)) from None
        self.at_end = self._zstd.eof
        return found, len(self._zstd.unused_data)


class _Lz4:
    size = _CHUNK

    def __init__(self) -> None:
        import lz4.frame

        self._lz4 = lz4.frame.LZ4FrameDecompressor()
        self.at_end = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        unused = b"" if self._lz4.needs_input else data
        found = self._lz4.decompress(b"" if unused else data, _INFLATED)
        self.at_end = self._lz4.eof
        return found, len(unused) + len(self._lz4.unused_data or b"")


class Source:
    """The bytes of a stream, with those since the last `keep` still at hand."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._data = bytearray()
        self._start = 0
        self._at = 0

    @property
    def offset(self) -> int:
        """How many bytes of the stream have been used."""
        return self._start + self._at

    def _more(self) -> bool:
        found = self._stream.read(_CHUNK)
        self._data += found
        return bool(found)

    def peek(self, count: int) -> bytes:
        """Look at the next bytes, fewer at the end of the stream."""
        while len(self._data) - self._at < count and self._more():
            pass
        return bytes(self._data[self._at : self._at + count])

    def take(self, count: int) -> bytes:
        """Use up to `count` bytes; none means that the stream has ended."""
        if self._at > 2 * _KEPT:
            self._forget(self._at - _KEPT)
        if self._at == len(self._data):
            self._more()
        found = bytes(self._data[self._at : self._at + count])
        self._at += len(found)
        return found

    def back(self, count: int) -> None:
        """Put the last bytes back."""
        self._at -= count

    def keep(self) -> None:
        """Forget what came before, and keep from here on what `rewind` may ask for."""
        self._forget(self._at)

    def _forget(self, count: int) -> None:
        del self._data[:count]
        self._start += count
        self._at -= count

    def rewind(self, offset: int) -> None:
        """Go back to an offset, or to the first byte still kept."""
        self._at = max(0, offset - self._start)


@dataclass(frozen=True)
class Gap:
    """Bytes between members that belong to none."""

    offset: int
    reason: str


class Member:
    """One compressed member, or a whole plain file.

    `chunks` inflates it, once; after that `fault` says what was wrong with it, or is null.
    """

    def __init__(self, source: Source, inflater: _Inflater | None) -> None:
        self.offset = source.offset
        self.fault: str | None = None
        self._source = source
        self._inflater = inflater

    @property
    def plain(self) -> bool:
        """Whether the bytes of the file are the member's own."""
        return self._inflater is None

    @property
    def consumed(self) -> int:
        """The offset in the file up to which the member has been read."""
        return self._source.offset

    def chunks(self) -> Iterator[bytes]:
        """Inflate the member, a MiB or so at a time."""
        inflater, source = self._inflater, self._source
        if inflater is None:
            while data := source.take(_INFLATED):
                source.keep()
                yield data
            return
        full = False
        while not inflater.at_end:
            data = b"" if full else source.take(inflater.size)
            if not data and not full:
                self.fault = "the file ends within this member"
                return
            try:
                found, unused = inflater.feed(data)
            except _ERRORS as error:
                self.fault = f"damaged: {error}"
                return
            source.back(unused)
            full = not unused and len(found) >= _INFLATED
            if found:
                yield found


def members(source: Source) -> Iterator[Member | Gap]:
    """Find the members of an archive in order; each must be inflated before the next is asked for."""
    head = source.peek(4)
    if not (head.startswith((_GZIP, _ZSTD, _LZ4)) or _skippable(head)):
        yield Member(source, None)
        return
    dictionary: ZstdCompressionDict | None = None
    while head := source.peek(8):
        source.keep()
        if _skippable(head):
            content = _skip(source, int.from_bytes(head[4:8], "little"))
            if head.startswith(_DICTIONARY) and dictionary is None:
                dictionary = _read_dictionary(content)
            continue
        inflater = _inflater(head, dictionary)
        if inflater is None:
            yield Gap(source.offset, "no record here")
            _seek_member(source, dictionary)
            continue
        member = Member(source, inflater)
        yield member
        if member.fault:
            source.rewind(member.offset + 1)
            _seek_member(source, dictionary)


def _skippable(head: bytes) -> bool:
    return head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F


def _skip(source: Source, length: int) -> bytes:
    """Pass over a skippable frame; return its content if it is of a dictionary's size."""
    source.take(8)
    content, left = bytearray(), length
    while left and (data := source.take(min(left, _CHUNK))):
        left -= len(data)
        if length <= _INFLATED:
            content += data
        source.keep()
    return bytes(content)


def _read_dictionary(content: bytes) -> ZstdCompressionDict | None:
    """Read the dictionary at the start of a `.warc.zst`, itself compressed or not; null if it is none.

    Source: IIPC's specification "Use of Zstandard with WARC", 1.0.
    """
    import zstandard

    try:
        if content.startswith(_ZSTD):
            content = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(content, 10 * _INFLATED)
        return zstandard.ZstdCompressionDict(content) if content else None
    except (zstandard.ZstdError, MemoryError):
        return None


def _inflater(head: bytes, dictionary: ZstdCompressionDict | None) -> _Inflater | None:
    if head.startswith(_GZIP):
        return _Gzip()
    if head.startswith(_ZSTD):
        return _Zstd(dictionary)
    return _Lz4() if head.startswith(_LZ4) else None


def _seek_member(source: Source, dictionary: ZstdCompressionDict | None) -> None:
    """Move to the next place where a member begins that inflates to a record, or to the end."""
    while head := source.peek(_PROBE):
        places = [at for at in (head.find(magic) for magic in (_GZIP, _ZSTD, _LZ4)) if at >= 0]
        if not places:
            source.take(max(1, len(head) - 3) if len(head) == _PROBE else len(head))
            continue
        source.take(min(places))
        head = source.peek(_PROBE)
        inflater = _inflater(head, dictionary)
        try:
            found = inflater.feed(head[: inflater.size])[0] if inflater else b""
        except _ERRORS:
            found = b""
        if starts_record(found[:_CHUNK]):
            return
        source.take(1)
